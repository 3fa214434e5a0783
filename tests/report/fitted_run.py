"""The run of a fit with compute, losses, held-out scores and names that try to be markup."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from csvjax import runs
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.prediction import Drawn, summary
from csvjax.result.salient import with_losses
from tests.report.run_folder import NASTY
from tests.result.conftest import INTERCEPT, written

LMS = 15
HOSTILE = '<img src="x" onerror="alert(1)">'
BENCHMARKS = ("easy", "</script><script>alert(2)</script>", 'hard & "<i>quoted</i>"')
FAMILIES = ("first", "<b>bold</b>", "&amp;")
TARGET = f"m{LMS - 1:02d}"


def hostile_dataset() -> Dataset:
    """15 models of 3 families with compute; 48 tokens in two domains; the last model has no score yet."""
    rng = np.random.default_rng(0)
    names = [HOSTILE, *(f"m{i:02d}" for i in range(1, LMS))]
    skill = np.linspace(-2, 2, LMS)
    score = rng.binomial(200, expit(skill[:, None] + rng.normal(0, 0.2, (LMS, 1)) + INTERCEPT)) / 200
    score[-1] = np.nan
    lms = pd.DataFrame(
        {"family": [FAMILIES[i % 3] for i in range(LMS)], "params": np.nan, "tokens": np.nan},
        pd.Index(names, name="lm", dtype=str),
    ).assign(flops=10 ** np.linspace(20, 24, LMS))
    tokens = [*NASTY, *(f" word{i}" for i in range(38))]
    units = pd.DataFrame({"token": tokens, "document": "a/1", "domain": ["prose"] * 20 + ["code"] * 28})
    units.loc[20:, "document"] = "b/<2>"
    size = np.array([len(token.encode()) for token in tokens])
    units = units.assign(start=np.cumsum(size) - size, bytes=size)
    loss = size * (2.0 - 0.3 * skill[:, None] * rng.uniform(0.5, 1.5, len(tokens)))
    table = ScoreTable(tuple(names), BENCHMARKS, score, np.full(3, 200.0), np.zeros(3))
    return Dataset(lms, table, LossTable(tuple(names), np.maximum(loss, 0.05), units))


def make_fitted_run(folder: Path) -> Path:
    """Write the run: the two largest models held out, the largest of them without a score."""
    data = hostile_dataset()
    assert data.scores is not None
    seen = np.isfinite(data.scores.score)
    seen[-3:] = False
    fit = written(data, seen)
    # As `csvjax.prediction.unseen`, from draws that are needed anyway: its own take long to compile.
    mean = expit(fit.labelled.logit.reshape(-1, *seen.shape).astype(float))
    drawn = Drawn(mean, np.random.default_rng(2).binomial(200, mean) / 200)
    cells = with_losses(fit, summary(drawn, ~seen, data.lms, data.scores))
    cells = cells.assign(split="flops>1e23", law="salience")
    with runs.begin(folder, {"dataset": "hostile", "command": "fit", "splits": ["flops>1e23"], "seed": 0}) as run:
        fit.save(run.folder)
        run.write(cells, {"coverage90_model": 0.9})
    return folder
