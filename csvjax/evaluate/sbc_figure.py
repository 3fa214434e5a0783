"""Plots simulation-based calibration: the positions of true values among the draws, by quantity and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

from csvjax.atomic import replacing
from csvjax.errors import installed
from csvjax.evaluate.sbc import judge, simultaneous_band

__all__ = ["write_positions"]

_BINS = 20
_INSIDE, _OUTSIDE, _BAND = "#1b7f5c", "#b3452c", "rgba(120, 120, 120, 0.25)"


def write_positions(
    position: Mapping[str, Float[np.ndarray, "sim quantity"]], quantities: Sequence[str], path: Path
) -> None:
    """Write an HTML file that works without network.

    There is a row for each quantity. For each method it has a histogram of the positions, with the range that contains
    95 % of uniform samples in each bar; and the empirical minus the uniform distribution, with the band that contains
    95 % of uniform samples at all points at once.

    Args:
        position: positions by method, as `csvjax.evaluate.sbc.positions` returns them.
        quantities: names of the quantities.
        path: the file to write.

    Raises: InputError if plotly is not installed.
    """
    with installed("a figure", "report"):
        from plotly.graph_objects import Bar, Figure, Scatter
        from plotly.subplots import make_subplots
    titles = [
        f"{method}, {quantity}" if kind else "" for quantity in quantities for method in position for kind in (1, 0)
    ]
    figure: Figure = make_subplots(
        rows=len(quantities), cols=2 * len(position), subplot_titles=titles, vertical_spacing=0.25 / len(quantities)
    )
    for row, quantity in enumerate(quantities, 1):
        for m, found in enumerate(position.values()):
            u = found[:, row - 1]
            band = simultaneous_band(len(u))
            colour = _INSIDE if judge(quantity, u).inside else _OUTSIDE
            count = np.histogram(u, _BINS, (0, 1))[0]
            centre = (np.arange(_BINS) + 0.5) / _BINS
            low, high = (np.full(2, binom.ppf(p, len(u), 1 / _BINS)) for p in (0.025, 0.975))
            at = {"row": row, "col": 2 * m + 1}
            figure.add_trace(Bar(x=centre, y=count, marker_color=colour, width=1 / _BINS), **at)
            _ribbon(figure, Scatter, np.array([0.0, 1.0]), low, high, at)
            at = {"row": row, "col": 2 * m + 2}
            share = np.mean(u[:, None] <= band.at, axis=0)
            _ribbon(figure, Scatter, band.at, band.lower - band.at, band.upper - band.at, at)
            figure.add_trace(Scatter(x=band.at, y=share - band.at, mode="lines", line={"color": colour}), **at)
    figure.update_annotations(font_size=11)
    figure.update_layout(
        template="plotly_white", showlegend=False, height=80 + 160 * len(quantities), width=520 * len(position)
    )
    with replacing(path) as part:
        part.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")


def _ribbon(figure: Any, scatter: Any, x: np.ndarray, low: np.ndarray, high: np.ndarray, at: dict) -> None:
    """The area between two lines."""
    bare = {"mode": "lines", "line": {"width": 0}}
    figure.add_trace(scatter(x=x, y=low, **bare), **at)
    figure.add_trace(scatter(x=x, y=high, fill="tonexty", fillcolor=_BAND, **bare), **at)
