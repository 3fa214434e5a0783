"""The small random checkpoints: a configuration for each, with values that are nobody's default."""

from __future__ import annotations

from typing import Any

__all__ = ["CASES", "LENGTH", "VOCABULARY", "seed"]

VOCABULARY, LENGTH = 61, 20

_LLAMA: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-3,
    "initializer_range": 0.4,
}
_THETA = {"rope_type": "default", "rope_theta": 300.0}
_GEMMA = _LLAMA | {"head_dim": 6, "query_pre_attn_scalar": 11, "sliding_window": 5}
_NEOX: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "max_position_embeddings": 64,
    "layer_norm_eps": 1e-3,
    "initializer_range": 0.4,
}
_OPT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "ffn_dim": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "init_std": 0.4,
}
_GPT2: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "n_inner": 24,
    "layer_norm_epsilon": 1e-3,
    "initializer_range": 0.4,
}

_XGLM: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 16,
    "ffn_dim": 24,
    "num_layers": 2,
    "attention_heads": 4,
    "max_position_embeddings": 64,
    "init_std": 0.4,
}
_HALF = {"partial_rotary_factor": 0.5}
_FALCON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "ffn_hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "layer_norm_epsilon": 1e-3,
    "initializer_range": 0.4,
    "rope_parameters": _THETA,
}
_EXPERTS = {"num_experts": 5, "num_experts_per_tok": 2}
# Keys of other families, which PyTorch's model never looks at.
_FOREIGN: dict[str, Any] = {
    "sliding_window": 3,
    "layer_types": ["sliding_attention", "full_attention"],
    "partial_rotary_factor": 0.5,
    "query_pre_attn_scalar": 3,
    "hidden_activation": "relu",
    "attn_logit_softcapping": 1.0,
}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", _GPT2),
    "gpt2-scaled-untied": (
        "gpt2",
        _GPT2 | {"scale_attn_by_inverse_layer_idx": True, "tie_word_embeddings": False, "activation_function": "relu"},
    ),
    "gpt_neox": ("gpt_neox", _NEOX | {"rope_parameters": _THETA | {"partial_rotary_factor": 0.5}}),
    "gpt_neox-sequential-linear": (
        "gpt_neox",
        _NEOX
        | {
            "use_parallel_residual": False,
            "tie_word_embeddings": True,
            "hidden_act": "gelu_fast",
            "rope_parameters": _THETA | {"rope_type": "linear", "factor": 3.0, "partial_rotary_factor": 0.75},
        },
    ),
    "llama": (
        "llama",
        _LLAMA | {"head_dim": 6, "attention_bias": True, "mlp_bias": True, "rope_parameters": _THETA},
    ),
    "llama-llama3-tied": (
        "llama",
        _LLAMA
        | {
            "num_key_value_heads": 1,
            "head_dim": 12,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 200.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 3.0,
                "original_max_position_embeddings": 24,
            },
        },
    ),
    "llama-dynamic": (
        "llama",
        _LLAMA | {"rope_parameters": _THETA | {"rope_type": "dynamic", "factor": 2.0}},
    ),
    "mistral": ("mistral", _LLAMA | {"head_dim": 6, "sliding_window": 5, "rope_parameters": _THETA}),
    "olmo2": ("olmo2", _LLAMA | {"rope_parameters": _THETA}),
    "qwen2-yarn-tied": (
        "qwen2",
        _LLAMA
        | {
            "tie_word_embeddings": True,
            "hidden_size": 32,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 300.0,
                "factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
    ),
    "qwen2-window": (
        "qwen2",
        _LLAMA | {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1, "rope_parameters": _THETA},
    ),
    "qwen3": ("qwen3", _LLAMA | {"head_dim": 6, "rope_parameters": _THETA}),
    "gemma2": (
        "gemma2",
        _GEMMA | {"attn_logit_softcapping": 3.0, "final_logit_softcapping": 7.0, "rope_parameters": _THETA},
    ),
    "gemma3": (
        "gemma3_text",
        _GEMMA
        | {
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
                "full_attention": {"rope_type": "linear", "rope_theta": 900.0, "factor": 2.0},
            },
        },
    ),
    "opt": ("opt", _OPT),
    "opt-residual-projected": (
        "opt",
        _OPT
        | {
            "do_layer_norm_before": False,
            "word_embed_proj_dim": 12,
            "tie_word_embeddings": False,
            "activation_function": "gelu",
        },
    ),
    "llama-foreign": ("llama", _LLAMA | _FOREIGN | {"rope_parameters": _THETA}),
    "olmo2-foreign": ("olmo2", _LLAMA | _FOREIGN | {"mlp_bias": True, "rope_parameters": _THETA}),
    "mistral-foreign": (
        "mistral",
        _LLAMA
        | {"sliding_window": 7, "attention_bias": True, "mlp_bias": True, "partial_rotary_factor": 0.5}
        | {"query_pre_attn_scalar": 3, "hidden_activation": "relu", "rope_parameters": _THETA},
    ),
    "llama-yarn-top": (
        "llama",
        _LLAMA
        | {
            "hidden_size": 32,
            "original_max_position_embeddings": 16,
            "rope_parameters": {"rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0},
        },
    ),
    "gemma": ("gemma", _LLAMA | {"head_dim": 6, "attention_bias": True, "rope_parameters": _THETA}),
    "ministral": (
        "ministral",
        _LLAMA
        | {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 5, "head_dim": 6}
        | {"rope_parameters": _THETA},
    ),
    "olmo": ("olmo", _LLAMA | {"clip_qkv": 1.0, "attention_bias": True, "rope_parameters": _THETA}),
    "olmo3": (
        "olmo3",
        _LLAMA
        | {
            "sliding_window": 5,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
                "full_attention": {
                    "rope_type": "yarn",
                    "rope_theta": 300.0,
                    "factor": 4.0,
                    "original_max_position_embeddings": 16,
                },
            },
        },
    ),
    "smollm3": (
        "smollm3",
        _LLAMA
        | {"no_rope_layers": [1, 0], "use_sliding_window": True, "sliding_window": 6, "mlp_bias": True}
        | {"attention_bias": True, "rope_parameters": _THETA},
    ),
    "granite": (
        "granite",
        _LLAMA
        | {"embedding_multiplier": 3.0, "residual_multiplier": 0.6, "attention_multiplier": 0.3}
        | {"logits_scaling": 0.8, "rope_parameters": _THETA},
    ),
    "phi3": ("phi3", _LLAMA | {"hidden_size": 32, "sliding_window": 5, "rope_parameters": _THETA | _HALF}),
    "phi3-longrope": (
        "phi3",
        _LLAMA
        | {
            "original_max_position_embeddings": 32,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 300.0,
                "short_factor": [1.0, 1.7],
                "long_factor": [2.0, 5.0],
            },
        },
    ),
    "starcoder2": ("starcoder2", _LLAMA | {"norm_epsilon": 1e-3, "sliding_window": 5, "rope_parameters": _THETA}),
    "starcoder2-plain": (
        "starcoder2",
        _LLAMA
        | {"norm_epsilon": 1e-3, "use_bias": False, "hidden_act": "relu2", "tie_word_embeddings": False}
        | {"rope_parameters": _THETA},
    ),
    "stablelm": (
        "stablelm",
        _LLAMA | {"hidden_size": 32, "layer_norm_eps": 1e-3, "use_qkv_bias": True, "rope_parameters": _THETA | _HALF},
    ),
    "stablelm-parallel": (
        "stablelm",
        _LLAMA | {"hidden_size": 32, "use_parallel_residual": True, "rope_parameters": _THETA | _HALF},
    ),
    "phi": ("phi", _LLAMA | {"hidden_size": 32, "layer_norm_eps": 1e-3, "rope_parameters": _THETA | _HALF}),
    "phi-norms": ("phi", _LLAMA | {"hidden_size": 32, "qk_layernorm": True, "rope_parameters": _THETA | _HALF}),
    "cohere": ("cohere", _LLAMA | {"layer_norm_eps": 1e-3, "logit_scale": 0.9, "rope_parameters": _THETA}),
    "cohere-norms": (
        "cohere",
        _LLAMA
        | {"use_qk_norm": True, "attention_bias": True, "tie_word_embeddings": False, "logit_scale": 0.9}
        | {"rope_parameters": _THETA},
    ),
    "gptj": (
        "gptj",
        {"vocab_size": VOCABULARY, "n_embd": 24, "n_head": 3, "n_layer": 2, "rotary_dim": 4, "n_positions": 64}
        | {"n_inner": 40, "layer_norm_epsilon": 1e-3, "initializer_range": 0.4},
    ),
    "gpt_neo": (
        "gpt_neo",
        {"vocab_size": VOCABULARY, "hidden_size": 16, "num_layers": 2, "num_heads": 4, "window_size": 5}
        | {"attention_types": [[["global", "local"], 1]], "intermediate_size": 24, "max_position_embeddings": 64}
        | {"layer_norm_epsilon": 1e-3, "initializer_range": 0.4},
    ),
    "bloom": (
        "bloom",
        {"vocab_size": VOCABULARY, "hidden_size": 24, "n_layer": 2, "n_head": 3}
        | {"layer_norm_epsilon": 1e-3, "initializer_range": 0.4},
    ),
    "mpt": (
        "mpt",
        {"vocab_size": VOCABULARY, "d_model": 24, "n_heads": 3, "n_layers": 2, "max_seq_len": 64}
        | {"attn_config": {"clip_qkv": 1.0, "softmax_scale": 0.3}, "layer_norm_epsilon": 1e-3}
        | {"initializer_range": 0.4},
    ),
    "falcon": ("falcon", _FALCON),
    "falcon-grouped": ("falcon", _FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon-one-norm": (
        "falcon",
        _FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1},
    ),
    "falcon-sequential": (
        "falcon",
        _FALCON | {"multi_query": False, "parallel_attn": False, "bias": True, "tie_word_embeddings": False},
    ),
    "gpt_bigcode": ("gpt_bigcode", _GPT2 | {"n_inner": 24}),
    "gpt_bigcode-many-keys": ("gpt_bigcode", _GPT2 | {"multi_query": False, "tie_word_embeddings": False}),
    "xglm": ("xglm", _XGLM),
    "xglm-odd": ("xglm", _XGLM | {"d_model": 21, "attention_heads": 3, "scale_embedding": False}),
    "glm": ("glm", _LLAMA | {"head_dim": 12, "rope_parameters": _THETA | _HALF}),
    "glm4": (
        "glm4",
        _LLAMA | {"head_dim": 8, "attention_bias": False, "rope_parameters": _THETA | {"partial_rotary_factor": 1.0}},
    ),
    "nemotron": ("nemotron", _LLAMA | {"head_dim": 8, "norm_eps": 1e-3, "rope_parameters": _THETA | _HALF}),
    "nemotron-biases": (
        "nemotron",
        _LLAMA
        | {"norm_eps": 1e-3, "attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"}
        | {"rope_parameters": _THETA | {"partial_rotary_factor": 1.0}},
    ),
    "cohere2": (
        "cohere2",
        _LLAMA
        | {"layer_norm_eps": 1e-3, "logit_scale": 0.9, "sliding_window": 5, "attention_bias": True}
        | {"layer_types": ["sliding_attention", "full_attention"], "rope_parameters": _THETA},
    ),
    "mixtral": (
        "mixtral",
        _LLAMA | {"head_dim": 6, "sliding_window": 5, "num_local_experts": 3, "rope_parameters": _THETA},
    ),
    "olmoe": ("olmoe", _LLAMA | {"clip_qkv": 1.0} | _EXPERTS | {"rope_parameters": _THETA}),
    "olmoe-normalised": (
        "olmoe",
        _LLAMA | _EXPERTS | {"norm_topk_prob": True, "attention_bias": True, "rope_parameters": _THETA},
    ),
    "qwen3_moe": (
        "qwen3_moe",
        _LLAMA
        | _EXPERTS
        | {"head_dim": 6, "moe_intermediate_size": 8, "mlp_only_layers": [1], "norm_topk_prob": True}
        | {"rope_parameters": _THETA},
    ),
    "qwen3_moe-window": (
        "qwen3_moe",
        _LLAMA
        | _EXPERTS
        | {"head_dim": 6, "moe_intermediate_size": 8, "use_sliding_window": True, "sliding_window": 5}
        | {"rope_parameters": _THETA},
    ),
    "qwen2_moe": (
        "qwen2_moe",
        _LLAMA
        | _EXPERTS
        | {"moe_intermediate_size": 8, "shared_expert_intermediate_size": 12, "decoder_sparse_step": 2}
        | {"rope_parameters": _THETA},
    ),
    "granitemoe": (
        "granitemoe",
        _LLAMA
        | {"embedding_multiplier": 3.0, "residual_multiplier": 0.6, "attention_multiplier": 0.3}
        | {"logits_scaling": 0.8, "num_local_experts": 5, "num_experts_per_tok": 3, "rope_parameters": _THETA},
    ),
    "phi3-longrope-partial": (
        "phi3",
        _LLAMA
        | {"hidden_size": 32, "original_max_position_embeddings": 32, "tie_word_embeddings": True}
        | {
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 300.0,
                "partial_rotary_factor": 0.5,
                "short_factor": [1.0, 1.7],
                "long_factor": [2.0, 5.0],
            },
        },
    ),
}
"""Name to `model_type` and configuration."""

_FIRST = sorted(list(CASES)[:16])


def seed(name: str) -> int:
    """The seed of a case, which does not change when cases are added at the end."""
    return _FIRST.index(name) if name in _FIRST else list(CASES).index(name)
