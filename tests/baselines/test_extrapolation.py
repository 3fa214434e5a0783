"""How much wider predictions of larger models are: which rows decide, and that planted growth is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from csvjax.baselines.extrapolation import excess, growth, largest_of_families, widened
from csvjax.baselines.view import View, hide
from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from tests.result.conftest import frame

FAMILIES = 10


def view(steps: tuple[float, ...] = (1.0, 2.0, 10.0), unseen: int = 0) -> View:
    """Ten families with models of these relative sizes; one target. The last `unseen` families have no training row."""
    family = np.repeat([f"f{i}" for i in range(FAMILIES)], len(steps))
    names = [f"m{i}" for i in range(len(family))]
    size = 1e21 * np.tile(steps, FAMILIES)
    scores = ScoreTable(tuple(names), ("x",), np.full((len(names), 1), 0.5))
    train = np.repeat(np.arange(FAMILIES) < FAMILIES - unseen, len(steps))
    return hide(Dataset(frame(names, list(family), size), scores), train, ("x",))


def test_the_largest_training_model_of_each_family_is_hidden() -> None:
    found = largest_of_families(view())
    np.testing.assert_array_equal(found, np.tile([False, False, True], FAMILIES))
    np.testing.assert_array_equal(np.flatnonzero(largest_of_families(view(unseen=2))), np.arange(2, 24, 3))


@pytest.mark.parametrize("made", [view((1.0, 1.2)), view((1.0,)), view(unseen=3)], ids=["same size", "single", "few"])
def test_without_eight_such_models_nothing_is_hidden(made: View) -> None:
    assert not largest_of_families(made).any()


def test_the_size_is_compared_with_the_training_rows_of_the_family() -> None:
    made = view(unseen=1)
    fitted = replace(made, target=np.where(largest_of_families(made)[:, None], np.nan, made.target))
    np.testing.assert_allclose(excess(fitted, made)[:3], [0, 0, np.log10(5)])
    # A family without training rows is compared with all of them.
    np.testing.assert_allclose(excess(fitted, made)[-3:], [0, 0, np.log10(5)])
    np.testing.assert_array_equal(excess(fitted, replace(made, flops=np.full(30, np.nan))), 0)


def test_draws_of_larger_models_move_away_from_their_median() -> None:
    rng = np.random.default_rng(0)
    draws = expit(rng.normal([1.0, -1.0], 0.3, (4001, 2)))
    r = np.array([0.0, 2.0])
    found = widened(draws, r, 2.0)
    np.testing.assert_array_equal(found[:, 0], draws[:, 0])
    np.testing.assert_allclose(np.median(found, axis=0), np.median(draws, axis=0))
    assert logit(found[:, 1]).std() / logit(draws[:, 1]).std() == pytest.approx(3.0)
    assert widened(draws, r, 0.0) is draws


@pytest.mark.parametrize(("planted", "low", "high"), [(0.0, 0.0, 0.0), (4.0, 2.0, 8.0)])
def test_planted_growth_is_found(planted: float, low: float, high: float) -> None:
    """40 models and 12 benchmarks; draws have a spread of 0.3, and the truth one that grows, or does not."""
    rng = np.random.default_rng(3)
    r = np.repeat(rng.uniform(0.2, 1.5, 40), 12)
    benchmark = np.tile(np.arange(12), 40)
    middle = rng.normal(0, 1, 480)
    observed = expit(middle + 0.3 * np.sqrt(1 + planted * r**2) * rng.normal(size=480))
    draws = expit(middle + 0.3 * rng.normal(size=(400, 480)))
    assert low <= growth(draws, observed, r, benchmark) <= high


def test_a_single_benchmark_cannot_say_that_the_spread_grows() -> None:
    rng = np.random.default_rng(0)
    observed = expit(3 * rng.normal(size=40))
    draws = expit(0.1 * rng.normal(size=(100, 40)))
    assert growth(draws, observed, np.ones(40), np.zeros(40, int)) == 0.0
