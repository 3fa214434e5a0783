"""Families with mixtures of experts: Mixtral, OLMoE, Qwen2-MoE, Qwen3-MoE and GraniteMoe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture, Experts
from csvjax.lms.keys import Family, Keys
from csvjax.lms.modern import granite, modern, modern_keys

__all__ = ["MIXTURES"]


def _with_experts(architecture: Architecture, experts: Experts, dense: frozenset[int] = frozenset()) -> Architecture:
    """Give every layer the experts, but for the `dense` ones."""
    if not 1 <= experts.active <= experts.count:
        raise InputError(
            f"expected from 1 to {experts.count} experts for each token, found {experts.active} in config.json; "
            "download the file again"
        )
    layers = [layer if i in dense else replace(layer, experts=experts) for i, layer in enumerate(architecture.layers)]
    return replace(architecture, layers=tuple(layers))


def _mixtral(keys: Keys) -> Architecture:
    return _with_experts(
        modern(keys), Experts(keys.num_local_experts, keys.num_experts_per_tok, keys.intermediate_size)
    )


def _granitemoe(keys: Keys) -> Architecture:
    # PyTorch takes the softmax of the active experts alone, which is the normalised softmax of all.
    return _with_experts(
        granite(keys), Experts(keys.num_local_experts, keys.num_experts_per_tok, keys.intermediate_size)
    )


def _olmoe(keys: Keys) -> Architecture:
    experts = Experts(keys.num_experts, keys.num_experts_per_tok, keys.intermediate_size, bool(keys.norm_topk_prob))
    return _with_experts(modern(keys, head_norm="all", qkv_clip=keys.clip_qkv), experts)


def _qwen_moe(keys: Keys, architecture: Architecture) -> Architecture:
    experts = Experts(
        keys.num_experts,
        keys.num_experts_per_tok,
        keys.moe_intermediate_size,
        bool(keys.norm_topk_prob),
        keys.shared_expert_intermediate_size or 0,
    )
    every = keys.decoder_sparse_step
    dense = {i for i in range(keys.num_hidden_layers) if (i + 1) % every} | set(keys.mlp_only_layers or ())
    return _with_experts(architecture, experts, frozenset(dense))


def _qwen3_moe(keys: Keys) -> Architecture:
    return _qwen_moe(keys, modern(keys, head_norm="head"))


def _qwen2_moe(keys: Keys) -> Architecture:
    return _qwen_moe(keys, modern(keys, qkv_bias=bool(keys.qkv_bias)))


_QWEN_MOE = "num_experts num_experts_per_tok moe_intermediate_size norm_topk_prob decoder_sparse_step mlp_only_layers "

MIXTURES: Mapping[str, Family] = {
    "mixtral": Family(_mixtral, modern_keys("sliding_window num_local_experts num_experts_per_tok")),
    "olmoe": Family(_olmoe, modern_keys("attention_bias clip_qkv num_experts num_experts_per_tok norm_topk_prob")),
    "qwen2_moe": Family(
        _qwen2_moe,
        modern_keys(_QWEN_MOE + "sliding_window layer_types qkv_bias shared_expert_intermediate_size"),
    ),
    "qwen3_moe": Family(_qwen3_moe, modern_keys(_QWEN_MOE + "sliding_window attention_bias")),
    "granitemoe": Family(
        _granitemoe,
        modern_keys(
            "attention_bias embedding_multiplier residual_multiplier attention_multiplier logits_scaling "
            "num_local_experts num_experts_per_tok"
        ),
    ),
}
