"""The residual map: the difference between the score and the prediction of each model on each benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from csvjax.data.scales import LOWER
from csvjax.plot.style import are_fractions, checked, figure, needs, shown, unit_of

__all__ = ["COLOURBAR", "DIVERGING", "residuals"]

DIVERGING = [[0.0, "#0B4F8A"], [0.25, "#6FA8D6"], [0.5, "#F2F2F2"], [0.75, "#E79A5B"], [1.0, "#A63D00"]]
"""From blue through grey to orange, which colour-blind readers can distinguish."""

COLOURBAR = {"thickness": 12, "lenmode": "pixels", "len": 170, "y": 1, "yanchor": "top"}
_LABELLED = 60  # models whose names fit below the map
_HALF = 1.645  # deviations from the middle to the end of a 90 % interval


def residuals(table: pd.DataFrame, limit: int = 120) -> Any:
    """Observed minus predicted score of every model and benchmark.

    Args:
        table: rows with lm, benchmark, observed and mean, as in `csvjax.predict(...).table()`.
        limit: largest number of models that are shown; those with the largest residuals are kept.

    Returns: a Plotly figure. Orange is better than predicted, blue is worse. If the benchmarks have several units,
    residuals are in standard deviations of the prediction.

    Raises: InputError for a table without these columns or without known scores.
    """
    known = checked(table, ("lm", "benchmark", "observed", "mean"), "predictions").dropna(subset=["observed"])
    needs(len(known) > 0, "expected predictions of known scores, found none; hold out some scores")
    mixed = "unit" in known and known["unit"].nunique() > 1
    away = known["observed"] - known["mean"]
    error = known.assign(error=_deviations(known) if mixed else -away if LOWER in unit_of(known) else away)
    grid = error.pivot_table(index="lm", columns="benchmark", values="error", sort=False)
    worst = grid.abs().mean(axis=1).sort_values(ascending=False, kind="stable").index[:limit]
    grid = grid.loc[[name for name in grid.index if name in set(worst)]].T[::-1]
    z = grid.to_numpy(float)
    scale, unit = (100.0, "points") if are_fractions(known) else (1.0, "deviations" if mixed else "unit of score")
    labelled = grid.shape[1] <= _LABELLED
    end = float(np.nanquantile(np.abs(z), 0.98)) * scale or 1.0
    trace = {
        "type": "heatmap",
        "z": [[None if np.isnan(v) else round(float(v) * scale, 3) for v in row] for row in z],
        "x": [shown(name) for name in grid.columns], "y": [shown(name) for name in grid.index],
        "meta": {"x": "lm", "y": "benchmark"}, "colorscale": DIVERGING, "zmin": -end, "zmax": end,
        "xgap": int(labelled), "ygap": 1,  # gaps would hide the narrow cells of many models
        "colorbar": {**COLOURBAR, "title": {"text": unit}},
        "hovertemplate": "<b>%{x}</b>, %{y}<br>observed − predicted: %{z:+.1f} " + unit + "<extra></extra>",  # noqa: RUF001
    }  # fmt: skip
    x, y = ({"automargin": True, "ticks": "", "type": "category"} for _ in range(2))
    x |= {"tickangle": -60, "showticklabels": labelled, "dtick": 1, "title": {"text": "" if labelled else "models"}}
    return figure([trace], x, y, height=max(240, (190 if labelled else 90) + 22 * len(grid)))


def _deviations(known: pd.DataFrame) -> pd.Series:
    """Observed minus predicted score in standard deviations of the prediction, above 0 if better than predicted."""
    lower = known["unit"].str.contains(LOWER, regex=False)
    deviation = (known["upper90"] - known["lower90"]) / (2 * _HALF)
    return (known["observed"] - known["mean"]) / deviation.clip(lower=1e-12) * np.where(lower, -1.0, 1.0)
