"""Every method on models of which the posterior is known."""

import warnings
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import optimize

from csvjax.errors import FitWarning, InputError
from csvjax.infer import Bootstrap, Fit, Laplace, Map, Nuts, Svi, approximation, fit, fit_many
from csvjax.infer.laplace import log_evidence
from csvjax.law.density import Density
from csvjax.precision import float64
from tests.infer.models import COIN, LINE, Line, coin_data, coin_grid, line_data

pytestmark = pytest.mark.slow
KEY = jax.random.key(0)
NUTS = Nuts(warmup=300, draws=1000, chains=2)


def check_normal(found: Fit, effective: np.ndarray, data: Line) -> None:
    """Mean and covariance of the draws within 4.5 standard errors of the closed form."""
    covariance = data.covariance
    variance = np.diag(covariance)
    assert np.all(np.abs(found.draws.mean(0) - data.mean) < 4.5 * np.sqrt(variance / effective))
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / effective.min())
    assert np.all(np.abs(np.cov(found.draws.T) - covariance) < 4.5 * error)


def test_map_is_the_mode_and_float64_outside_too() -> None:
    data = line_data(1)
    found = fit(LINE, data, Map(), KEY)
    assert found.status.ok
    assert found.x.shape == (1, 1, 3)
    assert found.x.dtype == np.float64
    assert found.mode is not None
    # The gradient is below 1e-4 in units of the posterior's standard deviations.
    np.testing.assert_allclose(found.mode, data.mean, atol=3e-4 * np.sqrt(np.diag(data.covariance).max()))
    ends = found.diagnostics["potentials"][found.diagnostics["finished"]]
    assert len(ends) == 2
    assert float(found.diagnostics["potential"]) == ends.min()


def test_laplace_and_nuts_are_normal_where_the_posterior_is() -> None:
    data = line_data(2)
    check_normal(fit(LINE, data, Laplace(draws=4000), KEY), np.full(3, 4000), data)
    found = fit(LINE, data, NUTS, KEY)
    assert found.status.ok, found.status
    assert found.x.shape == (2, 1000, 3)
    # Squares mix no better than ranks do in the tails.
    check_normal(found, np.minimum(found.diagnostics["bulk_ess"], found.diagnostics["tail_ess"]), data)


def test_widened_draws_lie_so_much_further_from_the_same_mode() -> None:
    data = line_data(2)
    plain, wide = (fit(LINE, data, Laplace(draws=50, widen=widen), KEY) for widen in (1.0, 1.5))
    np.testing.assert_allclose(wide.draws - wide.mode, 1.5 * (plain.draws - plain.mode), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(wide.mode, plain.mode)
    assert log_evidence(wide) == log_evidence(plain)


def test_full_rank_svi_is_exact_where_the_posterior_is_normal_and_mean_field_as_narrow_as_theory_says() -> None:
    data = line_data(3)
    full = fit(LINE, data, Svi(draws=4000), KEY)
    assert full.status.ok
    np.testing.assert_allclose(np.cov(full.draws.T), data.covariance, atol=0.12 * np.diag(data.covariance).max())
    np.testing.assert_allclose(full.draws.mean(0), data.mean, atol=0.1 * np.sqrt(np.diag(data.covariance).max()))
    # The normal with independent components nearest to Normal(m, P^-1) has variances 1 / P[i, i].
    narrow = fit(LINE, data, Svi("mean-field", draws=4000), KEY)
    np.testing.assert_allclose(narrow.draws.var(0), 1 / np.diag(data.precision), rtol=0.15)
    assert np.all(np.abs(np.corrcoef(narrow.draws.T) - np.eye(3)) < 0.07)
    low = fit(LINE, data, Svi("low-rank", rank=2, draws=4000), KEY)
    np.testing.assert_allclose(low.draws.var(0), np.diag(data.covariance), rtol=0.2)


def test_logistic_regression_against_sums_over_a_grid() -> None:
    data = coin_data()
    mean, sd = coin_grid(data)
    nuts = fit(COIN, data, NUTS, KEY)
    assert nuts.status.ok, nuts.status
    effective = np.minimum(nuts.diagnostics["bulk_ess"], nuts.diagnostics["tail_ess"])
    assert np.all(np.abs(nuts.draws.mean(0) - mean) < 4.5 * sd / np.sqrt(effective))
    # A skew density's standard deviation has a larger error than a normal one's, sd / sqrt(2 S): twice that.
    assert np.all(np.abs(nuts.draws.std(0) - sd) < 4.5 * sd * np.sqrt(2 / effective))
    svi = fit(COIN, data, Svi(), KEY)
    laplace = fit(COIN, data, Laplace(draws=4000), KEY)
    # The nearest normal has nearly the right moments; the one around the mode is off by the skewness.
    np.testing.assert_allclose(svi.draws.mean(0), mean, atol=0.15 * sd.max())
    np.testing.assert_allclose(svi.draws.std(0), sd, rtol=0.15)
    np.testing.assert_allclose(laplace.draws.mean(0), mean, atol=0.4 * sd.max())


@float64
def test_map_is_scipys_optimum() -> None:
    data = coin_data()
    found = optimize.minimize(
        lambda x: float(COIN.potential(jnp.asarray(x), data)),
        np.zeros(2),
        method="Nelder-Mead",
        options={"fatol": 1e-12},
    )
    mode = fit(COIN, data, Map(), KEY).mode
    np.testing.assert_allclose(mode, found.x, atol=1e-3)


def _positive(observed: np.ndarray) -> None:
    s = numpyro.sample("s", dist.LogNormal(0.5, 0.8))
    numpyro.sample("y", dist.LogNormal(jnp.log(s) * jnp.ones(len(observed)), 1.0).to_event(1), obs=observed)


def test_the_mode_is_that_of_the_unconstrained_density() -> None:
    # Of log s, which is normal given y. AutoDelta's is lower by 1 / precision: see test_density.
    y = np.array([1.2, 3.0, 0.7])
    precision = 1 / 0.8**2 + 3
    found = fit(Density(_positive), y, Map(), KEY)
    assert float(found.draws[0, 0]) == pytest.approx((0.5 / 0.8**2 + np.log(y).sum()) / precision, abs=1e-4)


def _mean(data: Line) -> None:
    m = numpyro.sample("m", dist.Normal(0.0, 1e3))
    numpyro.factor("y", -0.5 * jnp.sum(data.weight * (data.observed - m) ** 2))


def test_the_bootstraps_standard_deviation_of_a_mean() -> None:
    rng = np.random.default_rng(3)
    data = Line(np.zeros((40, 0)), rng.normal(size=40), np.ones(40), np.arange(40) % 8)
    density, replicates = Density(_mean), 1000
    error = 4.5 / np.sqrt(2 * replicates)
    case = fit(density, data, Bootstrap("case", replicates, batch=100), KEY)
    assert case.status.ok
    assert case.x.shape == (1, replicates, 1)
    assert case.draws.std() == pytest.approx(data.observed.std() / np.sqrt(40), rel=error)
    family = fit(density, data, Bootstrap("family", replicates, batch=100), KEY)
    means = np.array([data.observed[data.family == f].mean() for f in range(8)])
    assert family.draws.std() == pytest.approx(means.std() / np.sqrt(8), rel=error)
    # A model of weight 0 is absent: never drawn, and no draw is lost on it.
    fewer = data._replace(weight=(np.arange(40) < 20) * 1.0)
    half = fit(density, fewer, Bootstrap("case", replicates, batch=100), KEY)
    assert half.draws.std() == pytest.approx(data.observed[:20].std() / np.sqrt(20), rel=error)


@pytest.mark.parametrize("guide", ["full-rank", "mean-field"])
def test_the_bound_of_svi_is_one_on_the_evidence(guide: Literal["full-rank", "mean-field"]) -> None:
    """The posterior is normal: Laplace's evidence is exact, the bound of a free covariance too, the other one below."""
    data = line_data(3)
    laplace = fit(LINE, data, Laplace(draws=50), KEY)
    svi = fit(LINE, data, Svi(guide, steps=1500), KEY)
    exact, bound = log_evidence(laplace), log_evidence(svi)
    if guide == "full-rank":
        assert bound == pytest.approx(exact, abs=0.1)
        assert svi.diagnostics["elbo_end"] == bound
    else:
        off = np.linalg.slogdet(data.precision)[1] - np.log(np.diag(data.precision)).sum()
        assert bound == pytest.approx(exact + 0.5 * off, abs=0.1)


def test_svi_and_nuts_start_from_a_mode_that_was_found() -> None:
    data = coin_data()
    mode = fit(COIN, data, Laplace(draws=50), KEY)
    # A search of no steps would find nothing.
    blind = Map(starts=1, finalists=1, steps=1)
    for method in (Svi(map=blind), Nuts(warmup=200, draws=500, chains=2, map=blind)):
        found = fit(COIN, data, method, KEY, None, mode.optimum)
        assert found.status.ok, found.status
        np.testing.assert_array_equal(found.mode, mode.mode)


def test_many_parameters_have_another_approximation() -> None:
    assert approximation(300, 200, Map(), 1.5) == Laplace(draws=200, widen=1.5)
    large = approximation(301, 200, Map())
    assert isinstance(large, Svi)
    assert (large.guide, large.draws) == ("mean-field", 200)


@pytest.mark.parametrize("method", [Map(), Laplace(draws=50), Svi(steps=200, draws=50)])
def test_many_fits_at_once_have_the_numbers_of_one_by_one(method: Any) -> None:
    datasets = [line_data(seed) for seed in (4, 5, 6)]
    stacked = Line(*[np.stack(a) for a in zip(*datasets, strict=True)])
    keys = jax.random.split(KEY, 3)
    for many, data, key in zip(fit_many(LINE, stacked, 0, method, keys), datasets, keys, strict=True):
        one = fit(LINE, data, method, key)
        np.testing.assert_allclose(many.x, one.x, rtol=1e-5, atol=1e-5)
        assert many.status.ok == one.status.ok


def test_many_fits_share_what_has_no_axis_and_refuse_nuts() -> None:
    data = line_data(4)
    stacked = data._replace(observed=np.stack([data.observed, 2 * data.observed]))
    first, second = fit_many(LINE, stacked, Line(None, 0, None, None), Map(), jax.random.split(KEY, 2))
    np.testing.assert_allclose(2 * first.draws, second.draws, atol=1e-3)
    with pytest.raises(InputError, match="found nuts; call fit for each"):
        fit_many(LINE, stacked, Line(None, 0, None, None), Nuts(), jax.random.split(KEY, 2))


def test_nothing_is_compiled_again_for_other_data_or_keys() -> None:
    calls = 0

    def model(data: Line) -> None:
        nonlocal calls
        calls += 1
        _mean(data)

    density = Density(model)
    for method in (Map(), Nuts(warmup=20, draws=40, chains=2, block=30)):
        counts = []
        for seed in (1, 2, 3):
            data = line_data(seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FitWarning)  # chains this short do not converge
                fit(density, data, method, jax.random.key(seed))
            counts.append(calls)
        assert counts[0] > 0
        assert counts[0] == counts[1] == counts[2]
        calls = 0
