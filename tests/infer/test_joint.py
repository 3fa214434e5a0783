"""The joint law fitted to a dataset: hidden scores are not looked at, whatever the method; losses are grouped."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest
from jax.flatten_util import ravel_pytree

from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.infer import Fit, Laplace, Map
from csvjax.infer.result import Status
from csvjax.laws.fit_joint import (
    JointSettings,
    evidence_for,
    fit_joint,
    joint_density,
    joint_log_evidence,
    one_order,
)
from csvjax.laws.joint_model import JointPriors
from csvjax.laws.outliers import Cleaned
from csvjax.precision import float64

LMS = 10


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rng = np.random.default_rng(2)
    names = tuple(f"m{i}" for i in range(LMS))
    chance = 1 / (1 + np.exp(-np.linspace(-2, 2, LMS)))[:, None] * np.ones(3)
    columns = {"family": [f"f{i % 2}" for i in range(LMS)], "params": np.nan, "tokens": np.nan}
    lms = pd.DataFrame(columns | {"flops": 10 ** np.linspace(20, 24, LMS)}, pd.Index(names, name="lm", dtype=str))
    return Dataset(lms, ScoreTable(names, ("a", "b", "c"), rng.binomial(100, chance) / 100, floor=np.zeros(3)))


def with_losses(dataset: Dataset) -> Dataset:
    units = pd.DataFrame({"token": "t", "document": "d", "domain": ["x"] * 6 + ["y"] * 6})
    loss = np.random.default_rng(3).uniform(1, 3, (LMS, 12))
    table = LossTable(tuple(dataset.lms.index), loss, units.assign(start=np.arange(12), bytes=1))
    return replace(dataset, losses=table)


def test_the_same_settings_have_the_same_density() -> None:
    assert joint_density(2, JointPriors()) is joint_density(2, JointPriors())
    assert joint_density(2, JointPriors()) is not joint_density(2, JointPriors(gain_sd=1.0))


def test_losses_are_grouped_by_the_models_whose_scores_are_seen(dataset: Dataset) -> None:
    given = with_losses(dataset)
    seen = np.arange(LMS)[:, None] < np.array([7, 7, 5])
    settings = JointSettings(covariates=(), per_domain=3, features=2)
    evidence, units = evidence_for(given, seen, settings)
    assert units is not None
    assert evidence.loss.shape == (LMS, 6)
    assert evidence.features.shape == (6, 2)
    assert evidence.covariate.shape == (LMS, 0)
    assert given.losses is not None
    loss = given.losses.loss.copy()
    loss[7:] = 9.0
    other, again = evidence_for(replace(given, losses=replace(given.losses, loss=loss)), seen, settings)
    assert again is not None
    np.testing.assert_array_equal(again.label, units.label)
    np.testing.assert_array_equal(other.features, evidence.features)
    assert evidence_for(dataset, seen, settings)[1] is None


def test_families_are_named_in_the_order_of_their_numbers(dataset: Dataset) -> None:
    evidence, _ = evidence_for(dataset, np.ones((LMS, 3), bool), JointSettings())
    names = dataset.lms["family"].to_numpy(str)
    np.testing.assert_array_equal(np.unique(names)[evidence.family], names)


@float64
def test_signs_and_order_of_contrasts_are_symmetries_that_are_undone(dataset: Dataset) -> None:
    given = with_losses(dataset)
    settings = JointSettings(capabilities=3, per_domain=3, features=2)
    evidence, _ = evidence_for(given, np.ones((LMS, 3), bool), settings)
    density = joint_density(3, JointPriors())
    shapes = jax.eval_shape(lambda: density.sites(jax.random.key(0), evidence))
    rng = np.random.default_rng(5)
    one = {name: rng.normal(0, 0.5, shape.shape) for name, shape in shapes.items()}
    one["contrast"] = np.array([[2.0, 0.3], [-0.5, 1.0], [0.1, -1.5]])
    other = dict(one)
    # The second and the third capability change places, and one of them its sign.
    swap = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    other["contrast"] = one["contrast"] @ swap[1:, 1:]
    other["contrast_scale"] = one["contrast_scale"] @ np.abs(swap[1:, 1:])
    other["gain"], other["loss_slope"] = one["gain"] @ swap, one["loss_slope"] @ swap
    other["family_spread"] = one["family_spread"] @ np.abs(swap)
    other["weight"] = np.abs(swap).T @ one["weight"]
    x = np.stack([np.asarray(ravel_pytree(sites)[0]) for sites in (one, other)])
    potential = jax.jit(density.potential)
    np.testing.assert_allclose(potential(x[0], evidence), potential(x[1], evidence), rtol=1e-9)
    assert np.abs(x[0] - x[1]).max() > 1
    draws = np.repeat(x[:, None], 50, axis=1) + 0.01 * rng.standard_normal((2, 50, x.shape[1]))
    turned = one_order(density, evidence, draws)
    np.testing.assert_allclose(turned[0].mean(axis=0), turned[1].mean(axis=0), atol=0.01)
    for chain in range(2):
        np.testing.assert_allclose(
            potential(turned[chain, 7], evidence), potential(draws[chain, 7], evidence), rtol=1e-9
        )


def test_what_is_not_there_is_told(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="different values of tokens, found 0"):
        fit_joint(dataset, np.ones((LMS, 3), bool), JointSettings(covariates=("tokens",)), Map())
    with pytest.raises(InputError, match="a dataset with scores"):
        fit_joint(replace(dataset, scores=None), np.ones((LMS, 3), bool), JointSettings(), Map())


@pytest.mark.slow
def test_hidden_scores_have_no_influence_and_draws_surround_the_mode(dataset: Dataset) -> None:
    seen = np.arange(LMS)[:, None] < np.array([7, 7, 10])
    settings = JointSettings(capabilities=1)
    scores = dataset.scores
    assert scores is not None
    other = replace(dataset, scores=replace(scores, score=np.where(seen, scores.score, 0.99)))
    mode = fit_joint(dataset, seen, settings, Map(starts=1))
    assert mode.status.ok
    assert mode.x.shape[:2] == (1, 1)
    np.testing.assert_array_equal(fit_joint(other, seen, settings, Map(starts=1)).x, mode.x)
    assert mode.draws(30).shape == (30, mode.x.shape[2])
    cloud = fit_joint(dataset, seen, settings, Laplace(draws=2000, map=Map(starts=1)), seed=1)
    assert cloud.method == "laplace"
    error = cloud.x[0].std(axis=0) / np.sqrt(2000)
    assert (np.abs(cloud.x[0].mean(axis=0) - mode.x[0, 0]) < 5 * error + 1e-3).all()


@pytest.mark.parametrize(("capabilities", "modes"), [(1, 1), (2, 2), (3, 8), (4, 48)])
def test_the_evidence_counts_every_turn_of_the_contrasts(dataset: Dataset, capabilities: int, modes: int) -> None:
    facts = {"potential": np.asarray(3.0), "log_volume": np.asarray(1.0)}
    fit = Fit(Laplace(), np.zeros((1, 1, 1)), np.zeros(1), Status(True, "written"), facts)
    evidence, _ = evidence_for(dataset, np.ones((LMS, 3), bool), JointSettings())
    found = Cleaned(fit, evidence, np.zeros(LMS, bool), -0.5)
    assert joint_log_evidence(found, capabilities) == pytest.approx(-2.5 + np.log(modes))
