"""Language models, losses and scores drawn from a law of salience with NumPy alone, to test fits to them.

Nothing here calls the law: its formulas are written down a second time, so that a slip in one of them shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import expit, logsumexp

from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.evaluate.splits import Fold

DOMAINS = ("code", "maths", "prose")


@dataclass(frozen=True)
class Truth:
    """What the law does not observe: `z` [benchmark, token], the others [benchmark]; spreads in logits."""

    z: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray
    room: np.ndarray
    family_spread: np.ndarray
    run_spread: np.ndarray
    spread: np.ndarray


def lms(families: int = 6, runs: int = 2, steps: int = 2) -> pd.DataFrame:
    """Models of a balanced design: `steps` checkpoints in each of `runs` runs in each family, families in 3 parts."""
    rows = [(f"f{f}", f"p{f % 3}", f"f{f}r{r}", s) for f in range(families) for r in range(runs) for s in range(steps)]
    frame = pd.DataFrame(rows, columns=["family", "part", "run", "step"])
    frame = frame.assign(params=np.nan, tokens=1e9 * (frame["step"] + 1), flops=np.nan)
    return frame.set_axis(pd.Index([f"{run}s{step}" for _, _, run, step in rows], name="lm", dtype=str))


def losses(rng: np.random.Generator, models: pd.DataFrame, tokens: int = 12, recipe: float = 0.2) -> LossTable:
    """Losses in which what a family was trained on moves each domain by `recipe` nats per byte, and skill moves all."""
    domain = np.repeat(np.arange(len(DOMAINS)), tokens)
    size = rng.integers(1, 6, len(domain))
    family = pd.factorize(models["family"])[0]
    skill = rng.normal(0, 0.2, len(models)) + 0.1 * models["step"].to_numpy()
    tilt = rng.normal(0, recipe, (family.max() + 1, len(DOMAINS)))[family][:, domain]
    each = rng.uniform(1.5, 3, len(domain)) - skill[:, None] * rng.uniform(0.5, 1.5, len(domain))
    each = each + tilt * rng.uniform(0.7, 1.3, len(domain)) + rng.normal(0, 0.05, (len(models), len(domain)))
    units = pd.DataFrame({"token": "t", "document": "d", "domain": np.array(DOMAINS)[domain]})
    units = units.assign(start=np.cumsum(size) - size, bytes=size)
    return LossTable(tuple(models.index), np.maximum(each, 0.05) * size, units)


def salient_loss(table: LossTable, z: np.ndarray) -> np.ndarray:
    """sum_u s[u] loss[m, u] / bytes[u] for each row of z [benchmark, token] -> [benchmark, lm]."""
    size = table.units["bytes"].to_numpy(float)
    log_s = np.log(size / size.sum()) + z
    return np.exp(log_s - logsumexp(log_s, axis=1, keepdims=True)) @ (table.loss / size).T


def planted(benchmarks: int, z: np.ndarray) -> Truth:
    """Tasks that losses tell much of: slope 2, small spreads."""
    spreads = np.full((3, benchmarks), 0.1)
    return Truth(z, np.full(benchmarks, 2.0), np.zeros(benchmarks), np.full(benchmarks, 0.95), *spreads)


def planted_on_domains(table: LossTable, strength: float) -> Truth:
    """One task for each domain: z is `strength` on its tokens and 0 elsewhere."""
    domain = table.units["domain"].to_numpy()
    return planted(len(DOMAINS), np.stack([strength * (domain == name) for name in DOMAINS]))


def dataset(
    rng: np.random.Generator,
    models: pd.DataFrame,
    table: LossTable,
    truth: Truth,
    train: np.ndarray,
    items: int = 400,
    floor: float = 0.25,
) -> Dataset:
    """Scores y = Binomial(items, mu) / items with every effect inside the link. `train` [lm] sets centre and scale."""
    psi = salient_loss(table, truth.z)
    mean = table.mean_loss[train]
    family, run = (pd.factorize(models[column])[0] for column in ("family", "run"))
    shape = len(truth.slope), len(models)
    effect = truth.family_spread[:, None] * rng.normal(size=shape)[:, family]
    effect += truth.run_spread[:, None] * rng.normal(size=shape)[:, run]
    effect += truth.spread[:, None] * rng.normal(size=shape)
    logit = truth.intercept[:, None] - truth.slope[:, None] * (psi - mean.mean()) / mean.std() + effect
    chance = floor + (1 - floor) * truth.room[:, None] * expit(logit)
    names = tuple(f"b{b}" for b in range(shape[0]))
    counts, each = rng.binomial(items, chance).T, np.ones(shape[0])
    scores = ScoreTable(tuple(models.index), names, counts / items, items * each, floor * each)
    return Dataset(models, scores, table)


@cache
def world(strength: float) -> Dataset:
    """Three tasks, each of which is about one domain: z is `strength` there and 0 elsewhere."""
    rng, models = np.random.default_rng(21), lms()
    table = losses(rng, models)
    return dataset(rng, models, table, planted_on_domains(table, strength), np.ones(len(models), bool))


def with_scores(data: Dataset, score: np.ndarray) -> Dataset:
    """The same dataset with other scores [lm, benchmark]."""
    found = data.measured()[0]
    return Dataset(
        data.lms, ScoreTable(found.lms, found.benchmarks, score, found.n_items, found.floor, found.ceiling), data.losses
    )


def with_losses(data: Dataset, loss: np.ndarray) -> Dataset:
    """The same dataset with other losses [lm, token]."""
    found = data.measured()[1]
    return Dataset(data.lms, data.scores, LossTable(found.lms, loss, found.units))


def hold_out(models: pd.DataFrame, *families: str) -> Fold:
    """A fold whose test rows are those of these families."""
    test = models["family"].isin(families).to_numpy()
    return Fold(",".join(families), ~test, test)
