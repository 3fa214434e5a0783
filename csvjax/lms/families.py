"""The families of models that csvjax reads, and the `Architecture` of a configuration.

`config` is the result of `transformers.AutoConfig` for a `config.json`: it has defaults, and rotary positions in
`rope_parameters`, even if the file has `rope_theta` and `rope_scaling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture
from csvjax.lms.classic import CLASSIC
from csvjax.lms.keys import Family, Keys
from csvjax.lms.layered import LAYERED
from csvjax.lms.linear_biases import LINEAR_BIASES
from csvjax.lms.mixtures import MIXTURES
from csvjax.lms.modern import MODERN

__all__ = ["FAMILIES", "make_architecture", "unknown_family"]

FAMILIES: Mapping[str, Family] = {**CLASSIC, **MODERN, **LAYERED, **LINEAR_BIASES, **MIXTURES}

_MOST_LAYERS = 10_000
_SIZES = ("vocabulary", "width", "hidden", "heads", "kv_heads", "head_width", "context")

# Why some well-known model types are no description of the one transformer.
_REASONS: Mapping[str, tuple[str, ...]] = {
    "some layers have a recurrence or a convolution in place of attention": (
        *("mamba", "mamba2", "falcon_mamba", "falcon_h1", "jamba", "zamba", "zamba2", "bamba", "nemotron_h", "rwkv"),
        *("recurrent_gemma", "granitemoehybrid", "lfm2", "qwen3_next", "kimi_linear", "minimax", "xlstm"),
        "olmo_hybrid",
    ),
    "its attention reads keys and values from a compressed vector (multi-head latent attention)": (
        *("deepseek_v2", "deepseek_v3", "deepseek_v32", "minicpm3", "longcat_flash", "glm4_moe_lite"),
    ),
    "its router chooses experts by other numbers than those that weigh them": (
        *("glm4_moe", "dots1", "ernie4_5_moe", "minimax_m2"),
    ),
    "it attends in chunks, changes the scale of queries with their position, and weighs the input of its experts": (
        *("llama4", "llama4_text"),
    ),
    "it carries several states from layer to layer, and each layer has an embedding": ("gemma3n", "gemma3n_text"),
    "its heads may attend to nothing (attention sinks), and its experts are quantised": ("gpt_oss",),
    "its router weighs each expert by a softmax of its own (sparsemixer)": ("phimoe",),
    "it is no model of the next token": ("bert", "roberta", "modernbert", "deberta-v2"),
    "it has an encoder": ("t5", "mt5", "umt5", "bart", "mbart", "t5gemma"),
}


def unknown_family(kind: object) -> str:
    """The sentence for a model type that csvjax does not know, with the reason where there is a known one."""
    reason = next((reason for reason, kinds in _REASONS.items() if kind in kinds), None)
    because = "csvjax does not know how to score this model" if reason is None else f"csvjax cannot score it: {reason}"
    return f"expected a model_type among {', '.join(sorted(FAMILIES))}, found {kind!r}; {because}"


def make_architecture(config: Any) -> Architecture:
    """The architecture of a configuration.

    Raises: InputError for a family, an activation or a switch that csvjax does not know, and for values from which no
    model can be made.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise InputError(f"config.json: {unknown_family(config.model_type)}")
    keys = Keys(config, family.keys)
    # `is_causal` decides about attention masks for all families.
    causal = getattr(config, "is_causal", None) is not False
    if keys.use_bidirectional_attention or keys.add_cross_attention or not causal:
        raise InputError(
            "expected a model that reads from left to right, found bidirectional or cross attention in config.json; "
            "choose a causal language model"
        )
    if getattr(config, "is_heterogeneous", False):
        raise InputError(
            "expected layers of the same size, found a per_layer_config in config.json; csvjax cannot score this model"
        )
    layers = getattr(config, "num_hidden_layers", 0)
    if isinstance(layers, int) and layers > _MOST_LAYERS:  # each would be described before a tensor is missed
        raise InputError(
            f"expected at most {_MOST_LAYERS:,} layers in config.json, found {layers:,}; download the file again"
        )
    try:
        made = family.make(keys)
    except (TypeError, ValueError, KeyError, IndexError, ArithmeticError) as error:
        raise InputError(
            f"expected the values of a {config.model_type} model in config.json, found values that do not fit "
            f"({type(error).__name__}: {error}); download the file again"
        ) from None
    for name in _SIZES:
        if getattr(made, name) < 1:  # JAX would raise an error that names no file
            raise InputError(
                f"expected a positive {name.replace('_', ' ')} in config.json, found {getattr(made, name)}; download "
                "the file again"
            )
    return made
