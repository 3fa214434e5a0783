"""Scores of 15 models without losses, and `csvjax fit` on them."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.result.conftest import INTERCEPT

BENCHMARKS = ["easy", "fair", "hard"]


def tables(folder: Path) -> None:
    """Scores of 15 models of 3 families, in columns with names of their own and compute in units of 1e21."""
    rng = np.random.default_rng(0)
    capability = np.linspace(-2, 2, 15)[:, None]
    score = rng.binomial(200, 1 / (1 + np.exp(-capability - INTERCEPT))) / 200
    frame = pd.DataFrame({"name": [f"m{i:02d}" for i in range(15)], "kin": [f"f{i % 3}" for i in range(15)]})
    frame["compute"] = 10 ** np.linspace(-1, 3, 15)
    frame[BENCHMARKS] = score
    frame["released"] = [f"2024-{1 + i % 12:02d}-01" for i in range(15)]
    frame.to_csv(folder / "scores.csv", index=False)
    frame.drop(columns="kin").to_csv(folder / "alone.csv", index=False)
    new = frame.iloc[-1:].assign(name="new", compute=5e3, fair=np.nan, hard=np.nan)
    new.to_csv(folder / "new.csv", index=False)


def fit_with(folder: Path, *more: object) -> tuple[object, ...]:
    named = ("--lm-column", "name", "--family-column", "kin", "--flops-column", "compute", "--flops-unit", "1e21")
    floors = [word for name in BENCHMARKS for word in ("--floor", f"{name}=0")]
    options = (*named, "--benchmarks", ",".join(BENCHMARKS), *floors)
    return "fit", "--scores", folder / "scores.csv", *options, *more
