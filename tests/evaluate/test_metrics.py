from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from csvjax.evaluate import metrics


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def test_point_errors_on_a_case_done_by_hand() -> None:
    observed, predicted = [0.0, 1.0, 2.0, np.nan], [0.0, 2.0, 0.0, 9.0]
    assert metrics.rmse(observed, predicted) == pytest.approx(np.sqrt(5 / 3))
    assert metrics.mae(observed, predicted) == pytest.approx(1.0)
    assert metrics.r2(observed, predicted) == pytest.approx(1 - 5 / 2)


def test_r2_is_one_for_the_truth_zero_for_its_mean_and_undefined_without_variation(rng: np.random.Generator) -> None:
    y = rng.normal(size=(5, 4))
    assert metrics.r2(y, y) == 1.0
    assert metrics.r2(y, y.mean()) == pytest.approx(0.0)
    assert np.isnan(metrics.r2(np.ones(3), np.zeros(3)))


@pytest.mark.parametrize("metric", [metrics.rmse, metrics.mae, metrics.r2])
def test_an_observed_cell_without_prediction_is_not_passed_over(metric: Callable[..., float]) -> None:
    assert np.isnan(metric([0.0, 1.0], [0.0, np.nan]))
    assert np.isnan(metric([np.nan], [0.0]))


def test_crps_is_the_sum_over_all_pairs(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(7, 2, 3)), rng.normal(size=(2, 3))
    pairs = np.abs(x[:, None] - x[None, :]).sum((0, 1)) / (7 * 6)
    assert metrics.crps(y, x) == pytest.approx(np.abs(x - y).mean(0) - pairs / 2)


def test_crps_of_a_normal_agrees_with_its_formula(rng: np.random.Generator) -> None:
    # Gneiting and Raftery 2007, eq. 21: sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), with mu = 0.3, sigma = 0.2
    y = np.linspace(-0.5, 1.2, 9)
    z = (y - 0.3) / 0.2
    exact = 0.2 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    repeats = np.stack([metrics.crps(y, rng.normal(0.3, 0.2, size=(50, 9))) for _ in range(400)])
    error = repeats.std(axis=0, ddof=1) / np.sqrt(len(repeats))
    assert np.all(np.abs(repeats.mean(axis=0) - exact) < 4 * error)  # unbiased with as few as 50 draws


def test_crps_of_a_certain_prediction_is_its_absolute_error_and_masks_gaps() -> None:
    score = metrics.crps([0.2, np.nan], np.full((3, 2), 0.5))
    assert score[0] == pytest.approx(0.3)
    assert np.isnan(score[1])


def test_interval_of_continuous_draws_is_equal_tailed(rng: np.random.Generator) -> None:
    draws = rng.normal(size=(20_000, 2))
    lower, upper = metrics.interval(draws, 0.8)
    # standard error of a quantile: sqrt(p (1 - p) / S) / density
    error = np.sqrt(0.1 * 0.9 / 20_000) / stats.norm.pdf(stats.norm.ppf(0.9))
    assert np.all(np.abs(upper - stats.norm.ppf(0.9)) < 4 * error)
    assert np.all(np.abs(lower + stats.norm.ppf(0.9)) < 4 * error)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_intervals_of_discrete_scores_have_attainable_bounds_and_cover_at_least_their_level(
    rng: np.random.Generator, level: float
) -> None:
    items, cells = 12, 3000
    draws = rng.binomial(items, 0.4, size=(400, cells)) / items
    lower, upper = metrics.interval(draws, level)
    assert np.allclose(lower * items, np.round(lower * items))
    covered = metrics.coverage(rng.binomial(items, 0.4, size=cells) / items, lower, upper)
    assert covered > level - 4 * np.sqrt(level * (1 - level) / cells)


def test_coverage_counts_the_bounds_despite_rounding_and_masks_gaps() -> None:
    observed = np.array([1 / 3, 0.5, np.nan, 0.9])
    lower = np.array([1 / 3, 0.6, 0.0, 0.0])
    upper = np.array([0.4, 0.7, 1.0, 0.9], dtype=np.float32)
    assert metrics.coverage(observed, lower, upper) == pytest.approx(2 / 3)
    assert metrics.width(observed, lower, upper) == pytest.approx((0.4 - 1 / 3 + 0.1 + 0.9) / 3, abs=1e-6)
    assert np.isnan(metrics.coverage([0.5], [np.nan], [1.0]))


def test_log_score_is_that_of_the_mixture_of_the_draws() -> None:
    means = np.array([[0.0], [2.0]])
    mixture = 0.5 * stats.norm.pdf(0.7) + 0.5 * stats.norm.pdf(0.7 - 2)
    assert metrics.log_score(stats.norm.logpdf(0.7, means, 1.0)) == pytest.approx(-np.log(mixture))


@pytest.mark.parametrize("items", [3, 100])
def test_pit_of_a_calibrated_discrete_prediction_is_uniform(rng: np.random.Generator, items: int) -> None:
    p = rng.beta(2, 2, size=2000)
    draws = rng.binomial(items, p, size=(60, 2000)) / items
    u = metrics.pit(rng.binomial(items, p) / items, draws, rng)
    assert stats.kstest(u, "uniform").pvalue > 1e-3


def test_pit_shows_a_prediction_that_is_too_narrow_and_masks_gaps(rng: np.random.Generator) -> None:
    u = metrics.pit(rng.normal(size=2000), rng.normal(scale=0.5, size=(60, 2000)), rng)
    assert stats.kstest(u, "uniform").pvalue < 1e-6
    assert np.isnan(metrics.pit(np.array([np.nan]), np.zeros((5, 1)), rng)).all()
