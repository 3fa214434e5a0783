"""Figure of predicted against observed scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from csvjax.plot.style import checked, dots, figure, is_log, line, needs, of_family, score_axis, shown, unit_of

__all__ = ["predicted"]

_HOVER = "<b>%{customdata[0]}</b>, %{customdata[1]}<br>observed %{x}<br>predicted %{y}<extra></extra>"


def predicted(table: pd.DataFrame, families: Sequence[str] | None = None) -> Any:
    """Predicted against observed score, with the 90 % interval of a new observation.

    Args:
        table: rows with lm, family, benchmark, observed, mean, lower90 and upper90, as in
            `csvjax.predict(...).table()`; rows without a known score are left out.
        families: all families in the order of their colours, so that figures of several tables agree.

    Returns: a Plotly figure. On the diagonal the prediction is exact; an open mark lies outside its interval.

    Raises: InputError for a table without these columns or without known scores.
    """
    columns = ("lm", "family", "benchmark", "observed", "mean", "lower90", "upper90")
    known = checked(table, columns, "predictions").dropna(subset=["observed"])
    needs(len(known) > 0, "expected predictions of known scores, found none; hold out some scores")
    values = known[["observed", "lower90", "upper90"]].to_numpy(float)
    unit = unit_of(known)
    ends = _ends(np.log10(np.maximum(values, 1e-12)) if is_log(unit) else values)
    along = [10**end for end in ends] if is_log(unit) else ends
    traces = [line(along, along, dash="dot")]
    for family, (colour, symbol) in of_family(known["family"], families).items():
        rows = known[known["family"].astype(str) == family]
        if rows.empty:
            continue
        out = (rows["observed"] < rows["lower90"] - 1e-6) | (rows["observed"] > rows["upper90"] + 1e-6)
        found = dots(
            rows, "observed", "mean", lower="lower90", upper="upper90", colour=colour, name=shown(family),
            hovertemplate=_HOVER,
        )  # fmt: skip
        found["marker"]["symbol"] = np.where(out, f"{symbol}-open", symbol).tolist()
        traces.append(found)
    x, y = (score_axis(f"{word} score", values.ravel(), unit, range=ends) for word in ("observed", "predicted"))
    return figure(traces, x, y)


def _ends(values: np.ndarray) -> list[float]:
    """The range of an axis, with a margin."""
    low, high = values.min(), values.max()
    pad = 0.04 * (high - low or 0.1)
    return [float(low - pad), float(high + pad)]
