"""Where a search may begin: near what made the scores, and better than a draw from the prior."""

import jax
import numpy as np
import pytest

from csvjax.evaluate.simulate import blank_table
from csvjax.law.density import law_density
from csvjax.law.model import Evidence, Law
from csvjax.law.start import first_guess
from csvjax.precision import float64
from tests.law.tables import Slopes, evidence, flat, planted, unknown

LOADING, INTERCEPT, GAIN = np.array([0.5, 1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0, 0.5]), 1.5
LMS = 200


@pytest.fixture(scope="module")
def made() -> Evidence:
    """One capability that rises with the covariate, 10,000 items, a fifth of the cells not seen."""
    rng = np.random.default_rng(0)
    seen = rng.uniform(size=(LMS, 4)) > 0.2
    e = blank_table(seen, np.full(4, 1e4), np.zeros(4), np.arange(LMS))
    theta = GAIN * e.covariate[:, 0] + rng.normal(size=LMS)
    score = rng.binomial(10_000, 1 / (1 + np.exp(-INTERCEPT - theta[:, None] * LOADING))) / 1e4
    return e._replace(score=np.where(seen, score, 0.0))


@float64
def guess(e: Evidence, law: Law) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in first_guess(e, law).items()}


def test_it_finds_the_trend_and_the_loadings(made: Evidence) -> None:
    found = guess(made, Law(1, ("x",), ()))
    loading = np.exp(found["typical_loading"] + np.exp(found["steepness_differs"]) * found["steepness"])
    np.testing.assert_allclose(loading, LOADING, rtol=0.25)
    np.testing.assert_allclose(found["gain"][0, 0], GAIN, rtol=0.25)
    np.testing.assert_allclose(found["intercept"], INTERCEPT, atol=0.3)


def test_of_benchmarks_alone_it_is_a_regression_of_each(made: Evidence) -> None:
    found = guess(made, Law(0, ("x",), ()))
    np.testing.assert_allclose(found["own_gain"][0], GAIN * LOADING, rtol=0.25)


@pytest.mark.parametrize("law", [Law(0, effects=()), Law(1, effects=()), Law(3, effects=())], ids=["each", "1", "3"])
def test_it_is_better_than_draws_from_the_prior_and_fits_the_sites(law: Law) -> None:
    slopes = Slopes(law)
    e = planted(unknown(evidence(units=4), 2), 1)
    value = {}
    for number in range(4):
        x = slopes.start(number, e)
        sites = slopes.sites(x, e)
        moved = guess(e, law)
        assert set(moved) <= set(sites)
        assert all(moved[name].shape == sites[name].shape for name in moved)
        value[number] = slopes(x, e)[0], slopes(flat(sites | moved), e)[0]
    before, after = np.array(list(value.values())).T
    assert np.median(after) < np.median(before)


def test_every_second_start_is_moved(made: Evidence) -> None:
    law = Law(1, ("x",), ())
    density = law_density(law)
    with jax.enable_x64(True):
        x = density.starts(jax.random.split(jax.random.key(0), 4), made)
        sites = [density.unflatten(one, made) for one in x]
        same = [np.allclose(one["intercept"], guess(made, law)["intercept"]) for one in sites]
    assert same == [False, True, False, True]
