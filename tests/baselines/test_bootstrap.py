from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.stats import binom

from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.compute import compute_law
from csvjax.baselines.family import family_mean
from csvjax.baselines.method import NotApplicable
from csvjax.baselines.observational import observational_compute
from csvjax.baselines.view import View, hide
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError

KEY = jax.random.key(3)


def grand_mean(noise: float = 0.0) -> PointMethod:
    def learn(view: View, key: jax.Array) -> Law:
        centre = np.nanmean(view.target, axis=0)
        return lambda seen: np.repeat(centre[None], len(seen.family), axis=0)

    return PointMethod("grand mean", "no model", frozenset(), learn)


def exchangeable(make: Callable[..., Dataset], seed: int, spread: float) -> tuple[View, np.ndarray]:
    """Scores 0.5 + family + model, normal; the last family and the last model of each other one are to be predicted."""
    rng = np.random.default_rng(seed)
    view = hide(make(), np.ones(20, bool), ("x",))
    view = view.take(np.arange(80) % 20)
    family = np.repeat(np.arange(20), 4)
    score = 0.5 + spread * rng.standard_normal(20)[family] + 0.05 * rng.standard_normal(80)
    hidden = (np.arange(80) % 4 == 3) | (family >= 15)
    view = replace(
        view,
        family=family.astype(str),
        target=np.where(hidden, np.nan, score)[:, None],
    )
    return view, score


@pytest.mark.parametrize("seen", [True, False])
def test_intervals_cover_models_of_seen_and_of_unseen_families(make: Callable[..., Dataset], seen: bool) -> None:
    """The mean of a family where it is seen; of all families where it is not."""
    inside = []
    for seed in range(8):
        view, score = exchangeable(make, seed, 0.1)
        rows = (np.arange(80) >= 60) if not seen else (np.isnan(view.target[:, 0]) & (np.arange(80) < 60))
        draws = family_mean().fit(view, KEY).draws(view, jax.random.key(seed), 400)[:, rows, 0]
        low, high = np.quantile(draws, [0.1, 0.9], axis=0)
        inside.append(np.mean((score[rows] >= low) & (score[rows] <= high)))
    # 8 data sets with 5 unseen families (or 15 seen ones) each: the standard error of the share is below 0.07
    assert abs(np.mean(inside) - 0.8) < 0.15


def test_a_row_of_an_unseen_family_has_the_wider_interval(make: Callable[..., Dataset]) -> None:
    view, _ = exchangeable(make, 0, 0.2)
    draws = family_mean().fit(view, KEY).draws(view, KEY, 400)[:, :, 0]
    width = np.quantile(draws, 0.95, axis=0) - np.quantile(draws, 0.05, axis=0)
    assert width[60:].min() > 1.5 * width[:60].max()


def test_draws_of_the_mean_scatter_like_its_standard_error(make: Callable[..., Dataset]) -> None:
    """Families of four like rows: the variance of the grand mean is that of family means over their number."""
    view, _ = exchangeable(make, 1, 0.1)
    method = replace(grand_mean(), refits=400)
    fitted = method.fit(view, KEY)
    draws = fitted.draws(view, KEY, 400)[:, 79, 0]
    by_family = np.array([np.nanmean(view.target[view.family == str(f)]) for f in range(15)])
    expected = np.sqrt(by_family.var(ddof=0) / 15 + np.nanvar(view.target))
    assert draws.std() == pytest.approx(expected, rel=3 / np.sqrt(2 * 400) + 0.1)


def test_the_number_of_draws_is_not_that_of_the_refits(make: Callable[..., Dataset]) -> None:
    view = hide(make(), np.arange(20) % 4 < 3, ("x",))
    calls = []

    def learn(seen: View, key: jax.Array) -> Law:
        calls.append(len(seen.family))
        return grand_mean().learn(seen, key)

    PointMethod("counting", "no model", frozenset(), learn, refits=6).fit(view, KEY).draws(view, KEY, 300)
    assert len(calls) == 1 + 6 + 5  # the fit, the refits, the parts of single models


def test_fewer_than_three_families_are_no_obstacle(make: Callable[..., Dataset]) -> None:
    view = hide(make(), np.arange(20) % 4 < 3, ("x",)).take(np.arange(8))
    draws = observational_compute("params").fit(view, KEY).draws(view, KEY, 50)
    assert np.isfinite(draws).all()
    assert (draws.std(axis=0) > 0).all()


def test_too_few_rows_are_one_sentence(make: Callable[..., Dataset]) -> None:
    view = hide(make(), np.arange(20) % 4 < 3, ("x",)).take(np.array([0, 1, 3]))
    with pytest.raises(InputError, match="at least 3 training rows to resample, found 2"):
        grand_mean().fit(view, KEY).draws(view, KEY, 5)


def test_a_resample_without_compute_is_a_failure_of_the_method(make: Callable[..., Dataset]) -> None:
    """Two models have FLOPs, so that the law is fitted and most resamples are not: it does apply to the data."""
    view = hide(make(), np.arange(20) % 4 < 3, ("x",))
    view = replace(view, flops=np.where(np.arange(20) < 2, view.flops, np.nan))
    fitted = compute_law("flops").fit(view, KEY)
    with pytest.raises(InputError, match="resample") as caught:
        fitted.draws(view, KEY, 50)
    assert not isinstance(caught.value, NotApplicable)


def test_a_target_with_one_score_cannot_be_resampled(make: Callable[..., Dataset]) -> None:
    view = hide(make(), np.arange(20) % 4 < 3, ("x", "y"))
    target = view.target.copy()
    target[1:, 1] = np.nan
    view = replace(view, target=target)
    fitted = replace(grand_mean(), refits=400).fit(view, KEY)
    with pytest.raises(InputError, match="targets that few families have"):
        fitted.draws(view, KEY, 400)


@pytest.mark.slow
def test_the_share_of_draws_above_the_truth_is_uniform(make: Callable[..., Dataset]) -> None:
    """Of 40 data sets, the truth is in the lower half of the draws in about 20."""
    below = 0
    for seed in range(40):
        view, score = exchangeable(make, 100 + seed, 0.1)
        draws = family_mean().fit(view, KEY).draws(view, jax.random.key(seed), 100)[:, 79, 0]
        below += int(np.mean(draws < score[79]) < 0.5)
    assert binom.cdf(below, 40, 0.5) > 0.005
    assert binom.sf(below - 1, 40, 0.5) > 0.005
