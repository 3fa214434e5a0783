"""Predict what a language model will be able to do, with intervals, from token losses, benchmark scores and compute.

Public names are imported when they are first used, so that `import csvjax` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csvjax.data.dataset import Dataset
    from csvjax.data.losses import LossTable
    from csvjax.data.read_losses import read_losses
    from csvjax.data.read_scores import read_scores
    from csvjax.data.scores import ScoreTable
    from csvjax.ladder.load import load_ladder

__all__ = ["Dataset", "LossTable", "ScoreTable", "load_ladder", "read_losses", "read_scores"]

_HOME = {
    "Dataset": "csvjax.data.dataset",
    "LossTable": "csvjax.data.losses",
    "ScoreTable": "csvjax.data.scores",
    "load_ladder": "csvjax.ladder.load",
    "read_losses": "csvjax.data.read_losses",
    "read_scores": "csvjax.data.read_scores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'csvjax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
