"""Figures of scores against the mean loss, or against the loss weighted by salience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from csvjax.plot.style import FAINT, axis, checked, dots, figure, needs, of_family, score_axis, shown, unit_of

__all__ = ["rank_correlation", "score_by_loss"]

_TITLES = {"salient_loss": "salient loss (nats per byte)", "mean_loss": "mean loss (nats per byte)"}


def rank_correlation(x: pd.Series, y: pd.Series) -> float | None:
    """Spearman's rho, which does not depend on a monotone link; None for fewer than three pairs."""
    known = x.notna() & y.notna()
    if known.sum() < 3 or x[known].nunique() < 2 or y[known].nunique() < 2:
        return None
    return float(x[known].rank().corr(y[known].rank()))


def score_by_loss(
    table: pd.DataFrame,
    loss: Literal["salient_loss", "mean_loss"] = "salient_loss",
    families: Sequence[str] | None = None,
    intervals: bool = True,
) -> Any:
    """Observed scores, and their predicted 90 % intervals, against a loss.

    Args:
        table: predictions of one benchmark with lm, family, benchmark, observed, mean, lower90, upper90 and the loss
            (`csvjax.result.salient.with_losses`).
        loss: "salient_loss" or "mean_loss".
        families: all families in the order of their colours, so that figures of several tables agree.
        intervals: whether to draw the predictions too.

    Returns: a Plotly figure. Bars are predictions, marks are observed scores.

    Raises: InputError for a table without these columns or without a loss.
    """
    columns = ("lm", "family", "benchmark", "observed", "mean", "lower90", "upper90", loss)
    known = checked(table, columns, "predictions").dropna(subset=[loss])
    needs(len(known) > 0, f"expected predictions of models with a {loss}, found none; fit with losses")
    traces = []
    if intervals:
        band = dots(known, loss, "mean", lower="lower90", upper="upper90", colour=FAINT, symbol="line-ew", size=9)
        hover = "<b>%{customdata[0]}</b><br>predicted %{y}<extra></extra>"
        traces.append(band | {"name": "predicted, 90 % interval", "hovertemplate": hover})
    for family, (colour, symbol) in of_family(known["family"], families).items():
        rows = known[(known["family"].astype(str) == family) & known["observed"].notna()]
        if rows.empty:
            continue
        trace = dots(rows, loss, "observed", colour=colour, symbol=symbol, name=shown(family))
        hover = f"<b>%{{customdata[0]}}</b><br>observed %{{y}}<br>{_TITLES[loss]} %{{x:.3f}}<extra></extra>"
        traces.append(trace | {"hovertemplate": hover})
    values = known[["observed", "lower90", "upper90"] if intervals else ["observed"]].to_numpy(float).ravel()
    return figure(traces, axis(_TITLES[loss]), score_axis("score", values, unit_of(known)))
