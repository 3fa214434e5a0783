"""Reads exports of Weights & Biases: the history of one run, whose rows are checkpoints (`_step`) with scores."""

from __future__ import annotations

import re
from pathlib import Path

from csvjax.data.columns import spelled_as
from csvjax.data.evidence import about
from csvjax.data.numerals import BLANK
from csvjax.data.raw_table import Cells, RawTable, make_table

__all__ = ["NAME", "matches", "read"]

NAME = "the history of a run of Weights & Biases"

_STEP = "_step"
_TRAINING = re.compile(
    r"^(train|optim|optimizer|system|perf|throughput|gradients?|parameters)[/.]|grad_?norm|^lr$", re.I
)


def matches(raw: RawTable) -> bool:
    return _STEP in raw.columns and spelled_as(raw, "lm") is None


def read(raw: RawTable) -> RawTable:
    """The wide table of the checkpoints that have a score.

    The name of the file is the family and the run; with the step it is the name of the model.
    """
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
    cells += [[raw.text(name)[row] for row in rows] for name in kept]
    said = (*raw.said, f"read as {NAME}: {len(rows)} of {len(raw.where)} rows are checkpoints with scores")
    where = [raw.where[row] for row in rows]
    return make_table(raw.path, ["lm", "family", "run", *kept], cells, where, raw.place, ignored, said)
