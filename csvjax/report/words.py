"""The words of the page: names of laws and splits, numbers as text, and the main results with their meaning."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pandas as pd

from csvjax.evaluate.table import POOLED
from csvjax.plot.style import are_fractions
from csvjax.report.read import Run

__all__ = [
    "FEWEST_FOR_R2",
    "Tile",
    "amount",
    "law_label",
    "laws_of",
    "number",
    "percent",
    "r2_means_something",
    "split_label",
    "tile",
    "tiles",
]

FEWEST_FOR_R2 = 10
"""R2 is shown only for benchmarks with at least this number of held-out scores."""

# Names for one value and for several values of a column.
COLUMNS = {
    "params": ("number of parameters", "numbers of parameters"),
    "flops": ("compute", "amounts of compute"),
    "step": ("training step", "training steps"),
    "tokens": ("number of training tokens", "numbers of training tokens"),
}
SPACE = "\N{NO-BREAK SPACE}"
GAP, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Tile:
    """One main result: its name, its value as text, and a line with its meaning."""

    label: str
    value: str
    meaning: str


def number(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """A number with fixed decimals and a minus sign; a dash for a missing number."""
    if value is None or not math.isfinite(value):
        return GAP
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 0) -> str:
    return GAP if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}{SPACE}%"


def amount(error: float, scores: pd.DataFrame) -> str:
    """An error in percentage points if scores are fractions, otherwise in the unit of the scores."""
    if are_fractions(scores):
        return f"{100 * error:.1f} points"
    return f"{error:.3g}"


def law_label(law: str) -> str:
    return law.replace("_", " ")


def laws_of(run: Run) -> list[str]:
    """The laws of the run, with the mean loss first, because the others are compared with it."""
    found = list(dict.fromkeys(run.predictions["law"]))
    return sorted(found, key=lambda law: (law != "mean_loss", law != "salience", law))


def split_label(name: str) -> str:
    """What a split holds out, in words; the text of the split if its form is unknown."""
    if match := re.fullmatch(r"leave-one-out:(.+)", name):
        return f"each {match[1]} left out in turn"
    if match := re.fullmatch(r"weak-to-strong:([^:]+)(?::(\d+))?", name):
        one, several = COLUMNS.get(match[1], (match[1], f"values of {match[1]}"))
        what = f"largest {one}" if match[2] in (None, "1") else f"{match[2]} largest {several}"
        return f"{what} predicted from smaller ones"
    if match := re.fullmatch(r"([^>]+)>(.+)", name):
        return f"{COLUMNS.get(match[1], (match[1],))[0]} above {match[2]} predicted from below"
    return name


def tile(name: str, value: float | str | None) -> Tile:
    """The main result `name` of a run, in words."""
    label, meaning = name.replace("_", " "), ""
    if isinstance(value, str):
        return Tile(label, value, meaning)
    if name == "r2_gain":
        return Tile(
            "R² gained",
            number(value, signed=True),
            "R² of salience minus R² of the mean loss, averaged over benchmarks",
        )
    if name == "worst_task_gain":
        return Tile(
            "R² gained, worst benchmark",
            number(value, signed=True),
            "the same for the benchmark with the smallest gain",
        )
    if name == "crps_ratio":
        return Tile("CRPS ratio", number(value), "CRPS of salience divided by CRPS of the mean loss; below 1 is better")
    if name in ("mae", "crps"):
        what = "mean absolute error" if name == "mae" else "error of the predicted distribution (CRPS)"
        return Tile(what, number(value, 3), "in the unit of the scores, averaged over benchmarks; smaller is better")
    if match := re.fullmatch(r"(.+)_in_(.+)", name):
        meaning = f"share of the salience of the {match[1]} benchmarks that lies in {match[2]} text"
        return Tile(f"{match[1]} in {match[2]}", percent(value), meaning)
    if match := re.fullmatch(r"coverage(\d+)_(.+)", name):
        level, kind = f"{match[1]}{SPACE}%", match[2].replace("_", " ")
        aim = f"of the scores of an unseen {kind} lie in their {level} intervals; it should be {level}"
        return Tile(f"covered, unseen {kind}", percent(value), aim)
    plain = GAP if value is None else f"{value:.3g}".replace("-", MINUS)
    return Tile(label, plain, meaning)


def tiles(run: Run) -> list[Tile]:
    """The main results, without missing numbers and without R2 of few scores."""
    enough = r2_means_something(run.metrics)
    return [
        tile(name, value)
        for name, value in run.figures.items()
        if (isinstance(value, str) or (value is not None and math.isfinite(value)))
        and (enough or name not in ("r2_gain", "worst_task_gain"))
    ]


def r2_means_something(metrics: pd.DataFrame) -> bool:
    """Whether every benchmark has enough held-out scores for R2, which is noise for few scores that hardly differ."""
    counts = metrics.loc[metrics["benchmark"] != POOLED, "n"]
    return bool(len(counts)) and bool((counts >= FEWEST_FOR_R2).all())
