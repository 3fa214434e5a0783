"""Reads exports of the Open LLM Leaderboards, with emoji in headings, links as names, and repeated models.

Version 2 has each score raw (a fraction, "IFEval Raw") and rescaled by chance (in percent, "IFEval"); the raw score is
read. A model that was evaluated several times, with other precisions or revisions, counts once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from csvjax.data.markup import plain_text
from csvjax.data.raw_table import Cells, RawTable

__all__ = ["NAME", "matches", "read"]

NAME = "an export of the Open LLM Leaderboard"

_SIGNS = ("Precision", "Architecture", "Hub License", "Weight type", "Model sha", "Hub ❤️", "Available on the hub")
_V1 = ("ARC", "HellaSwag", "MMLU", "TruthfulQA", "Winogrande", "GSM8K", "DROP")
_V2 = ("IFEval", "BBH", "MATH Lvl 5", "GPQA", "MUSR", "MMLU-PRO")


def matches(raw: RawTable) -> bool:
    scores = {name.removesuffix(" Raw") for name in raw.columns} & {*_V1, *_V2}
    return "Model" in raw.columns and len(scores) >= 3 and sum(name in raw.columns for name in _SIGNS) >= 3


def read(raw: RawTable) -> RawTable:
    """The wide table, with one row for each model."""
    said = [f"read as {NAME}"]
    names = raw.text("fullname") if "fullname" in raw.columns else [plain_text(cell) for cell in raw.text("Model")]
    ignored = list(raw.ignored)
    columns: list[str] = []
    cells: list[Cells] = []
    for column, values in zip(raw.columns, raw.cells, strict=True):
        if column == "Model":
            columns.append("Model")
            cells.append(names)
        elif column == "fullname":
            continue
        elif column == "#Params (B)":  # 0 and -1 mean unknown
            columns.append(column)
            cells.append([cell if _is_amount(cell) else "" for cell in raw.text(column)])
        elif f"{column} Raw" in raw.columns:
            ignored.append((column, "it is rescaled by chance; the raw score is read instead"))
        else:
            columns.append(column.removesuffix(" Raw"))
            cells.append(values)
    table = replace(
        raw, columns=tuple(columns), cells=tuple(cells), ignored=tuple(ignored), _parsed={}, said=(*raw.said, *said)
    )
    return _once(table)


def _is_amount(cell: str) -> bool:
    try:
        return float(cell) > 0
    except ValueError:
        return True


def _once(table: RawTable) -> RawTable:
    """One row for each model: the row with the most scores; if several have as many, the latest one."""
    names = table.text("Model")
    scores = [column for column in table.columns if column in (*_V1, *_V2)]
    known = np.sum([[bool(cell) for cell in table.text(column)] for column in scores], axis=0)
    date = next((c for c in ("Submission Date", "date", "Upload To Hub Date") if c in table.columns), None)
    when = table.text(date) if date else [""] * len(names)
    best: dict[str, int] = {}
    for row, name in enumerate(names):
        if name not in best or (known[row], when[row]) > (known[best[name]], when[best[name]]):
            best[name] = row
    if len(best) == len(names):
        return table
    repeated = len(names) - len(best)
    told = (
        f"{repeated} rows are left out where a model has several: the row with the most scores counts, then the latest"
    )
    return replace(table.rows(sorted(best.values())), said=(*table.said, told))
