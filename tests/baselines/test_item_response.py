from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import spearmanr

from csvjax.baselines.item_response import Items, capability, fit_items, item_response
from csvjax.baselines.view import hide
from csvjax.data.dataset import Dataset

KEY = jax.random.key(0)
SLOPE = np.array([1.0, 0.6, 1.8, 1.2])
DIFFICULTY = np.array([0.0, -1.0, 1.0, 0.5])


@pytest.fixture
def table() -> tuple[np.ndarray, np.ndarray]:
    ability = np.random.default_rng(0).normal(0, 1.5, 60)
    return ability, expit(SLOPE * (ability[:, None] - DIFFICULTY))


def test_curves_are_recovered_with_gaps(table: tuple[np.ndarray, np.ndarray]) -> None:
    """The penalty of 0.1 over all parameters shrinks a little; a quarter of the cells is missing."""
    _, score = table
    seen = np.where(np.random.default_rng(1).random(score.shape) < 0.25, np.nan, score)
    items = fit_items(seen)
    assert items.slope[0] == 1
    np.testing.assert_allclose(items.slope, SLOPE, rtol=0.15)
    np.testing.assert_allclose(items.difficulty - items.difficulty[0], DIFFICULTY, atol=0.15)  # the origin is free


def test_a_capability_is_the_best_of_its_objective(table: tuple[np.ndarray, np.ndarray]) -> None:
    ability, score = table
    items = Items(SLOPE, DIFFICULTY, 1e-9)
    np.testing.assert_allclose(capability(items, score), ability, atol=1e-4)
    partly = score.copy()
    partly[:, 1:] = np.nan
    np.testing.assert_allclose(capability(items, partly), ability, atol=1e-3)
    assert np.isnan(capability(items, np.full((1, 4), np.nan))).all()


def test_rows_without_a_known_benchmark_have_no_answer(make: Callable[..., Dataset]) -> None:
    view = hide(make(noise=0.0), np.arange(20) % 4 < 3, ("x", "y"))
    score = view.score.copy()
    score[3] = np.nan
    view = replace(view, score=score)
    predicted = item_response().fit(view, KEY).predict(view)
    assert np.isnan(predicted[3]).all()
    assert np.isfinite(predicted[7]).all()


def test_one_ability_orders_the_held_out_models(make: Callable[..., Dataset]) -> None:
    dataset = make(noise=0.005, gaps=0.0)
    train = np.arange(20) % 4 < 3
    view = hide(dataset, train, ("y",))
    predicted = item_response().fit(view, KEY).predict(view)[~train, 0]
    observed = dataset.measured()[0].score[~train, 4]
    assert spearmanr(predicted, observed).statistic >= 0.9
