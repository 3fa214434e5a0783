"""What the page says: laws and splits in plain words, numbers as text, the headline figures with their meaning."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from csvjax.evaluate.table import POOLED
from csvjax.report.read import Run

__all__ = ["Tile", "law_label", "laws_of", "number", "percent", "split_label", "summary", "tiles"]

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
            "R² gained", number(value, signed=True), "R² of salience minus R² of the mean loss, mean over tasks"
        )
    if name == "worst_task_gain":
        return Tile("R² gained, worst task", number(value, signed=True), "the same on the task that gains least")
    if name == "crps_ratio":
        return Tile("CRPS ratio", number(value), "CRPS of salience over that of the mean loss: below 1 is better")
    if match := re.fullmatch(r"(.+)_in_(.+)", name):
        meaning = f"share of the salience of the {match[1]} tasks that lies in {match[2]} text"
        return Tile(f"{match[1]} in {match[2]}", percent(value), meaning)
    if match := re.fullmatch(r"coverage(\d+)_(.+)", name):
        level, kind = f"{match[1]}{SPACE}%", match[2].replace("_", " ")
        aim = f"of the scores of an unseen {kind} lie inside their {level} interval; the aim is {level}"
        return Tile(f"covered, unseen {kind}", percent(value), aim)
    plain = GAP if value is None else f"{value:.3g}".replace("-", MINUS)
    return Tile(label, plain, meaning)


def tiles(run: Run) -> list[Tile]:
    return [_tile(name, value) for name, value in run.figures.items()]


def summary(run: Run) -> str:
    """One paragraph: what was predicted, how well by each law in the first split, and whether the intervals hold."""
    p, laws = run.predictions, laws_of(run)
    splits = list(dict.fromkeys(p["split"]))
    ways = "one way" if len(splits) == 1 else f"{len(splits)} ways"
    text = (
        f"The scores of {p['lm'].nunique()} language models ({p['family'].nunique()} families) on "
        f"{p['benchmark'].nunique()} tasks were predicted for models that the fit had not seen, held out in {ways}. "
    )
    pooled = run.metrics[(run.metrics["split"] == splits[0]) & (run.metrics["benchmark"] == POOLED)]
    rows = {law: pooled[pooled["law"] == law].iloc[0] for law in laws if (pooled["law"] == law).any()}
    if rows:
        reached = " and ".join(f"{number(row['r2'])} ({law_label(law)})" for law, row in rows.items())
        covered = " and ".join(f"{percent(row['coverage90'])} ({law_label(law)})" for law, row in rows.items())
        first = split_label(splits[0]) if len(splits) == 1 else f"The first, {split_label(splits[0])}"
        text += (
            f"{first[0].upper()}{first[1:]}: the mean R² over tasks is {reached}, and the 90{SPACE}% intervals hold "
            f"{covered} of the held-out scores. "
        )
    if "salience" not in laws:
        return text.strip()
    return text + (
        "The mean loss counts every byte of the validation text alike. Salience weights each token by what its loss "
        "says about a task, so that models trained on different text can fall on one curve."
    )
