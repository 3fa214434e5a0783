"""Reads summaries of OpenCompass: `dataset, version, metric, mode` and a column in percent for each model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from csvjax.data import numerals
from csvjax.data.raw_table import RawTable
from csvjax.data.readers.schema import Row, to_table

__all__ = ["NAME", "matches", "read"]

NAME = "a summary of OpenCompass"

_FIXED = ("dataset", "version", "metric")
_WITH_COUNTS = re.compile(r"([\d.]+)\s*\((\d+)/(\d+)\)")


def matches(raw: RawTable) -> bool:
    return tuple(name.casefold() for name in raw.columns[:3]) == _FIXED and len(raw.columns) > 3


def read(raw: RawTable) -> RawTable:
    """The long table. Rows that only name a section are left out.

    Raises: InputError for a score that is not a number, with its line.
    """
    first = 4 if raw.columns[3].casefold() == "mode" else 3
    models = [name for name in raw.columns[first:] if name.casefold() not in ("total_count", "prompt", "")]
    table = to_table(raw.path, _rows(raw, models), f"read as {NAME}")
    return table


def _rows(raw: RawTable, models: list[str]) -> Iterator[Row]:
    dataset, metric = raw.text(raw.columns[0]), raw.text(raw.columns[2])
    for lm in models:
        for at, cell in enumerate(raw.text(lm)):
            if cell.casefold() in numerals.BLANK or metric[at] in ("-", "") or dataset[at].startswith("---"):
                continue
            row: Row = {"lm": lm, "benchmark": dataset[at], "metric": metric[at], "unit": 0.01, "source": raw.at(at)}
            if match := _WITH_COUNTS.fullmatch(cell):
                row["n_items"] = float(match[3])
                cell = match[1]
            try:
                row["score"] = float(cell)
            except ValueError:
                raw.fail(at, lm, "a score in percent", "write a plain number, or leave the cell blank")
            yield row
