"""The style of all figures: colours, symbols, axes, and marks with the names of model and benchmark."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from csvjax.data.scales import FRACTION, LOGARITHM
from csvjax.errors import InputError, installed

__all__ = [
    "ACCENT",
    "FAINT",
    "PALETTE",
    "SYMBOLS",
    "are_fractions",
    "axis",
    "checked",
    "dots",
    "figure",
    "is_log",
    "line",
    "names_of",
    "needs",
    "numbers",
    "of_family",
    "ribbon",
    "score_axis",
    "shade",
    "shown",
    "unit_of",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#B3589A", "#927200", "#7A7A7A", "#6A5ACD", "#A8503A")
"""The colours of Okabe and Ito, adjusted so that each has a contrast of at least 3 with a white and a dark page."""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "triangle-down", "hexagon")
"""Families differ in colour and symbol, so that a grey print can be read."""

ACCENT, FAINT = PALETTE[0], "#8A8A8A"
_DIGITS = 4
_OPACITY = 0.2
_LINES = {"gridcolor": "#E4E8EC", "linecolor": "#C9CFD6", "tickcolor": "#C9CFD6", "showline": True}
_LEGEND = {"orientation": "h", "traceorder": "normal", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}


def shown(text: object) -> str:
    """A name with escaped HTML, because Plotly interprets some HTML."""
    return html.escape(str(text), quote=False)


def numbers(values: Iterable[float]) -> list[float | None]:
    """Floats with four digits, or fractions with three decimals, which is enough for figures; None for NaN."""
    found = np.asarray(list(values), float)
    known = found[np.isfinite(found)]
    # Costs lie between 0 and 1 too; where the least are a hundredth of the most, decimals would lose them.
    if len(known) and known.min() >= 0 and 0.2 < known.max() <= 1 and known.max() < 100 * np.quantile(known, 0.1):
        return [round(float(v), 3) if math.isfinite(v) else None for v in found]
    return [float(f"{v:.{_DIGITS}g}") if math.isfinite(v) else None for v in found]


def shade(colour: str, opacity: float) -> str:
    """`#rrggbb` as a transparent colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def checked(table: pd.DataFrame, columns: Sequence[str], what: str) -> pd.DataFrame:
    """The table, after checking its columns.

    Raises: InputError for missing columns, and for a table without rows.
    """
    if missing := [name for name in columns if name not in table.columns]:
        has = ", ".join(map(str, table.columns))
        raise InputError(f"expected {what} with the columns {', '.join(missing)}, found only {has}; add them")
    if table.empty:
        raise InputError(f"expected {what} with at least one row, found none; give another table")
    return table


def needs(found: bool, problem: str) -> None:
    """Check what a figure needs.

    Raises: InputError with the text `problem`, unless `found`.
    """
    if not found:
        raise InputError(problem)


def names_of(table: pd.DataFrame) -> list[list[str]]:
    """Names of model and benchmark of each row, with escaped HTML; blank if the table has no such column."""
    blank = [""] * len(table)
    lm = [shown(name) for name in table["lm"]] if "lm" in table else blank
    benchmark = [shown(name) for name in table["benchmark"]] if "benchmark" in table else blank
    return [list(pair) for pair in zip(lm, benchmark, strict=True)]


def of_family(families: Iterable[object], order: Iterable[str] | None = None) -> dict[str, tuple[str, str]]:
    """Colour and symbol of each family, first in `order`, then in the order of occurrence."""
    found = dict.fromkeys(str(name) for name in (*(order or ()), *families))
    return {name: (PALETTE[i % len(PALETTE)], SYMBOLS[i % len(SYMBOLS)]) for i, name in enumerate(found)}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis in the style of csvjax."""
    return {
        "title": {"text": title, "font": {"size": 13}},
        "automargin": True,
        "zeroline": False,
        "ticks": "outside",
        **_LINES,
        **more,
    }


def score_axis(title: str, values: Iterable[float | None], unit: str = "", **more: Any) -> dict[str, Any]:
    """An axis of scores: per cent of items if all values are fractions, otherwise in the unit of the scores.

    Args:
        title: title of the axis, without the unit.
        values: the scores that are shown.
        unit: the word for the unit (`csvjax.data.scales.Scale.word`). The axis is logarithmic for a unit that the law
            reads by its logarithm.
        more: other settings of the axis.
    """
    if unit and unit != FRACTION.word:
        log = {"type": "log"} if is_log(unit) else {}
        return axis(f"{title} ({unit.partition(' (')[0]})", hoverformat=".4g", **log, **more)
    known = np.asarray([v for v in values if v is not None and math.isfinite(v)], float)
    if len(known) and known.min() >= -1e-9 and known.max() <= 1 + 1e-9:
        return axis(f"{title} (% of items)", tickformat=".0%", hoverformat=".1%", **more)
    return axis(f"{title} (unit of the benchmark)", hoverformat=".4g", **more)


def unit_of(table: pd.DataFrame) -> str:
    """The unit of the scores in a table of predictions; "" if there are several or none."""
    if "unit" not in table or table["unit"].nunique() != 1:
        return ""
    return str(table["unit"].iloc[0])


def are_fractions(table: pd.DataFrame) -> bool:
    """Whether all scores in a table of predictions are fractions: no unit says otherwise, and no value."""
    if "unit" in table and (table["unit"] != FRACTION.word).any():
        return False
    return bool(np.nanmax(np.abs(table[["observed", "mean"]].to_numpy(float))) <= 1 + 1e-9)


def is_log(unit: str) -> bool:
    """Whether the law reads scores in this unit by their logarithm."""
    return LOGARITHM in unit


def line(x: Iterable[float], y: Iterable[float], colour: str = FAINT, **more: Any) -> dict[str, Any]:
    """A line without marks and without hover text."""
    style = {"color": colour, "width": more.pop("width", 1.5), "dash": more.pop("dash", "solid")}
    return {
        "type": "scatter", "mode": "lines", "x": numbers(x), "y": numbers(y), "line": style, "hoverinfo": "skip",
        "showlegend": "name" in more, **more,
    }  # fmt: skip


def ribbon(
    x: Iterable[float], low: Iterable[float], high: Iterable[float], colour: str, name: str, opacity: float = _OPACITY
) -> list[dict[str, Any]]:
    """The area between two lines."""
    x = list(x)
    bare = {"width": 0, "name": name, "showlegend": False}
    return [
        line(x, low, colour, **bare),
        line(x, high, colour, **bare | {"showlegend": True}, fill="tonexty", fillcolor=shade(colour, opacity)),
    ]


def dots(table: pd.DataFrame, x: str, y: str, **more: Any) -> dict[str, Any]:
    """Marks with the names of their model and benchmark.

    `lower` and `upper` name the columns with the ends of an interval, which is drawn along `along` ("x" or "y").
    """
    colour, symbol, along = more.pop("colour", ACCENT), more.pop("symbol", "circle"), more.pop("along", "y")
    lower, upper, size = more.pop("lower", None), more.pop("upper", None), more.pop("size", 8)
    found = {
        "type": "scatter", "mode": "markers",
        "x": numbers(table[x]) if pd.api.types.is_numeric_dtype(table[x]) else [shown(v) for v in table[x]],
        "y": numbers(table[y]) if pd.api.types.is_numeric_dtype(table[y]) else [shown(v) for v in table[y]],
        "customdata": names_of(table),
        "marker": {"size": size, "color": colour, "symbol": symbol, "line": {"width": 1.5, "color": colour}},
        "cliponaxis": False,
    }  # fmt: skip
    if lower is not None:
        centre = table[x if along == "x" else y].to_numpy(float)
        ends = {"array": table[upper].to_numpy(float) - centre, "arrayminus": centre - table[lower].to_numpy(float)}
        found[f"error_{along}"] = {
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 0, "color": shade(colour, 0.55),
            **{name: [float(f"{v:.3g}") for v in np.maximum(np.nan_to_num(its), 0)] for name, its in ends.items()},
        }  # fmt: skip
    return found | more


def figure(traces: Sequence[dict[str, Any]], x: dict[str, Any], y: dict[str, Any], **layout: Any) -> Any:
    """A Plotly figure in the style of csvjax, with further settings in `layout`.

    Raises: InputError if Plotly is not installed.
    """
    with installed("a plot", "report"):
        from plotly.graph_objects import Figure
    return Figure(
        data=list(traces),
        layout={
            "template": {},  # the templates of Plotly are large, and every figure would contain one
            "font": {"size": 13, "color": "#1C2430"},
            "plot_bgcolor": "#FFFFFF",
            "paper_bgcolor": "#FFFFFF",
            "xaxis": x,
            "yaxis": y,
            "margin": {"l": 10, "r": 12, "t": 12, "b": 10},
            "hovermode": "closest",
            "legend": {
                "orientation": "h",
                "traceorder": "normal",
                "y": 1.02,
                "yanchor": "bottom",
                "x": 0,
                "xanchor": "left",
            },
            **layout,
        },
    )
