"""The families of models that csvjax reads: how a configuration of each becomes an `Architecture`.

`config` is what `transformers.AutoConfig` makes of a `config.json`: defaults filled in, and rotary positions in
`rope_parameters` whether the file spells them so or as `rope_theta` and `rope_scaling`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from csvjax.errors import InputError
from csvjax.lms.architecture import Activation, Architecture, Layer
from csvjax.lms.rope import Rope, make_rope

__all__ = ["FAMILIES", "make_architecture"]

_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def make_architecture(config: Any) -> Architecture:
    """The architecture of a configuration.

    Raises: InputError for a family, an activation or a switch that csvjax does not know.
    """
    make = FAMILIES.get(config.model_type)
    if make is None:
        raise InputError(
            f"expected a model of one of the types {', '.join(sorted(FAMILIES))}, found {config.model_type!r} in "
            "config.json; csvjax does not know how to score this model"
        )
    if getattr(config, "use_bidirectional_attention", None) or getattr(config, "add_cross_attention", None):
        raise InputError(
            "expected a model that reads from left to right, found attention to both sides or to another text in "
            "config.json; choose a causal language model"
        )
    return make(config)


def _activation(name: str) -> Activation:
    if name not in _ACTIVATIONS:
        raise InputError(
            f"expected an activation among {', '.join(_ACTIVATIONS)}, found {name!r} in config.json; csvjax does not "
            "know how to score this model"
        )
    return _ACTIVATIONS[name]


def _gpt2(config: Any) -> Architecture:
    head_width = config.n_embd // config.n_head
    scale = head_width**-0.5 if config.scale_attn_weights else 1.0
    deeper = config.scale_attn_by_inverse_layer_idx
    return Architecture(
        family="gpt2",
        vocabulary=config.vocab_size,
        width=config.n_embd,
        hidden=config.n_inner or 4 * config.n_embd,
        heads=config.n_head,
        kv_heads=config.n_head,
        head_width=head_width,
        context=config.n_positions,
        layers=tuple(Layer(None, None, scale / (i + 1) if deeper else scale) for i in range(config.n_layer)),
        norm="layer",
        norm_eps=config.layer_norm_epsilon,
        activation=_activation(config.activation_function),
        gated=False,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        learned_positions=config.n_positions,
        tied=config.tie_word_embeddings,
    )


def _opt(config: Any) -> Architecture:
    head_width = config.hidden_size // config.num_attention_heads
    before = config.do_layer_norm_before
    return Architecture(
        family="opt",
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        hidden=config.ffn_dim,
        heads=config.num_attention_heads,
        kv_heads=config.num_attention_heads,
        head_width=head_width,
        context=config.max_position_embeddings,
        layers=(Layer(None, None, head_width**-0.5),) * config.num_hidden_layers,
        norm="layer",
        norm_eps=1e-5,
        norm_affine=config.layer_norm_elementwise_affine,
        activation=_activation(config.activation_function),
        norms=("before",) if before else ("residual",),
        final_norm=before and not config._remove_final_layer_norm,
        gated=False,
        qkv_bias=config.enable_bias,
        out_bias=config.enable_bias,
        mlp_bias=config.enable_bias,
        learned_positions=config.max_position_embeddings + 2,
        position_offset=2,
        embedding_width=config.word_embed_proj_dim,
        tied=config.tie_word_embeddings,
    )


def _gpt_neox(config: Any) -> Architecture:
    head_width = config.hidden_size // config.num_attention_heads
    rope = make_rope(config.rope_parameters, head_width, config.max_position_embeddings)
    return Architecture(
        family="gpt_neox",
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        hidden=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_attention_heads,
        head_width=head_width,
        context=config.max_position_embeddings,
        layers=(Layer(None, rope, head_width**-0.5),) * config.num_hidden_layers,
        norm="layer",
        norm_eps=config.layer_norm_eps,
        activation=_activation(config.hidden_act),
        parallel=config.use_parallel_residual,
        gated=False,
        qkv_bias=config.attention_bias,
        out_bias=config.attention_bias,
        mlp_bias=True,
        tied=config.tie_word_embeddings,
    )


def _modern(config: Any, **switches: Any) -> Architecture:
    """What Llama and its relatives share; `switches` say where one differs."""
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    scale = (getattr(config, "query_pre_attn_scalar", None) or head_width) ** -0.5
    layers = tuple(Layer(_window(config, i), _rope(config, i, head_width), scale) for i in range(_depth(config)))
    shared: dict[str, Any] = {
        "family": config.model_type,
        "vocabulary": config.vocab_size,
        "width": config.hidden_size,
        "hidden": config.intermediate_size,
        "heads": config.num_attention_heads,
        "kv_heads": config.num_key_value_heads,
        "head_width": head_width,
        "context": config.max_position_embeddings,
        "layers": layers,
        "norm": "rms",
        "norm_eps": config.rms_norm_eps,
        "activation": _activation(getattr(config, "hidden_activation", None) or config.hidden_act),
        "qkv_bias": getattr(config, "attention_bias", False),
        "out_bias": getattr(config, "attention_bias", False),
        "mlp_bias": getattr(config, "mlp_bias", False),
        "tied": config.tie_word_embeddings,
    }
    return Architecture(**(shared | switches))


def _depth(config: Any) -> int:
    return int(config.num_hidden_layers)


def _kind(config: Any, layer: int) -> str | None:
    kinds = getattr(config, "layer_types", None)
    return kinds[layer] if kinds else None


def _window(config: Any, layer: int) -> int | None:
    kind, window = _kind(config, layer), getattr(config, "sliding_window", None)
    return window if window and kind in (None, "sliding_attention") else None


def _rope(config: Any, layer: int, head_width: int) -> Rope:
    parameters = config.rope_parameters
    kind = _kind(config, layer)
    if kind is not None and isinstance(parameters.get(kind), Mapping):
        parameters = parameters[kind]
    return make_rope(parameters, head_width, config.max_position_embeddings)


def _gemma(config: Any, **switches: Any) -> Architecture:
    return _modern(
        config,
        norm_offset=1.0,
        norms=("before", "after"),
        embedding_scale=config.hidden_size**0.5,
        logit_cap=config.final_logit_softcapping,
        **switches,
    )


FAMILIES: Mapping[str, Callable[[Any], Architecture]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
    "llama": _modern,
    "mistral": _modern,
    "olmo2": lambda config: _modern(config, norms=("after",), head_norm="all"),
    "qwen2": lambda config: _modern(config, qkv_bias=True, out_bias=False),
    "qwen3": lambda config: _modern(config, head_norm="head"),
    "gemma2": lambda config: _gemma(config, attention_cap=config.attn_logit_softcapping),
    "gemma3_text": lambda config: _gemma(config, head_norm="head"),
}
