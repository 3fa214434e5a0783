"""The table of metrics for each split, with laws side by side and the best value marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from csvjax.evaluate.table import POOLED
from csvjax.report.read import Run
from csvjax.report.words import laws_of, number, percent, r2_means_something, split_label

__all__ = ["Cell", "Row", "SplitTable", "split_tables"]

Column = tuple[str, str, Callable[[Any], Any]]
# Metric, heading, and a function whose smallest value is best.
COLUMNS: tuple[Column, ...] = (
    ("r2", "R²", lambda v: -v),
    ("mae", "MAE", lambda v: v),
    ("crps", "CRPS", lambda v: v),
    ("coverage90", "90 % coverage", lambda v: abs(v - 0.9)),
)


@dataclass(frozen=True)
class Cell:
    """A metric as text; `best` if it is better, as shown, than that of all other laws."""

    text: str
    best: bool


@dataclass(frozen=True)
class Row:
    """A row of the table; `groups` has for each metric a cell for each law."""

    benchmark: str
    pooled: bool
    n: str
    groups: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class SplitTable:
    """The rows of one split, with the mean over all benchmarks first. `headings` are those of groups of columns."""

    name: str
    label: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]


def _cells(metric: str, loss: pd.Series, values: list[float]) -> tuple[Cell, ...]:
    texts = [percent(v) if metric.startswith("coverage") else number(v, 2 if metric == "r2" else 3) for v in values]
    order = loss.round(9).rank(method="min")
    first = [i for i, place in enumerate(order) if place == 1]
    alone = (
        len(first) == 1 and len(values) > 1 and texts.count(texts[first[0]]) == 1
    )  # values that look the same are equal
    return tuple(Cell(text, alone and i == first[0]) for i, text in enumerate(texts))


def _row(benchmark: str, cells: pd.DataFrame, laws: list[str], columns: tuple[Column, ...]) -> Row:
    by_law = cells.drop_duplicates("law").set_index("law").reindex(laws)
    groups = []
    for metric, _, worse in columns:
        values = by_law[metric].astype(float)
        groups.append(_cells(metric, values.map(worse), values.tolist()))
    pooled = benchmark == POOLED
    return Row("all benchmarks" if pooled else benchmark, pooled, number(by_law["n"].max(), 0), tuple(groups))


def split_tables(run: Run) -> list[SplitTable]:
    """One table for each split of `metrics.csv`, in its order, with laws in the order of `laws_of`.

    There is a column for R2 if every benchmark has at least `FEWEST_FOR_R2` held-out scores in the split.
    """
    laws, tables = laws_of(run), []
    for split, part in run.metrics.groupby("split", sort=False):
        if not part["n"].max() > 0:
            continue
        columns = COLUMNS if r2_means_something(part) else COLUMNS[1:]
        rows = [_row(str(b), cells, laws, columns) for b, cells in part.groupby("benchmark", sort=False)]
        tables.append(
            SplitTable(
                str(split),
                split_label(str(split)),
                tuple(c[1] for c in columns),
                tuple(sorted(rows, key=lambda r: not r.pooled)),
            )
        )
    return tables
