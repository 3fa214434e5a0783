"""Reads exports of Weights & Biases, in which the steps of a run that have scores are checkpoints.

The history of one run has a column `_step`. The export of a chart has columns `RUN - METRIC` for all its runs, and for
each of these `RUN - METRIC__MIN` and `RUN - METRIC__MAX`, which are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from csvjax.data.columns import spelled_as
from csvjax.data.evidence import about
from csvjax.data.numerals import BLANK
from csvjax.data.raw_table import Cells, RawTable, make_table

__all__ = ["NAME", "matches", "read"]

NAME = "an export of Weights & Biases"

_STEP = "_step"
_ENDS = ("__MIN", "__MAX")
_OF_RUN = re.compile(r"(?P<run>.+?) - (?P<metric>.+)")
_TRAINING = re.compile(
    r"^(train|optim|optimizer|system|perf|throughput|gradients?|parameters)[/.]|grad_?norm|^lr$", re.I
)


def matches(raw: RawTable) -> bool:
    return (_STEP in raw.columns and spelled_as(raw, "lm") is None) or _is_chart(raw)


def _is_chart(raw: RawTable) -> bool:
    known = set(raw.columns)
    return any(_OF_RUN.fullmatch(name) and {f"{name}{end}" for end in _ENDS} <= known for name in raw.columns)


def read(raw: RawTable) -> RawTable:
    """The wide table of the checkpoints that have a score.

    The name of the run, or of the file, is the family and the run; with the step it is the name of the model.
    """
    if _is_chart(raw):
        return _chart(raw)
    ignored = list(raw.ignored)
    kept = []
    for name in raw.columns:
        if name.startswith("_"):
            ignored.append((name, "it is the number or the time of a step"))
        elif _TRAINING.search(name):
            ignored.append((name, "it is a quantity of the training"))
        else:
            kept.append(name)
    scores = [raw.text(name) for name in kept if raw.is_numeric(name) and about(name) is None]
    rows = [row for row in range(len(raw.where)) if any(cells[row].casefold() not in BLANK for cells in scores)]
    if not rows:
        return raw
    run = Path(raw.path).name.split(".")[0]
    steps = raw.text(_STEP)
    cells: list[Cells] = [[f"{run} step {steps[row]}" for row in rows], [run] * len(rows), [run] * len(rows)]
    begins = {spelled_as(raw, "tokens"), spelled_as(raw, "flops")}  # 0 before the first step, which has no logarithm
    for name in kept:
        text = raw.text(name)
        cells.append(["" if name in begins and text[row] in ("0", "0.0") else text[row] for row in rows])
    said = (*raw.said, f"read as {NAME}: {len(rows)} of {len(raw.where)} rows are checkpoints with scores")
    where = [raw.where[row] for row in rows]
    return make_table(raw.path, ["lm", "family", "run", *kept], cells, where, raw.place, ignored, said)


def _chart(raw: RawTable) -> RawTable:
    columns = [(name, match) for name in raw.columns if (match := _OF_RUN.fullmatch(name)) and not name.endswith(_ENDS)]
    runs = list(dict.fromkeys(match["run"] for _, match in columns))
    metrics = list(dict.fromkeys(match["metric"] for _, match in columns))
    column_of = {(match["run"], match["metric"]): raw.text(name) for name, match in columns}
    kept = [name for name in metrics if not _TRAINING.search(name) and about(name) is None]
    ignored = [*raw.ignored, *((name, "it is a quantity of the training") for name in metrics if name not in kept)]
    steps, blank = raw.text(raw.columns[0]), [""] * len(raw)
    cells: dict[str, list[str]] = {name: [] for name in ("lm", "family", "run", *kept)}
    where = []
    for run in runs:
        scores = [column_of.get((run, name), blank) for name in kept]
        for row in range(len(raw)):
            if any(column[row].casefold() not in BLANK for column in scores):
                told = [f"{run} step {steps[row]}", run, run, *(column[row] for column in scores)]
                for name, cell in zip(cells, told, strict=True):
                    cells[name].append(cell)
                where.append(raw.where[row])
    said = (*raw.said, f"read as {NAME}: {len(where)} checkpoints of {len(runs)} runs have scores")
    return make_table(raw.path, list(cells), list(cells.values()), where, raw.place, ignored, said) if where else raw
