"""An environment with PyTorch, apart from csvjax's own: made once, for references and peers."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environment import interpreter

__all__ = ["REQUIREMENTS", "torch_python"]

REQUIREMENTS = (
    "torch==2.13.0",
    "transformers==5.24.0",
    "safetensors==0.8.0",
    "gguf==0.19.0",
    "lm-eval[hf]==0.4.13",
)


def torch_python() -> Path:
    """The interpreter of `.venv-torch`, which is made or brought up to date first."""
    return interpreter(".venv-torch", REQUIREMENTS)
