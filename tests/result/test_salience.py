"""Salience of a result: how many logits a benchmark loses for a nat more on each unit of text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom

import csvjax
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.infer import Laplace, Map
from csvjax.law.model import Law
from csvjax.result.result import Result
from tests.result.conftest import BENCHMARKS, LMS, frame, place, written

TOKENS = 8
BYTES = np.array([1, 2] * 4)


@pytest.fixture(scope="module")
def fit(dataset: Dataset, seen: np.ndarray) -> Result:
    """Two capabilities; eight tokens of text in four groups."""
    units = pd.DataFrame({"token": list("abcdefgh"), "document": "d", "domain": ["x"] * 4 + ["y"] * 4})
    loss = np.random.default_rng(0).uniform(1, 3, (LMS, TOKENS)) * BYTES
    table = LossTable(tuple(dataset.lms.index), loss, units.assign(start=np.cumsum(BYTES) - BYTES, bytes=BYTES))
    found = written(replace(dataset, losses=table), seen, Law(2, ("flops",), (), per_domain=2))
    x = found.x.copy()
    rng = np.random.default_rng(1)
    for name in ("weight", "contrast", "loss_slope", "tau"):
        x[..., place(found, name)] = rng.normal(0.5, 0.5, (400, len(place(found, name))))
    return replace(found, x=x)


def test_the_table_has_a_row_for_each_benchmark_and_token(fit: Result) -> None:
    table = fit.salience()
    columns = ["token", "document", "domain", "start", "bytes", "benchmark", "base_weight", "mean", "lower", "upper"]
    assert sorted(table.columns) == sorted([*columns, "share"])
    assert list(table["benchmark"]) == [name for name in BENCHMARKS for _ in range(TOKENS)]
    assert list(table["token"]) == list("abcdefgh") * 3
    assert (table["lower"] <= table["upper"]).all()
    np.testing.assert_allclose(table.groupby("benchmark")["share"].sum(), 1)
    np.testing.assert_allclose(table.groupby("benchmark")["base_weight"].sum(), 1)
    narrow = fit.salience(level=0.5)
    assert (narrow["upper"] - narrow["lower"] < table["upper"] - table["lower"]).all()


def test_it_sums_to_the_slope_of_the_salient_loss(fit: Result) -> None:
    """sum over tokens of bytes x salience = loading @ (loss_slope / unit), the sum over groups of nats per byte."""
    table = fit.salience()
    sites = fit.labelled.sites
    slope = np.einsum("cdbk,cdk->cdb", sites["loading"], sites["loss_slope"] / sites["loss_unit"])
    total = (table["mean"] * table["bytes"]).groupby(table["benchmark"]).sum()
    np.testing.assert_allclose(total[list(BENCHMARKS)], slope.mean(axis=(0, 1)), rtol=1e-6)


def test_it_is_the_derivative_of_logits_by_the_loss_of_a_token(fit: Result) -> None:
    """Tokens of a group count by their bytes: a nat more on one of them moves the group by 1 / (bytes of the group)."""
    table, units = fit.salience(), fit.known.units
    assert units is not None
    of_group = np.bincount(units.label, BYTES)
    for _, part in table.groupby("benchmark"):
        per_token = part["mean"].to_numpy()
        for g in np.unique(units.label):
            np.testing.assert_allclose(per_token[units.label == g], per_token[units.label == g][0])
    share = table[table["benchmark"] == "easy"]["share"].to_numpy()
    for g in np.unique(units.label):
        inside = units.label == g
        np.testing.assert_allclose(share[inside] / share[inside].sum(), BYTES[inside] / of_group[g])


def test_it_does_not_depend_on_the_signs_of_contrasts(fit: Result) -> None:
    x = fit.x.copy()
    x[:, ::2][..., place(fit, "contrast")] *= -1
    for name in ("gain", "loss_slope"):
        x[:, ::2][..., place(fit, name)[1::2]] *= -1  # rows of covariates, columns of capabilities
    pd.testing.assert_frame_equal(replace(fit, x=x).salience(), fit.salience())
    # While a sign of the slope alone is another law.
    x[..., place(fit, "loss_slope")[1]] *= -1
    assert not np.allclose(replace(fit, x=x).salience()["mean"], fit.salience()["mean"])


def test_a_draw_without_a_solution_gives_way_to_another(fit: Result) -> None:
    x = fit.x.copy()
    x[0, 5] = np.nan
    assert np.isfinite(replace(fit, x=x).salience()[["mean", "lower", "upper"]]).all(axis=None)


def test_without_losses_there_is_none(dataset: Dataset, seen: np.ndarray) -> None:
    with pytest.raises(InputError, match="a fit with losses, found one without"):
        written(dataset, seen).salience()


UNITS, SEEDS, STEEP = 5, 4, 8.0
PLANTED = np.array([0.5, 0.3, 0.2, 0.0, 0.0])


def world(seed: int, lms: int = 40) -> Dataset:
    """Losses that vary independently on five texts, and scores of 2,000 items that weigh them as planted."""
    rng = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(lms)]
    loss = 3.0 + rng.normal(0, 0.25, (lms, UNITS))
    ability = -STEEP * (loss - 3.0) @ PLANTED + rng.normal(0, 0.2, lms)
    u = ability[:, None] + np.array([0.5, -0.5]) + rng.normal(0, 0.1, (lms, 2))
    score = rng.binomial(2000, expit(u)) / 2000
    text = [f"text {i}" for i in range(UNITS)]
    units = pd.DataFrame({"token": text, "document": text, "domain": text, "start": 0, "bytes": 1})
    scores = ScoreTable(tuple(names), ("easy", "hard"), score, np.full(2, 2000.0), np.zeros(2), np.ones(2))
    return Dataset(frame(names, names, [np.nan] * lms), scores, LossTable(tuple(names), loss, units))


@pytest.mark.slow
def test_planted_salience_lies_inside_its_intervals() -> None:
    inside, means = 0, []
    for seed in range(SEEDS):
        law, method = Law(1, (), ()), Laplace(draws=400, map=Map(starts=1))
        found = csvjax.fit(world(seed), law, method=method, seed=seed).salience()
        easy = found[found["benchmark"] == "easy"]
        # What a capability has by itself is not seen in the losses; slopes are in logits per nat as planted.
        true = STEEP * PLANTED
        inside += int(((easy["lower"] <= true + 0.05) & (true - 0.05 <= easy["upper"])).sum())
        means.append(easy["share"].to_numpy())
    # Of twenty intervals of 90 % fewer than this hold once in a thousand times, if they were independent.
    assert inside >= binom.ppf(0.001, SEEDS * UNITS, 0.9)
    np.testing.assert_allclose(np.mean(means, axis=0), PLANTED, atol=0.06)
