"""Families with layer norms and plain MLPs: GPT-2, StarCoder, GPT-Neo, OPT, XGLM and GPT-NeoX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture, Layer
from csvjax.lms.keys import Family, Keys, activation, layer_rope

__all__ = ["CLASSIC"]


def _gpt(keys: Keys, scales: Sequence[float], **switches: Any) -> Architecture:
    """GPT-2 and its siblings. scales: of the attention scores of each layer."""
    return Architecture(
        vocabulary=keys.vocab_size,
        width=keys.n_embd,
        heads=keys.n_head,
        head_width=keys.n_embd // keys.n_head,
        context=keys.n_positions,
        layers=tuple(Layer(None, None, scale) for scale in scales),
        norm="layer",
        norm_eps=keys.layer_norm_epsilon,
        activation=activation(keys.activation_function),
        gated=False,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        learned_positions=keys.n_positions,
        tied=bool(keys.tie_word_embeddings),
        **switches,
    )


def _gpt_scale(keys: Keys) -> float:
    return (keys.n_embd // keys.n_head) ** -0.5 if keys.scale_attn_weights else 1.0


def _gpt2(keys: Keys) -> Architecture:
    scale, deeper = _gpt_scale(keys), keys.scale_attn_by_inverse_layer_idx
    scales = [scale / (i + 1) if deeper else scale for i in range(keys.n_layer)]
    return _gpt(keys, scales, family="gpt2", hidden=keys.n_inner or 4 * keys.n_embd, kv_heads=keys.n_head)


def _gpt_bigcode(keys: Keys) -> Architecture:
    hidden = 4 * keys.n_embd if keys.n_inner is None else keys.n_inner
    kv_heads = 1 if keys.multi_query else keys.n_head
    scales = [_gpt_scale(keys)] * keys.n_layer
    return _gpt(keys, scales, family="gpt_bigcode", hidden=hidden, kv_heads=kv_heads)


def _opt(keys: Keys) -> Architecture:
    head_width = keys.hidden_size // keys.num_attention_heads
    before = keys.do_layer_norm_before
    return Architecture(
        family="opt",
        vocabulary=keys.vocab_size,
        width=keys.hidden_size,
        hidden=keys.ffn_dim,
        heads=keys.num_attention_heads,
        kv_heads=keys.num_attention_heads,
        head_width=head_width,
        context=keys.max_position_embeddings,
        layers=(Layer(None, None, head_width**-0.5),) * keys.num_hidden_layers,
        norm="layer",
        norm_eps=1e-5,
        norm_affine=keys.layer_norm_elementwise_affine,
        activation=activation(keys.activation_function),
        norms=("before",) if before else ("residual",),
        final_norm=before and not keys._remove_final_layer_norm,
        gated=False,
        qkv_bias=keys.enable_bias,
        out_bias=keys.enable_bias,
        mlp_bias=keys.enable_bias,
        learned_positions=keys.max_position_embeddings + 2,
        position_offset=2,
        embedding_width=keys.word_embed_proj_dim,
        tied=bool(keys.tie_word_embeddings),
    )


def _xglm(keys: Keys) -> Architecture:
    if keys.pad_token_id is not None and not 0 <= keys.pad_token_id < 2:
        raise InputError(
            f"expected a pad_token_id of 0 or 1 for an XGLM, found {keys.pad_token_id} in config.json; another one has "
            "no position, and csvjax does not know how to score this model"
        )
    head_width = keys.d_model // keys.attention_heads
    return Architecture(
        family="xglm",
        vocabulary=keys.vocab_size,
        width=keys.d_model,
        hidden=keys.ffn_dim,
        heads=keys.attention_heads,
        kv_heads=keys.attention_heads,
        head_width=head_width,
        context=keys.max_position_embeddings,  # positions have no limit; this is the training length
        layers=(Layer(None, None, head_width**-0.5),) * keys.num_layers,
        norm="layer",
        norm_eps=1e-5,
        activation=activation(keys.activation_function),
        gated=False,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        sinusoids=True,
        position_offset=2,
        embedding_scale=keys.d_model**0.5 if keys.scale_embedding else 1.0,
        tied=bool(keys.tie_word_embeddings),
    )


def _gpt_neox(keys: Keys) -> Architecture:
    head_width = keys.hidden_size // keys.num_attention_heads
    rope = layer_rope(keys, 0, keys.head_dim or head_width)  # head_dim is used only here
    return Architecture(
        family="gpt_neox",
        vocabulary=keys.vocab_size,
        width=keys.hidden_size,
        hidden=keys.intermediate_size,
        heads=keys.num_attention_heads,
        kv_heads=keys.num_attention_heads,
        head_width=head_width,
        context=keys.max_position_embeddings,
        layers=(Layer(None, rope, head_width**-0.5),) * keys.num_hidden_layers,
        norm="layer",
        norm_eps=keys.layer_norm_eps,
        activation=activation(keys.hidden_act),
        parallel=keys.use_parallel_residual,
        gated=False,
        qkv_bias=keys.attention_bias,
        out_bias=keys.attention_bias,
        mlp_bias=True,
        tied=bool(keys.tie_word_embeddings),
    )


def _gpt_neo(keys: Keys) -> Architecture:
    window = {"global": None, "local": keys.window_size}
    return Architecture(
        family="gpt_neo",
        vocabulary=keys.vocab_size,
        width=keys.hidden_size,
        hidden=keys.intermediate_size or 4 * keys.hidden_size,
        heads=keys.num_heads,
        kv_heads=keys.num_heads,
        head_width=keys.hidden_size // keys.num_heads,
        context=keys.max_position_embeddings,
        layers=tuple(Layer(window[kind], None, 1.0) for kind in keys.attention_layers),  # GPT-Neo does not scale scores
        norm="layer",
        norm_eps=keys.layer_norm_epsilon,
        activation=activation(keys.activation_function),
        gated=False,
        out_bias=True,
        mlp_bias=True,
        learned_positions=keys.max_position_embeddings,
        tied=bool(keys.tie_word_embeddings),
    )


def _keys(names: str) -> frozenset[str]:
    return frozenset(names.split())


CLASSIC: Mapping[str, Family] = {
    "gpt2": Family(
        _gpt2,
        _keys(
            "vocab_size n_embd n_layer n_head n_positions n_inner layer_norm_epsilon activation_function "
            "scale_attn_weights scale_attn_by_inverse_layer_idx add_cross_attention tie_word_embeddings"
        ),
    ),
    "gpt_bigcode": Family(
        _gpt_bigcode,
        _keys(
            "vocab_size n_embd n_layer n_head n_positions n_inner layer_norm_epsilon activation_function "
            "scale_attn_weights multi_query add_cross_attention tie_word_embeddings"
        ),
    ),
    "xglm": Family(
        _xglm,
        _keys(
            "vocab_size d_model num_layers attention_heads ffn_dim max_position_embeddings scale_embedding "
            "activation_function pad_token_id add_cross_attention tie_word_embeddings"
        ),
    ),
    "gpt_neox": Family(
        _gpt_neox,
        _keys(
            "vocab_size hidden_size num_hidden_layers num_attention_heads head_dim intermediate_size hidden_act "
            "max_position_embeddings layer_norm_eps rope_parameters original_max_position_embeddings "
            "partial_rotary_factor use_parallel_residual attention_bias tie_word_embeddings"
        ),
    ),
    "gpt_neo": Family(
        _gpt_neo,
        _keys(
            "vocab_size hidden_size num_heads attention_layers window_size intermediate_size max_position_embeddings "
            "layer_norm_epsilon activation_function tie_word_embeddings"
        ),
    ),
    "opt": Family(
        _opt,
        _keys(
            "vocab_size hidden_size num_hidden_layers num_attention_heads ffn_dim max_position_embeddings "
            "do_layer_norm_before _remove_final_layer_norm word_embed_proj_dim activation_function enable_bias "
            "layer_norm_elementwise_affine tie_word_embeddings"
        ),
    ),
}
