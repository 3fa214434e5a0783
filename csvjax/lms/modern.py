"""Llama and similar families, with rotary positions, RMS norms and gated MLPs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csvjax.lms.architecture import Architecture, Layer
from csvjax.lms.keys import Family, Keys, activation, layer_rope, window, with_neighbours

__all__ = ["MODERN", "granite", "modern", "modern_keys"]

_SHARED = (
    "model_type vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads "
    "head_dim max_position_embeddings rms_norm_eps hidden_act rope_parameters original_max_position_embeddings "
    "tie_word_embeddings "
)


def modern_keys(more: str = "", fewer: str = "") -> frozenset[str]:
    """The keys that these families share, with some more or fewer."""
    return frozenset((_SHARED + more).split()) - set(fewer.split())


def modern(keys: Keys, **switches: Any) -> Architecture:
    """The architecture that these families share; `switches` override parts of it."""
    head_width = keys.head_dim or keys.hidden_size // keys.num_attention_heads
    scale = keys.attention_multiplier if keys.attention_multiplier is not None else head_width**-0.5
    if keys.query_pre_attn_scalar:
        scale = keys.query_pre_attn_scalar**-0.5
    turned = keys.no_rope_layers or [1] * keys.num_hidden_layers
    layers = tuple(
        Layer(window(keys, i), layer_rope(keys, i, head_width) if turned[i] else None, scale)
        for i in range(int(keys.num_hidden_layers))
    )
    bias = bool(keys.attention_bias)
    shared: dict[str, Any] = {
        "family": keys.model_type,
        "vocabulary": keys.vocab_size,
        "width": keys.hidden_size,
        "hidden": keys.intermediate_size,
        "heads": keys.num_attention_heads,
        "kv_heads": keys.num_key_value_heads or keys.num_attention_heads,
        "head_width": head_width,
        "context": min([keys.max_position_embeddings] + [x.rope.longest for x in layers if x.rope and x.rope.longest]),
        "layers": layers,
        "norm": "rms",
        "norm_eps": keys.rms_norm_eps,
        "activation": activation(keys.hidden_activation or keys.hidden_act),
        "qkv_bias": bias,
        "out_bias": bias,
        "mlp_bias": bool(keys.mlp_bias),
        "tied": bool(keys.tie_word_embeddings),
    }
    return Architecture(**(shared | switches))


def _gemma(keys: Keys, **switches: Any) -> Architecture:
    return modern(
        keys,
        norm_offset=1.0,
        norms=("before", "after"),
        embedding_scale=keys.hidden_size**0.5,
        logit_cap=keys.final_logit_softcapping,
        **switches,
    )


def _gemma1(keys: Keys) -> Architecture:
    return modern(keys, norm_offset=1.0, embedding_scale=keys.hidden_size**0.5)


def granite(keys: Keys) -> Architecture:
    """The architecture of Granite, which GraniteMoe shares."""
    return modern(
        keys,
        embedding_scale=float(keys.embedding_multiplier),
        residual_scale=float(keys.residual_multiplier),
        logit_scale=1 / keys.logits_scaling,
    )


def _olmo1(keys: Keys) -> Architecture:
    return modern(keys, norm="layer", norm_eps=1e-5, norm_affine=False, qkv_clip=keys.clip_qkv)


def _glm(keys: Keys, **switches: Any) -> Architecture:
    return with_neighbours(modern(keys, out_bias=False, **switches))


_WINDOWS = "sliding_window layer_types"
_GEMMA = f"{_WINDOWS} attention_bias query_pre_attn_scalar hidden_activation final_logit_softcapping "
_GEMMA += "use_bidirectional_attention"

MODERN: Mapping[str, Family] = {
    "llama": Family(modern, modern_keys("attention_bias mlp_bias")),
    "mistral": Family(modern, modern_keys("sliding_window")),
    "olmo2": Family(lambda keys: modern(keys, norms=("after",), head_norm="all"), modern_keys("attention_bias")),
    "qwen2": Family(lambda keys: modern(keys, qkv_bias=True, out_bias=False), modern_keys(_WINDOWS)),
    "qwen3": Family(lambda keys: modern(keys, head_norm="head"), modern_keys(f"{_WINDOWS} attention_bias")),
    "ministral": Family(modern, modern_keys(_WINDOWS)),
    "olmo": Family(_olmo1, modern_keys("attention_bias clip_qkv", fewer="rms_norm_eps")),
    "olmo3": Family(
        lambda keys: modern(keys, norms=("after",), head_norm="all"), modern_keys(f"{_WINDOWS} attention_bias")
    ),
    "smollm3": Family(modern, modern_keys(f"{_WINDOWS} attention_bias mlp_bias no_rope_layers")),
    "granite": Family(
        granite,
        modern_keys(
            "attention_bias mlp_bias embedding_multiplier residual_multiplier attention_multiplier logits_scaling"
        ),
    ),
    "phi3": Family(modern, modern_keys("sliding_window partial_rotary_factor")),
    "glm": Family(_glm, modern_keys("attention_bias partial_rotary_factor")),
    "glm4": Family(
        lambda keys: _glm(keys, norms=("before", "after")), modern_keys("attention_bias partial_rotary_factor")
    ),
    "gemma": Family(_gemma1, modern_keys("attention_bias use_bidirectional_attention")),
    "gemma2": Family(
        lambda keys: _gemma(keys, attention_cap=keys.attn_logit_softcapping),
        modern_keys(f"{_GEMMA} attn_logit_softcapping", fewer="hidden_act"),
    ),
    "gemma3_text": Family(lambda keys: _gemma(keys, head_norm="head"), modern_keys(_GEMMA, fewer="hidden_act")),
}
