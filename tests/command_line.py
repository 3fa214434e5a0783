"""Runs csvjax as a user does, on tables of scores and losses."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from csvjax.cli import app

Result = Any  # what the runner returns has no public type
UNITS = [f"w{u}" for u in range(24)]


def tables(folder: Path) -> None:
    """24 models of 4 families; the last two have losses only: one with blank scores, one without a row."""
    rng = np.random.default_rng(4)
    names = [f"m{i:02d}" for i in range(24)]
    flops = 10 ** np.linspace(20, 24, 24)
    skill = np.linspace(0, 1, 24)
    recipe = rng.normal(0, 0.2, (4, 3))[np.arange(24) % 4][:, np.arange(24) % 3]
    loss = 3 - skill[:, None] * rng.uniform(0.5, 1.5, 24) + recipe + rng.normal(0, 0.02, (24, 24))
    pd.DataFrame(loss, names, UNITS).rename_axis("lm").to_csv(folder / "losses.csv")
    pd.DataFrame(loss[:2] - 0.1, ["new1", "new2"], UNITS).rename_axis("lm").to_csv(folder / "new.csv")
    frame = pd.DataFrame({"lm": names, "family": [f"f{i % 4}" for i in range(24)], "flops": flops})
    for benchmark in ("easy", "hard"):
        frame[benchmark] = rng.binomial(200, 0.25 + 0.7 / (1 + np.exp(3 - 6 * skill))) / 200
    frame.loc[22, ["easy", "hard"]] = np.nan
    frame[:23].to_csv(folder / "scores.csv", index=False)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def fit_with(folder: Path, *more: object) -> tuple[object, ...]:
    return "fit", "--losses", folder / "losses.csv", "--scores", folder / "scores.csv", *more


def change(folder: Path, name: str, old: str, new: str) -> Path:
    """A copy of a table with one piece of text replaced."""
    text = (folder / name).read_text()
    assert old in text
    path = folder / f"changed {name}"
    path.write_text(text.replace(old, new, 1))
    return path
