"""Reads Epoch AI's benchmark tables: a CSV file for each benchmark, or one for all with a column `task`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from csvjax.data.raw_table import RawTable
from csvjax.data.readers.schema import Row, to_table

__all__ = ["NAME", "matches", "read"]

NAME = "a table of Epoch AI"

_LM = ("Model version", "model")
_SCORES = ("Best score (across scorers)", "mean_score")
_COMPUTE = "Training compute (FLOP)"


def matches(raw: RawTable) -> bool:
    return _first(raw, _LM) is not None and _first(raw, _SCORES) is not None


def _first(raw: RawTable, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in raw.columns), None)


def read(raw: RawTable) -> RawTable:
    """The long table. If a model has several runs on a benchmark, the one that began last counts.

    Raises: InputError for a score that is not a number, with its line.
    """
    rows = list(_rows(raw))
    last = {(row["lm"], row["benchmark"]): row for row in rows}
    table = to_table(raw.path, last.values(), f"read as {NAME}")
    if len(last) == len(rows):
        return table
    told = f"{len(rows) - len(last)} earlier runs are left out where a model has several runs on a benchmark"
    return replace(table, said=(*table.said, told))


def _rows(raw: RawTable) -> Iterator[Row]:
    score, lm = str(_first(raw, _SCORES)), raw.text(str(_first(raw, _LM)))
    values = raw.numbers(score)
    blank = np.full(len(values), np.nan)
    compute = raw.numbers(_COMPUTE) if _COMPUTE in raw.columns else blank
    errors = raw.parsed("stderr").values if "stderr" in raw.columns else blank
    stem = Path(raw.path).name.split(".")[0]
    tasks = raw.text("task") if "task" in raw.columns else [stem] * len(values)
    began = raw.text("Started at") if "Started at" in raw.columns else [""] * len(values)
    for row in sorted(range(len(values)), key=lambda row: began[row]):
        if np.isnan(values[row]) or not lm[row] or not tasks[row]:
            continue
        found: Row = {"lm": lm[row], "benchmark": tasks[row], "score": float(values[row]), "source": raw.at(row)}
        if compute[row] > 0:
            found["flops"] = float(compute[row])
        if errors[row] > 0 and np.isfinite(errors[row]):
            found["stderr"] = float(errors[row])
        yield found
