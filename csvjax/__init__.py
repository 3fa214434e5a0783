"""Predict what a language model will be able to do, with intervals, from token losses, benchmark scores and compute.

Public names are imported when they are first used, so that `import csvjax` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csvjax.dataset import Dataset
    from csvjax.ladder_data import load_ladder
    from csvjax.losses.read import read_losses
    from csvjax.losses.table import LossTable
    from csvjax.scores.read import read_scores
    from csvjax.scores.table import ScoreTable

__all__ = ["Dataset", "LossTable", "ScoreTable", "load_ladder", "read_losses", "read_scores"]

_HOME = {
    "Dataset": "csvjax.dataset",
    "LossTable": "csvjax.losses.table",
    "ScoreTable": "csvjax.scores.table",
    "load_ladder": "csvjax.ladder_data",
    "read_losses": "csvjax.losses.read",
    "read_scores": "csvjax.scores.read",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'csvjax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
