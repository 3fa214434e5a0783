"""Plots a comparison: the CRPS of every method with its interval, in a panel for each split."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from csvjax.errors import installed

__all__ = ["write_figure"]

_COLOURS = {"best": "#1b7f5c", "not decided": "#4a6fa5", "worse": "#b0b4ba", "better": "#1b7f5c"}
_ROW, _PANEL = 24, 90  # pixels


def write_figure(table: pd.DataFrame, path: Path) -> None:
    """Write a `comparison_table` as an HTML figure that works without network.

    Raises: InputError if plotly is not installed.
    """
    with installed("a figure", "report"):
        from plotly.graph_objects import Figure, Scatter
        from plotly.subplots import make_subplots
    known = table[table["crps"].notna()]
    groups = list(known.groupby("split", sort=False))
    figure: Figure = make_subplots(
        rows=max(len(groups), 1),
        cols=1,
        subplot_titles=[f"{split}" for split, _ in groups] or ["no method gave predictions"],
    )
    for panel, (_, rows) in enumerate(groups, 1):
        rows = rows.iloc[::-1]
        share = rows["answered"].astype(str) + " of " + rows["asked"].astype(str) + " scores, "
        figure.add_trace(
            Scatter(
                x=rows["crps"],
                y=rows["method"],
                mode="markers",
                marker={"color": [_COLOURS.get(word, "#4a6fa5") for word in rows["against"]], "size": 9},
                error_x={
                    "array": (rows["crps_high"] - rows["crps"]).fillna(0),
                    "arrayminus": (rows["crps"] - rows["crps_low"]).fillna(0),
                    "symmetric": False,
                    "thickness": 1,
                    "color": "#777",
                },
                text=share + rows["against"],
                hovertemplate="%{y}: %{x:.4f}<br>%{text}<extra></extra>",
                showlegend=False,
            ),
            row=panel,
            col=1,
        )
        figure.update_xaxes(
            title_text="CRPS (smaller is better), 95 % interval over families or models", row=panel, col=1
        )
    figure.update_layout(
        template="plotly_white",
        height=sum(_PANEL + _ROW * len(rows) for _, rows in groups) + _PANEL,
        title="green: lowest CRPS; blue: not clearly different from it; grey: worse",
        margin={"l": 200},
    )
    path.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")
