"""Figure that compares methods on the same held-out scores."""

from __future__ import annotations

from typing import Any

import pandas as pd

from csvjax.plot.style import ACCENT, FAINT, PALETTE, axis, checked, dots, figure, shown

__all__ = ["methods"]

_COLOURS = {"best": PALETTE[2], "better": PALETTE[2], "not decided": ACCENT, "worse": FAINT}
_SYMBOLS = {"best": "circle", "better": "circle", "not decided": "diamond", "worse": "x-thin"}
_WORDS = {
    "best": "lowest error",
    "not decided": "not clearly different",
    "worse": "worse",
    "better": "better on common scores",
}


def methods(table: pd.DataFrame, split: str | None = None) -> Any:
    """The error of each method (CRPS) with its 95 % interval over families or models; smaller is better.

    Args:
        table: what `csvjax compare` writes (`csvjax.evaluate.comparison_table`), or referee.csv of a run, with split,
            method, crps, crps_low, crps_high, against, asked and answered.
        split: the split to show. Default: the first.

    Returns: a Plotly figure with the best method on top.

    Raises: InputError for a table without these columns or without the split.
    """
    columns = ("split", "method", "crps", "crps_low", "crps_high", "against", "asked", "answered")
    found = checked(table, columns, "a comparison").dropna(subset=["crps"])
    name = found["split"].iloc[0] if split is None and len(found) else split
    rows = checked(found[found["split"] == name], columns, f"a comparison on the split {name!r}")
    rows = rows.sort_values("crps", ascending=False)
    rows = rows.assign(method=[str(m).replace("_", " ") for m in rows["method"]])
    rows = rows.assign(**{side: rows[side].fillna(rows["crps"]) for side in ("crps_low", "crps_high")})
    traces = []
    for word, part in rows.groupby("against", sort=False):
        trace = dots(
            part, "crps", "method", lower="crps_low", upper="crps_high", along="x",
            colour=_COLOURS.get(str(word), ACCENT), symbol=_SYMBOLS.get(str(word), "circle"),
            name=_WORDS.get(str(word), str(word)), size=10,
        )  # fmt: skip
        trace["customdata"] = [["", "", f"{a} of {n} scores"] for a, n in part[["answered", "asked"]].to_numpy()]
        traces.append(trace | {"hovertemplate": "<b>%{y}</b>: %{x}<br>%{customdata[2]}<extra></extra>"})
    return figure(
        traces,
        axis("CRPS (unit of score, smaller is better)", hoverformat=".4f", rangemode="tozero"),
        axis("", categoryorder="array", categoryarray=[shown(name) for name in rows["method"]]),
        height=150 + 30 * len(rows),
    )
