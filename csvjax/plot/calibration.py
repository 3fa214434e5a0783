"""Figures of calibration: coverage by benchmark, and positions of scores in their predicted distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax.evaluate.sbc import simultaneous_band
from csvjax.plot.style import ACCENT, FAINT, PALETTE, axis, checked, dots, figure, needs, of_family, ribbon, shown
from csvjax.result.tables import coverage_interval

__all__ = ["coverage", "coverage_table", "pit", "positions"]

_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_COLUMNS = ("lower90", "lower80", "lower50", "median", "upper50", "upper80", "upper90")
_ALL = "all benchmarks"


def _known(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    known = checked(table, ("lm", "benchmark", "observed", *columns), "predictions").dropna(subset=["observed"])
    needs(len(known) > 0, "expected predictions of known scores, found none; hold out some scores")
    return known


def coverage_table(table: pd.DataFrame, level: int = 90) -> pd.DataFrame:
    """The share of scores inside their intervals: a row for all scores, then a row for each benchmark.

    Args:
        table: rows with lm, benchmark, observed and the ends of the interval.
        level: 50, 80 or 90, in per cent.

    Returns: the columns benchmark, scores, inside (the share), and lower and upper end of its 95 % interval, for which
    scores of one model may depend on each other (`csvjax.result.tables.coverage_interval`).
    """
    known = _known(table, (f"lower{level}", f"upper{level}"))
    inside = (known["observed"] >= known[f"lower{level}"] - 1e-6) & (known["observed"] <= known[f"upper{level}"] + 1e-6)
    rows = []
    for name, at in [(_ALL, known.index), *known.groupby("benchmark", sort=False).groups.items()]:
        share = coverage_interval(inside[at], known.loc[at, "lm"])
        rows.append((str(name), len(at), float(inside[at].mean()), *share))
    return pd.DataFrame(rows, columns=["benchmark", "scores", "inside", "lower", "upper"])


def coverage(table: pd.DataFrame, level: int = 90) -> Any:
    """Share of held-out scores inside their interval, for all benchmarks and for each.

    Args:
        table: rows with lm, benchmark, observed and the two ends of the interval, as `csvjax.predict` gives them.
        level: 50, 80 or 90, in per cent.

    Returns: a Plotly figure with shares, their 95 % intervals, and a line at `level`.

    Raises: InputError for a table without these columns or without known scores.
    """
    found = coverage_table(table.reset_index(drop=True), level)[::-1]
    whole = found["benchmark"] == _ALL
    hover = "<b>%{y}</b><br>%{x} inside (95 % interval %{customdata[2]})<extra></extra>"
    traces = []
    for rows, colour in ((found[~whole], ACCENT), (found[whole], PALETTE[1])):
        trace = dots(rows, "inside", "benchmark", lower="lower", upper="upper", along="x", colour=colour)
        text = [
            f"{low:.0%} to {high:.0%} of {n} scores" for low, high, n in rows[["lower", "upper", "scores"]].to_numpy()
        ]
        trace["customdata"] = [[*names, its] for names, its in zip(trace["customdata"], text, strict=True)]
        traces.append(trace | {"hovertemplate": hover, "showlegend": False})
    return figure(
        traces,
        axis(f"share inside the {level} % interval (%)", tickformat=".0%", range=[0, 1.02]),
        axis("", categoryorder="array", categoryarray=[shown(name) for name in found["benchmark"]]),
        height=130 + 22 * len(found),
        shapes=[
            {"type": "line", "x0": level / 100, "x1": level / 100, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": FAINT, "dash": "dot"}},
        ],
    )  # fmt: skip


def positions(table: pd.DataFrame) -> Float[np.ndarray, " row"]:
    """Where each known score lies in its predicted distribution, from 0 to 1 (the probability integral transform).

    It is interpolated linearly between the seven quantiles in the table (5, 10, 25, 50, 75, 90 and 95 %). Beyond them
    the position is the middle of the tail, 0.025 or 0.975. A score that equals several quantiles gets their mean.
    """
    ends = table[list(_COLUMNS)].to_numpy(float)
    y = table["observed"].to_numpy(float)
    found = []
    for value, at in zip(y, ends, strict=True):
        left, right = np.searchsorted(at, value - 1e-9), np.searchsorted(at, value + 1e-9, side="right")
        if right > left:  # equal to one or more quantiles
            found.append(float(np.mean(_QUANTILES[left:right])))
        elif left in (0, len(at)):
            found.append(0.025 if left == 0 else 0.975)
        else:
            share = (value - at[left - 1]) / (at[left] - at[left - 1])
            found.append(_QUANTILES[left - 1] + share * (_QUANTILES[left] - _QUANTILES[left - 1]))
    return np.array(found)


def pit(table: pd.DataFrame, families: Sequence[str] | None = None) -> Any:
    """Positions of scores in their predicted distributions: the empirical minus the uniform distribution.

    Args:
        table: rows with lm, family, benchmark, observed, median and the ends of the 50, 80 and 90 % intervals.
        families: all families in the order of their colours, so that figures of several tables agree.

    Returns: a Plotly figure. Marks inside the band are calibrated. If they rise in the middle, intervals are too wide;
    if they fall there, too narrow; above 0, predictions are too high. The band contains 95 % of distributions of
    independent scores at all points at once (Säilynoja, Bürkner and Vehtari 2022). Scores of one model are not
    independent.

    Raises: InputError for a table without these columns or without known scores.
    """
    known = _known(table, ("family", *_COLUMNS))
    u = positions(known)
    order = np.argsort(u, kind="stable")
    known = known.iloc[order].assign(position=u[order])
    rank = (np.searchsorted(u[order], u[order], side="right")) / len(u)
    known = known.assign(excess=(rank - known["position"]).round(3))
    band = simultaneous_band(len(u))
    traces = ribbon(band.at, band.lower - band.at, band.upper - band.at, FAINT, "95 % if calibrated")
    for family, (colour, symbol) in of_family(known["family"].sort_index(), families).items():
        rows = known[known["family"].astype(str) == family]
        if rows.empty:
            continue
        traces.append(
            dots(rows, "position", "excess", colour=colour, symbol=symbol, size=5, name=shown(family))
            | {"hovertemplate": "<b>%{customdata[0]}</b>, %{customdata[1]}<br>position %{x:.0%}<extra></extra>"}
        )
    return figure(
        traces,
        axis("position in the predicted distribution (%)", tickformat=".0%", range=[0, 1]),
        axis("observed minus expected share (%)", tickformat="+.0%"),
    )
