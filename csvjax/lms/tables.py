"""The names of the weights of each family in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from csvjax.lms.naming import Naming, by_group, gate_and_up, in_parts

__all__ = ["NAMING"]


def _changed(naming: Naming, **block: str) -> Naming:
    return replace(naming, block={**naming.block, **block})


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
    (
        "model.",
        "",
        "language_model.model.",
        "model.language_model.",
    ),  # the last two are for checkpoints with a vision model
    _LLAMA.top,
    dict(_OLMO2.block) | {"mlp_before": "layers.{}.pre_feedforward_layernorm"},
)

_BLOOM = Naming(
    prefixes=("transformer.", ""),
    top={"embedding": "word_embeddings", "embedding_norm": "word_embeddings_layernorm", "norm": "ln_f"},
    block={
        **dict.fromkeys(("query", "key", "value"), "h.{}.self_attention.query_key_value"),
        "out": "h.{}.self_attention.dense",
        "up": "h.{}.mlp.dense_h_to_4h",
        "down": "h.{}.mlp.dense_4h_to_h",
        "attention_before": "h.{}.input_layernorm",
        "mlp_before": "h.{}.post_attention_layernorm",
    },
    fused=by_group,
)

_GPT2 = Naming(
    prefixes=("transformer.", ""),
    top={"embedding": "wte", "positions": "wpe", "norm": "ln_f"},
    block={
        **dict.fromkeys(("query", "key", "value"), "h.{}.attn.c_attn"),
        "out": "h.{}.attn.c_proj",
        "up": "h.{}.mlp.c_fc",
        "down": "h.{}.mlp.c_proj",
        "attention_before": "h.{}.ln_1",
        "mlp_before": "h.{}.ln_2",
    },
    fused=in_parts,
    inputs_first=True,
)

_OPT = Naming(
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
)

_MIXTURE = _changed(
    _LLAMA,
    **{
        "experts.router": "layers.{}.mlp.gate",
        "experts.gate": "layers.{}.mlp.experts.{}.gate_proj",
        "experts.up": "layers.{}.mlp.experts.{}.up_proj",
        "experts.down": "layers.{}.mlp.experts.{}.down_proj",
        "experts.sharing": "layers.{}.mlp.shared_expert_gate",
        "experts.shared_gate": "layers.{}.mlp.shared_expert.gate_proj",
        "experts.shared_up": "layers.{}.mlp.shared_expert.up_proj",
        "experts.shared_down": "layers.{}.mlp.shared_expert.down_proj",
    },
)

_GLM = replace(_changed(_LLAMA, **dict.fromkeys(("gate", "up"), "layers.{}.mlp.gate_up_proj")), fused=gate_and_up)

NAMING: Mapping[str, Naming] = {
    "gpt2": _GPT2,
    # The first group of a single key has all queries, then this key and its value.
    "gpt_bigcode": replace(_GPT2, fused=by_group, inputs_first=False),
    "opt": _OPT,
    "xglm": replace(_OPT, prefixes=("model.", ""), top={"embedding": "embed_tokens", "norm": "layer_norm"}),
    "glm": _GLM,
    "glm4": _changed(
        _GLM,
        attention_after="layers.{}.post_self_attn_layernorm",
        mlp_after="layers.{}.post_mlp_layernorm",
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
        fused=by_group,
    ),
    **dict.fromkeys(("llama", "mistral", "ministral", "qwen2", "qwen3", "gemma", "olmo", "smollm3", "granite"), _LLAMA),
    **dict.fromkeys(("olmo2", "olmo3"), _OLMO2),
    **dict.fromkeys(("gemma2", "gemma3_text"), _GEMMA),
    **dict.fromkeys(("stablelm", "cohere", "cohere2", "nemotron"), _LLAMA),
    **dict.fromkeys(("olmoe", "qwen2_moe", "qwen3_moe"), _MIXTURE),
    "mixtral": _changed(
        _LLAMA,
        **{
            "experts.router": "layers.{}.block_sparse_moe.gate",
            "experts.gate": "layers.{}.block_sparse_moe.experts.{}.w1",
            "experts.up": "layers.{}.block_sparse_moe.experts.{}.w3",
            "experts.down": "layers.{}.block_sparse_moe.experts.{}.w2",
        },
    ),
    "granitemoe": replace(
        _changed(
            _LLAMA,
            **{
                "experts.router": "layers.{}.block_sparse_moe.router.layer",
                **dict.fromkeys(("experts.gate", "experts.up"), "layers.{}.block_sparse_moe.input_linear"),
                "experts.down": "layers.{}.block_sparse_moe.output_linear",
            },
        ),
        fused=gate_and_up,
    ),
    "starcoder2": _changed(_LLAMA, up="layers.{}.mlp.c_fc", down="layers.{}.mlp.c_proj"),
    "phi": replace(
        _changed(
            _LLAMA,
            out="layers.{}.self_attn.dense",
            query_norm="layers.{}.self_attn.q_layernorm",
            key_norm="layers.{}.self_attn.k_layernorm",
            up="layers.{}.mlp.fc1",
            down="layers.{}.mlp.fc2",
        ),
        top={"embedding": "embed_tokens", "norm": "final_layernorm"},
    ),
    "phi3": replace(
        _changed(
            _LLAMA,
            **dict.fromkeys(("query", "key", "value"), "layers.{}.self_attn.qkv_proj"),
            **dict.fromkeys(("gate", "up"), "layers.{}.mlp.gate_up_proj"),
        ),
        fused=in_parts,
    ),
    "gptj": Naming(
        prefixes=("transformer.", ""),
        top={"embedding": "wte", "norm": "ln_f"},
        block={
            "query": "h.{}.attn.q_proj",
            "key": "h.{}.attn.k_proj",
            "value": "h.{}.attn.v_proj",
            "out": "h.{}.attn.out_proj",
            "up": "h.{}.mlp.fc_in",
            "down": "h.{}.mlp.fc_out",
            "attention_before": "h.{}.ln_1",
        },
    ),
    "gpt_neo": Naming(
        prefixes=("transformer.", ""),
        top={"embedding": "wte", "positions": "wpe", "norm": "ln_f"},
        block={
            "query": "h.{}.attn.attention.q_proj",
            "key": "h.{}.attn.attention.k_proj",
            "value": "h.{}.attn.attention.v_proj",
            "out": "h.{}.attn.attention.out_proj",
            "up": "h.{}.mlp.c_fc",
            "down": "h.{}.mlp.c_proj",
            "attention_before": "h.{}.ln_1",
            "mlp_before": "h.{}.ln_2",
        },
    ),
    "bloom": _BLOOM,
    "falcon": _BLOOM,
    "falcon_two_norms": _changed(_BLOOM, attention_before="h.{}.ln_attn", mlp_before="h.{}.ln_mlp"),
    "mpt": Naming(
        prefixes=("transformer.", ""),
        top={"embedding": "wte", "norm": "norm_f"},
        block={
            **dict.fromkeys(("query", "key", "value"), "blocks.{}.attn.Wqkv"),
            "out": "blocks.{}.attn.out_proj",
            "up": "blocks.{}.ffn.up_proj",
            "down": "blocks.{}.ffn.down_proj",
            "attention_before": "blocks.{}.norm_1",
            "mlp_before": "blocks.{}.norm_2",
        },
        fused=in_parts,
    ),
}
