"""Families with rotary positions and layer norms: StarCoder2, StableLM, Phi, Nemotron, Cohere and GPT-J."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture, Layer
from csvjax.lms.keys import Family, Keys, activation, layer_rope, window, with_neighbours
from csvjax.lms.rope import make_rope

__all__ = ["LAYERED"]


def _layered(keys: Keys, family: str, **switches: Any) -> Architecture:
    """The architecture that all except GPT-J share; `switches` override parts of it."""
    head_width = keys.head_dim or keys.hidden_size // keys.num_attention_heads
    layers = tuple(
        Layer(window(keys, i), layer_rope(keys, i, head_width), head_width**-0.5)
        for i in range(int(keys.num_hidden_layers))
    )
    shared: dict[str, Any] = {
        "family": family,
        "vocabulary": keys.vocab_size,
        "width": keys.hidden_size,
        "hidden": keys.intermediate_size,
        "heads": keys.num_attention_heads,
        "kv_heads": keys.num_key_value_heads,
        "head_width": head_width,
        "context": keys.max_position_embeddings,
        "layers": layers,
        "norm": "layer",
        "norm_eps": keys.layer_norm_eps,
        "activation": activation(keys.hidden_act),
        "tied": bool(keys.tie_word_embeddings),
    }
    return Architecture(**(shared | switches))


def _starcoder2(keys: Keys) -> Architecture:
    bias = bool(keys.use_bias)
    return _layered(
        keys, "starcoder2", norm_eps=keys.norm_epsilon, gated=False, qkv_bias=bias, out_bias=bias, mlp_bias=bias
    )


def _stablelm(keys: Keys) -> Architecture:
    if keys.qk_layernorm:
        raise InputError(
            "expected a StableLM without norms of queries and keys, found qk_layernorm in config.json; csvjax does not "
            "know how to score this model"
        )
    parallel = bool(keys.use_parallel_residual)
    return _layered(keys, "stablelm", qkv_bias=bool(keys.use_qkv_bias), parallel=parallel, shared_norm=parallel)


def _phi(keys: Keys) -> Architecture:
    return _layered(
        keys,
        "phi",
        gated=False,
        parallel=True,
        shared_norm=True,
        head_norm="head" if keys.qk_layernorm else None,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        head_bias=True,
    )


def _nemotron(keys: Keys) -> Architecture:
    bias = bool(keys.attention_bias)
    return _layered(
        keys,
        "nemotron",
        norm_eps=keys.norm_eps,
        norm_offset=1.0,
        kv_heads=keys.num_key_value_heads or keys.num_attention_heads,
        gated=False,
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=bool(keys.mlp_bias),
    )


def _cohere(keys: Keys) -> Architecture:
    bias = bool(keys.attention_bias)
    architecture = _layered(
        keys,
        keys.model_type,
        norm_bias=False,
        parallel=True,
        shared_norm=True,
        head_norm="each" if keys.use_qk_norm else None,
        qkv_bias=bias,
        out_bias=bias,
        logit_scale=float(keys.logit_scale),
    )
    return with_neighbours(architecture)


def _cohere2(keys: Keys) -> Architecture:
    """As Cohere, but layers without a window have no positions."""
    architecture = _cohere(keys)
    layers = [replace(layer, rope=None) if layer.window is None else layer for layer in architecture.layers]
    return replace(architecture, layers=tuple(layers))


def _gptj(keys: Keys) -> Architecture:
    head_width = keys.n_embd // keys.n_head
    rope = make_rope({"rope_theta": 10_000.0}, int(keys.rotary_dim), keys.n_positions)
    rope = replace(rope, neighbours=True, longest=keys.n_positions)
    return Architecture(
        family="gptj",
        vocabulary=keys.vocab_size,
        width=keys.n_embd,
        hidden=keys.n_inner or 4 * keys.n_embd,
        heads=keys.n_head,
        kv_heads=keys.n_head,
        head_width=head_width,
        context=keys.n_positions,
        layers=(Layer(None, rope, head_width**-0.5),) * keys.n_layer,
        norm="layer",
        norm_eps=keys.layer_norm_epsilon,
        activation=activation(keys.activation_function),
        parallel=True,
        shared_norm=True,
        gated=False,
        mlp_bias=True,
        head_bias=True,
        tied=bool(keys.tie_word_embeddings),
    )


def _keys(names: str) -> frozenset[str]:
    return frozenset(names.split())


_SHARED = (
    "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads hidden_act "
    "max_position_embeddings rope_parameters original_max_position_embeddings tie_word_embeddings "
)
_COHERE = _SHARED + "model_type head_dim layer_norm_eps attention_bias logit_scale "

LAYERED: Mapping[str, Family] = {
    "starcoder2": Family(_starcoder2, _keys(_SHARED + "head_dim norm_epsilon use_bias sliding_window")),
    "stablelm": Family(
        _stablelm,
        _keys(_SHARED + "layer_norm_eps partial_rotary_factor use_qkv_bias qk_layernorm use_parallel_residual"),
    ),
    "phi": Family(_phi, _keys(_SHARED + "head_dim layer_norm_eps partial_rotary_factor qk_layernorm")),
    "nemotron": Family(_nemotron, _keys(_SHARED + "head_dim norm_eps partial_rotary_factor attention_bias mlp_bias")),
    "cohere": Family(_cohere, _keys(_COHERE + "use_qk_norm")),
    "cohere2": Family(_cohere2, _keys(_COHERE + "sliding_window layer_types")),
    "gptj": Family(
        _gptj,
        _keys(
            "vocab_size n_embd n_head n_layer n_positions n_inner rotary_dim layer_norm_epsilon activation_function "
            "tie_word_embeddings"
        ),
    ),
}
