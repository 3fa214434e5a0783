"""Families with linear position biases (ALiBi), BLOOM and MPT; and Falcon, which is BLOOM with rotary positions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture, Layer
from csvjax.lms.keys import Family, Keys, activation, layer_rope

__all__ = ["LINEAR_BIASES"]


def _powers(base: float, count: int, step: int = 1) -> list[float]:
    return [base**i for i in range(1, count * step + 1, step)]


def _bloom_slopes(heads: int) -> tuple[float, ...]:
    """2^(-8 i / n) for the first n heads, n a power of two; the other heads get slopes between these."""
    whole = 2 ** math.floor(math.log2(heads))
    rest = _powers(2 ** (-(2 ** -(math.log2(2 * whole) - 3))), heads - whole, 2)
    return tuple(_powers(2 ** (-(2 ** -(math.log2(whole) - 3))), whole) + rest)


def _mpt_slopes(heads: int) -> tuple[float, ...]:
    """The slopes for the next power of two, every second one first."""
    enough = 2 ** math.ceil(math.log2(heads))
    found = [2 ** (-8 * i / enough) for i in range(1, enough + 1)]
    return tuple(found if enough == heads else (found[1::2] + found[::2])[:heads])


def _bloom(keys: Keys) -> Architecture:
    if keys.apply_residual_connection_post_layernorm:
        raise InputError(
            "expected a BLOOM that adds to the state before its norm, found apply_residual_connection_post_layernorm "
            "in config.json; csvjax does not know how to score this model"
        )
    width, heads = keys.hidden_size, keys.n_head
    return Architecture(
        family="bloom",
        vocabulary=keys.vocab_size,
        width=width,
        hidden=4 * width,
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        context=keys.seq_length or 2048,  # positions have no limit; this is the training length
        layers=(Layer(None, None, (width // heads) ** -0.5),) * keys.n_layer,
        norm="layer",
        norm_eps=keys.layer_norm_epsilon,
        activation="gelu_tanh",
        embedding_norm=True,
        gated=False,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        slopes=_bloom_slopes(heads),
        tied=bool(keys.tie_word_embeddings),
    )


def _mpt(keys: Keys) -> Architecture:
    width, heads, attention = keys.d_model, keys.n_heads, keys.attn_config
    scale = (width / heads) ** -0.5 if attention.softmax_scale is None else attention.softmax_scale
    return Architecture(
        family="mpt",
        vocabulary=keys.vocab_size,
        width=width,
        hidden=4 * width,
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        context=keys.max_seq_len,
        layers=(Layer(None, None, float(scale)),) * keys.n_layers,
        norm="layer",
        norm_eps=keys.layer_norm_epsilon,
        norm_bias=False,
        activation="gelu",
        gated=False,
        qkv_clip=attention.clip_qkv or None,
        slopes=_mpt_slopes(heads),
        tied=bool(keys.tie_word_embeddings),
    )


def _falcon(keys: Keys) -> Architecture:
    grouped, parallel = bool(keys.new_decoder_architecture), bool(keys.parallel_attn)
    if keys.alibi or (grouped and not parallel):
        raise InputError(
            "expected a Falcon with rotary positions and, where it is of the new architecture, parallel attention, "
            "found another in config.json; csvjax does not know how to score this model"
        )
    two = grouped and keys.num_ln_in_parallel_attn in (None, 2)
    head_width = keys.hidden_size // keys.num_attention_heads
    layer = Layer(None, layer_rope(keys, 0, head_width), head_width**-0.5)
    bias = bool(keys.bias)
    return Architecture(
        family="falcon_two_norms" if two else "falcon",
        vocabulary=keys.vocab_size,
        width=keys.hidden_size,
        hidden=keys.ffn_hidden_size,
        heads=keys.num_attention_heads,
        kv_heads=keys.num_kv_heads if grouped or not keys.multi_query else 1,
        head_width=head_width,
        context=keys.max_position_embeddings,
        layers=(layer,) * keys.num_hidden_layers,
        norm="layer",
        norm_eps=keys.layer_norm_epsilon,
        activation=activation(keys.activation),
        parallel=parallel,
        shared_norm=parallel and not two,
        gated=False,
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=bias,
        tied=bool(keys.tie_word_embeddings),
    )


def _keys(names: str) -> frozenset[str]:
    return frozenset(names.split())


LINEAR_BIASES: Mapping[str, Family] = {
    "bloom": Family(
        _bloom,
        _keys(
            "vocab_size hidden_size n_layer n_head layer_norm_epsilon apply_residual_connection_post_layernorm "
            "seq_length tie_word_embeddings"
        ),
    ),
    "mpt": Family(
        _mpt,
        _keys("vocab_size d_model n_heads n_layers max_seq_len layer_norm_epsilon attn_config tie_word_embeddings"),
    ),
    "falcon": Family(
        _falcon,
        _keys(
            "vocab_size hidden_size num_hidden_layers num_attention_heads num_kv_heads num_ln_in_parallel_attn "
            "layer_norm_epsilon alibi new_decoder_architecture multi_query parallel_attn bias ffn_hidden_size "
            "activation max_position_embeddings rope_parameters original_max_position_embeddings tie_word_embeddings"
        ),
    ),
}
