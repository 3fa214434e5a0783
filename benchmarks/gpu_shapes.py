"""The rows of the table of `benchmarks.extraction --device gpu`: shapes of well-known models, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CONFIGS", "ROWS", "Row", "tiny"]

CONFIGS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {}),
    "pythia-160m": (
        "gpt_neox",
        {
            "vocab_size": 50304,
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 2048,
        },
    ),
    "llama-1.2b": (
        "llama",
        {
            "vocab_size": 128256,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
            "rope_theta": 500000.0,
        },
    ),
}
"""Name to `model_type` and configuration."""


@dataclass(frozen=True)
class Row:
    """`before`: tokens/s of PyTorch (best of sdpa and compiled), and of csvjax, measured on an H200 before there were
    fused kernels in csvjax."""

    model: str
    dtype: str
    batch: int
    length: int
    before: tuple[float, float] = (0.0, 0.0)

    @property
    def name(self) -> str:
        return f"{self.model} {self.dtype} {self.batch}x{self.length}"


ROWS = (
    Row("llama-1.2b", "bfloat16", 8, 2048, (167e3, 116e3)),
    Row("pythia-160m", "bfloat16", 64, 1024, (844e3, 685e3)),
    Row("gpt2", "bfloat16", 64, 1024, (531e3, 726e3)),
    Row("llama-1.2b", "bfloat16", 2, 8192, (133e3, 53e3)),
    Row("llama-1.2b", "bfloat16", 1, 2048, (132e3, 81e3)),
    Row("gpt2", "float32", 32, 1024, (149e3, 151e3)),
    Row("llama-1.2b", "float32", 8, 1024, (16.4e3, 18.4e3)),
)
"""What matters most comes first, in case that time runs out."""


def tiny(values: dict[str, Any]) -> dict[str, Any]:
    """The same with almost nothing in it, for a machine without a GPU."""
    if not values:
        return {"vocab_size": 517, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 8192}
    small = {"vocab_size": 517, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {name: n for name, n in (("num_attention_heads", 4), ("num_key_value_heads", 2)) if name in values}
    return values | small | heads
