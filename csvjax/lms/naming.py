"""Where the weights of each family stand in a checkpoint, and how fused ones come apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["NAMING", "Naming", "Split"]

Split = Callable[[np.ndarray, int, int], np.ndarray]
"""(fused tensor with outputs first, part 0, 1 or 2 for query, key and value, heads) to that part."""


@dataclass(frozen=True)
class Naming:
    """`top` and `block`: a module of `Transformer` or `Block` to the name of its tensors, without .weight and .bias.

    Names of `top` and `block` come after one of the `prefixes`, `output` does not. In a name of `block` {} is the
    layer. `fused`: how the shared tensor of query, key and value is cut. `inputs_first`: matrices are stored as
    [input, output], not [output, input].
    """

    prefixes: tuple[str, ...]
    top: Mapping[str, str]
    block: Mapping[str, str]
    output: str = "lm_head"
    fused: Split | None = None
    inputs_first: bool = False


def _thirds(tensor: np.ndarray, part: int, heads: int) -> np.ndarray:
    return np.split(tensor, 3)[part]


def _by_head(tensor: np.ndarray, part: int, heads: int) -> np.ndarray:
    """Query, key and value of the first head, then those of the second, and so on."""
    return tensor.reshape(heads, 3, -1, *tensor.shape[1:])[:, part].reshape(-1, *tensor.shape[1:])


_LLAMA = Naming(
    prefixes=("model.", ""),
    top={"embedding": "embed_tokens", "norm": "norm"},
    block={
        "query": "layers.{}.self_attn.q_proj",
        "key": "layers.{}.self_attn.k_proj",
        "value": "layers.{}.self_attn.v_proj",
        "out": "layers.{}.self_attn.o_proj",
        "query_norm": "layers.{}.self_attn.q_norm",
        "key_norm": "layers.{}.self_attn.k_norm",
        "gate": "layers.{}.mlp.gate_proj",
        "up": "layers.{}.mlp.up_proj",
        "down": "layers.{}.mlp.down_proj",
        "attention_before": "layers.{}.input_layernorm",
        "mlp_before": "layers.{}.post_attention_layernorm",
    },
)

_OLMO2 = Naming(
    _LLAMA.prefixes,
    _LLAMA.top,
    dict(_LLAMA.block)
    | {
        "attention_after": "layers.{}.post_attention_layernorm",
        "mlp_after": "layers.{}.post_feedforward_layernorm",
    },
)

_GEMMA = Naming(
    ("model.", "", "language_model.model.", "model.language_model."),  # the last two: beside a vision model
    _LLAMA.top,
    dict(_OLMO2.block) | {"mlp_before": "layers.{}.pre_feedforward_layernorm"},
)

NAMING: Mapping[str, Naming] = {
    "gpt2": Naming(
        prefixes=("transformer.", ""),
        top={"embedding": "wte", "positions": "wpe", "norm": "ln_f"},
        block={
            "query": "h.{}.attn.c_attn",
            "key": "h.{}.attn.c_attn",
            "value": "h.{}.attn.c_attn",
            "out": "h.{}.attn.c_proj",
            "up": "h.{}.mlp.c_fc",
            "down": "h.{}.mlp.c_proj",
            "attention_before": "h.{}.ln_1",
            "mlp_before": "h.{}.ln_2",
        },
        fused=_thirds,
        inputs_first=True,
    ),
    "gpt_neox": Naming(
        prefixes=("gpt_neox.", ""),
        top={"embedding": "embed_in", "norm": "final_layer_norm"},
        block={
            "query": "layers.{}.attention.query_key_value",
            "key": "layers.{}.attention.query_key_value",
            "value": "layers.{}.attention.query_key_value",
            "out": "layers.{}.attention.dense",
            "up": "layers.{}.mlp.dense_h_to_4h",
            "down": "layers.{}.mlp.dense_4h_to_h",
            "attention_before": "layers.{}.input_layernorm",
            "mlp_before": "layers.{}.post_attention_layernorm",
        },
        output="embed_out",
        fused=_by_head,
    ),
    "opt": Naming(
        prefixes=("model.decoder.", "decoder.", ""),
        top={
            "embedding": "embed_tokens",
            "positions": "embed_positions",
            "project_in": "project_in",
            "project_out": "project_out",
            "norm": "final_layer_norm",
        },
        block={
            "query": "layers.{}.self_attn.q_proj",
            "key": "layers.{}.self_attn.k_proj",
            "value": "layers.{}.self_attn.v_proj",
            "out": "layers.{}.self_attn.out_proj",
            "up": "layers.{}.fc1",
            "down": "layers.{}.fc2",
            "attention_before": "layers.{}.self_attn_layer_norm",
            "attention_residual": "layers.{}.self_attn_layer_norm",
            "mlp_before": "layers.{}.final_layer_norm",
            "mlp_residual": "layers.{}.final_layer_norm",
        },
    ),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), _LLAMA),
    "olmo2": _OLMO2,
    **dict.fromkeys(("gemma2", "gemma3_text"), _GEMMA),
}
