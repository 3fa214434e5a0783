"""Forecast benchmark scores of language models, with intervals, from token losses, other scores and compute.

Public names are imported when they are first used, so that `import csvjax` is fast.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the time that its import takes
if TYPE_CHECKING:
    from typing import Any

    from csvjax import plot
    from csvjax.data.dataset import Dataset, align
    from csvjax.data.losses import LossTable
    from csvjax.data.read_losses import read_losses
    from csvjax.data.read_scores import read_scores
    from csvjax.data.scores import ScoreTable
    from csvjax.fitting import fit
    from csvjax.infer.laplace import Laplace
    from csvjax.infer.map import Map
    from csvjax.infer.nuts import Nuts
    from csvjax.infer.svi import Svi
    from csvjax.ladder.load import load_ladder
    from csvjax.law.model import Law, Priors
    from csvjax.prediction import Prediction, predict
    from csvjax.result.files import load
    from csvjax.result.result import Result
    from csvjax.target import Reach, reach

__all__ = [
    "Dataset",
    "Laplace",
    "Law",
    "LossTable",
    "Map",
    "Nuts",
    "Prediction",
    "Priors",
    "Reach",
    "Result",
    "ScoreTable",
    "Svi",
    "align",
    "fit",
    "load",
    "load_ladder",
    "plot",
    "predict",
    "reach",
    "read_losses",
    "read_scores",
]

_HOME = {
    "Dataset": "csvjax.data.dataset",
    "Laplace": "csvjax.infer.laplace",
    "Law": "csvjax.law.model",
    "LossTable": "csvjax.data.losses",
    "Map": "csvjax.infer.map",
    "Nuts": "csvjax.infer.nuts",
    "Prediction": "csvjax.prediction",
    "Priors": "csvjax.law.model",
    "Reach": "csvjax.target",
    "Result": "csvjax.result.result",
    "ScoreTable": "csvjax.data.scores",
    "Svi": "csvjax.infer.svi",
    "align": "csvjax.data.dataset",
    "fit": "csvjax.fitting",
    "load": "csvjax.result.files",
    "load_ladder": "csvjax.ladder.load",
    "predict": "csvjax.prediction",
    "reach": "csvjax.target",
    "read_losses": "csvjax.data.read_losses",
    "read_scores": "csvjax.data.read_scores",
}


def __getattr__(name: str) -> Any:
    if name == "plot":
        return importlib.import_module("csvjax.plot")
    if name not in _HOME:
        raise AttributeError(f"module 'csvjax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
