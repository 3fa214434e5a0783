"""What the page says: laws and splits in plain words, numbers as text, the headline figures with their meaning."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from csvjax.evaluate.table import POOLED
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
    "tiles",
]

FEWEST_FOR_R2 = 10
"""Held-out scores of a benchmark below which no R2 is shown."""

# One value of a column, and several of them.
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
    """One headline figure: its name, its value as text, and a line that says what it means."""

    label: str
    value: str
    meaning: str


def number(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """Fixed decimals with a true minus sign; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return GAP
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 0) -> str:
    return GAP if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}{SPACE}%"


def amount(error: float, scores: pd.DataFrame) -> str:
    """An error in points, where scores are fractions; else in the unit of the scores."""
    known = scores[["observed", "mean"]].to_numpy(float)
    if np.nanmax(np.abs(known)) <= 1 + 1e-9:
        return f"{100 * error:.1f} points"
    return f"{error:.3g}"


def law_label(law: str) -> str:
    return law.replace("_", " ")


def laws_of(run: Run) -> list[str]:
    """The laws of the run, the mean loss first: it is what the others are held against."""
    found = list(dict.fromkeys(run.predictions["law"]))
    return sorted(found, key=lambda law: (law != "mean_loss", law != "salience", law))


def split_label(name: str) -> str:
    """What is held out, from the text that made the split; the text itself where its form is not known."""
    if match := re.fullmatch(r"leave-one-out:(.+)", name):
        return f"each {match[1]} left out in turn"
    if match := re.fullmatch(r"weak-to-strong:([^:]+)(?::(\d+))?", name):
        one, several = COLUMNS.get(match[1], (match[1], f"values of {match[1]}"))
        what = f"largest {one}" if match[2] in (None, "1") else f"{match[2]} largest {several}"
        return f"{what} predicted from smaller ones"
    if match := re.fullmatch(r"([^>]+)>(.+)", name):
        return f"{COLUMNS.get(match[1], (match[1],))[0]} above {match[2]} predicted from below"
    return name


def _tile(name: str, value: float | str | None) -> Tile:
    label, meaning = name.replace("_", " "), ""
    if isinstance(value, str):
        return Tile(label, value, meaning)
    if name == "r2_gain":
        return Tile(
            "R² gained", number(value, signed=True), "R² of salience minus R² of the mean loss, mean over benchmarks"
        )
    if name == "worst_task_gain":
        return Tile(
            "R² gained, worst benchmark", number(value, signed=True), "the same on the benchmark that gains least"
        )
    if name == "crps_ratio":
        return Tile("CRPS ratio", number(value), "CRPS of salience over that of the mean loss: below 1 is better")
    if name in ("mae", "crps"):
        what = "mean absolute error" if name == "mae" else "error of the whole prediction (CRPS)"
        return Tile(what, number(value, 3), "in the unit of the scores, mean over benchmarks; less is better")
    if match := re.fullmatch(r"(.+)_in_(.+)", name):
        meaning = f"share of the salience of the {match[1]} benchmarks that lies in {match[2]} text"
        return Tile(f"{match[1]} in {match[2]}", percent(value), meaning)
    if match := re.fullmatch(r"coverage(\d+)_(.+)", name):
        level, kind = f"{match[1]}{SPACE}%", match[2].replace("_", " ")
        aim = f"of the scores of an unseen {kind} lie inside their {level} interval; the aim is {level}"
        return Tile(f"covered, unseen {kind}", percent(value), aim)
    plain = GAP if value is None else f"{value:.3g}".replace("-", MINUS)
    return Tile(label, plain, meaning)


def tiles(run: Run) -> list[Tile]:
    """The headline figures that mean something: none without a number, no R2 of few scores."""
    enough = r2_means_something(run.metrics)
    return [
        _tile(name, value)
        for name, value in run.figures.items()
        if (isinstance(value, str) or (value is not None and math.isfinite(value)))
        and (enough or name not in ("r2_gain", "worst_task_gain"))
    ]


def r2_means_something(metrics: pd.DataFrame) -> bool:
    """Whether every benchmark has enough held-out scores for an R2: of few, which hardly differ, it is noise."""
    counts = metrics.loc[metrics["benchmark"] != POOLED, "n"]
    return bool(len(counts)) and bool((counts >= FEWEST_FOR_R2).all())
