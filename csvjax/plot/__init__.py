"""Figures of fits, predictions and comparisons. Each function makes a Plotly figure from a result or a table.

Every mark has the names of its model and benchmark in `customdata`, so that a page can select a model in all figures.
Names are imported when they are first used. Plotly comes with `pip install 'csvjax[report]'`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csvjax.plot.calibration import coverage, pit
    from csvjax.plot.comparison import methods
    from csvjax.plot.curves import capability_curve, compute_curve
    from csvjax.plot.domains import salience_by_domain
    from csvjax.plot.estimates import capabilities, loadings
    from csvjax.plot.losses import score_by_loss
    from csvjax.plot.points import predicted
    from csvjax.plot.priors import prior_posterior
    from csvjax.plot.residual_map import residuals

__all__ = [
    "capabilities",
    "capability_curve",
    "compute_curve",
    "coverage",
    "loadings",
    "methods",
    "pit",
    "predicted",
    "prior_posterior",
    "residuals",
    "salience_by_domain",
    "score_by_loss",
]

_HOME = {
    "capabilities": "estimates",
    "capability_curve": "curves",
    "compute_curve": "curves",
    "coverage": "calibration",
    "loadings": "estimates",
    "methods": "comparison",
    "pit": "calibration",
    "predicted": "points",
    "prior_posterior": "priors",
    "residuals": "residual_map",
    "salience_by_domain": "domains",
    "score_by_loss": "losses",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'csvjax.plot' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"csvjax.plot.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
