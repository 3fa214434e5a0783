"""One density, in unconstrained coordinates: written a second time with NumPy and SciPy, from the formulas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

from csvjax.compiled import jit_by_size
from csvjax.infer import Map, fit
from csvjax.law.density import law_density
from csvjax.law.items import GAUGE
from csvjax.law.links import fractions
from csvjax.law.model import Evidence, Law, Priors
from tests.law.tables import Slopes, evidence, planted, salient, unknown

PRIORS = Priors(loading=0.8, steepness_sd=0.4, intercept_sd=1.5, spread=0.4, gain_sd=1.2, family_sd=0.7, strength=1.3)
OF_FAMILY_AND_RUN = np.arange(9) % 3, np.arange(9) // 2 // 3


def log_prior(sites: dict[str, np.ndarray], law: Law, covariates: int) -> float:
    """log density of the unconstrained sites, the Jacobians of exp included."""
    p, k = law.priors, law.capabilities
    first = np.arange(k) == 0

    def halfnormal(scale: float) -> object:
        return lambda x: stats.halfnorm.logpdf(np.exp(x), scale=scale) + x

    def lognormal(median: float, sd: float) -> object:
        return lambda x: stats.norm.logpdf(x, np.log(median), sd)

    def normal(mean: object, sd: float) -> object:
        return lambda x: stats.norm.logpdf(x, mean, sd)

    own_slope = lognormal(p.own_slope, p.own_slope_sd) if law.alone else normal(0, p.own_beside)
    each = {
        "gain": lambda x: stats.t.logpdf(x, 3, first / max(covariates, 1), p.gain_sd),
        "own_gain": normal(1 / max(covariates, 1), p.gain_sd),
        "weight": normal(0, 1),
        "own_weight": normal(0, 1),
        "tau": halfnormal(p.strength),
        "own_tau": halfnormal(p.strength),
        "loss_slope": normal(first * 1.0, p.loss_slope_sd),
        "own_slope": own_slope,
        "typical_loading": lognormal(p.loading, p.loading_sd),
        "steepness_differs": halfnormal(p.steepness_sd),
        "steepness": normal(0, 1),
        "contrast_scale": halfnormal(p.contrast_sd),
        "contrast": normal(0, 1),
        "intercept": normal(p.intercept_mean, p.intercept_sd),
        "typical_spread": lognormal(p.spread, p.spread_sd),
        "spread_differs": normal(0, 1),
        "free_floor": normal(0, 1),
        "room": normal(0, 1),
        "free_items": lognormal(p.items, p.items_sd),
        "family_spread": halfnormal(p.family_sd),
        "run_spread": halfnormal(p.family_sd),
        "family_habit": halfnormal(p.habit_sd),
        "run_habit": halfnormal(p.habit_sd),
    }
    return float(sum(np.sum(each[name](value)) for name, value in sites.items()))  # type: ignore[operator]


def trend_and_covariance(sites: dict[str, np.ndarray], e: Evidence, law: Law) -> tuple[np.ndarray, np.ndarray]:
    """Of all logits of all models, every effect and residual included, entry by entry."""
    lms, benchmarks = e.score.shape
    k, p = law.capabilities, law.priors
    loading = np.zeros((benchmarks, k))
    if k:
        steep = np.exp(sites["typical_loading"] + np.exp(sites["steepness_differs"]) * sites["steepness"])
        loading[:, 0] = steep
        for j in range(1, k):
            loading[:, j] = steep * np.exp(sites["contrast_scale"][j - 1]) * sites["contrast"][:, j - 1]
    spread = np.exp(sites["typical_spread"] + p.spread_differs * sites["spread_differs"])
    trend = np.tile(sites["intercept"], (lms, 1))
    of_model = np.zeros((lms, benchmarks, benchmarks))  # covariance of what is not known of a model

    def add(mean: np.ndarray, covariance: np.ndarray, turn: np.ndarray) -> None:
        nonlocal trend
        trend = trend + mean @ turn.T
        of_model[:] += np.einsum("bk,mkl,cl->mbc", turn, covariance, turn)

    for name, turn in (("", loading), ("own_", np.eye(benchmarks))):
        gain = sites.get(f"{name}gain")
        if gain is not None:
            step = np.einsum("mju,jk->mku", e.missing, gain)
            add(e.covariate @ gain, step @ np.swapaxes(step, 1, 2), turn)
        if f"{name}weight" in sites:
            z = np.exp(sites[f"{name}tau"])[:, None] * sites[f"{name}weight"] @ e.features.T
            slope = np.diag(
                np.exp(sites["own_slope"]) if name and law.alone else sites["own_slope" if name else "loss_slope"]
            )
            (mine, of_reference, _), x = salient(e, z), e.reference_design
            b, *_ = np.linalg.lstsq(x, of_reference, rcond=None)
            left = of_reference - x @ b
            leverage = np.einsum("mi,ij,mj->m", e.design, np.linalg.inv(x.T @ x), e.design)
            scatter = (1 + leverage)[:, None, None] * (left.T @ left / (len(x) - x.shape[1]))
            mean = np.where(e.has_loss[:, None], mine, e.design @ b)
            add(-mean @ slope, np.where(e.has_loss[:, None, None], 0.0, slope @ scatter @ slope), turn)
    whole = np.zeros((lms, benchmarks, lms, benchmarks))
    family, run = OF_FAMILY_AND_RUN
    for m in range(lms):
        whole[m, :, m] += of_model[m] + loading @ loading.T + np.diag(spread**2)
        for n in range(lms):
            same = {"family": family[m] == family[n], "run": family[m] == family[n] and run[m] == run[n]}
            for name in law.effects:
                if same[name]:
                    if k:
                        whole[m, :, n] += loading @ np.diag(np.exp(2 * sites[f"{name}_spread"])) @ loading.T
                    whole[m, :, n] += np.diag((np.exp(sites[f"{name}_habit"]) * spread) ** 2)
    return trend, whole.reshape(lms * benchmarks, -1)


CASES = {
    "all sources": (Law(2, own=True, priors=PRIORS), unknown(evidence(covariates=2, units=5), 1, 6)),
    "each benchmark alone": (Law(0, effects=("family", "run"), priors=PRIORS), evidence(units=4, lacking=(2, 7))),
    "models without losses": (Law(1, effects=("run",), priors=PRIORS), evidence(units=4, lacking=(2, 7))),
    "scores alone": (Law(1, effects=("family",), priors=PRIORS), evidence(covariates=0)),
}


@pytest.mark.parametrize(
    "name",
    [
        "all sources",
        "each benchmark alone",
        pytest.param("models without losses", marks=pytest.mark.slow),
        pytest.param("scores alone", marks=pytest.mark.slow),
    ],
)
def test_potential_is_minus_the_log_joint_density_with_the_jacobians(name: str) -> None:
    """Scores without bounds, so that the density of the field is normal and known."""
    law, e = CASES[name]
    rng = np.random.default_rng(1)
    seen = rng.random(e.score.shape) < 0.8
    y = rng.normal(-1, 1.5, e.score.shape)
    e = e._replace(
        standard=fractions(e.score.shape[1])._replace(bounded=np.zeros(e.score.shape[1], bool)),
        seen=seen,
        score=np.where(seen, y, 0.0),
    )
    slopes = Slopes(law)
    density, size = slopes.density, slopes.size(e)
    potential = jit_by_size(density.potential)
    for _ in range(5):
        x = 0.7 * rng.normal(size=size)
        sites = {name: np.asarray(value) for name, value in density.unflatten(jnp.asarray(x), e).items()}
        trend, covariance = trend_and_covariance(sites, e, law)
        at = seen.ravel()
        inside = covariance[np.ix_(at, at)] + GAUGE**2 * np.eye(at.sum())
        log_p = stats.multivariate_normal.logpdf(y.ravel()[at], trend.ravel()[at], inside)
        expected = -log_prior(sites, law, e.covariate.shape[1]) - log_p
        # The regression for models without losses has a grain of 1e-6.
        assert float(potential(jnp.asarray(x), e)) == pytest.approx(expected, rel=1e-4 if len(e.lacking) else 1e-9)


def test_start_and_unflatten_agree_on_the_order_of_sites() -> None:
    law, e = CASES["scores alone"]
    density = law_density(law)
    sites, start = jit_by_size(lambda key, e: (density.sites(key, e), density.start(key, e)))(jax.random.key(3), e)
    flat = density.unflatten(start, e)
    assert sites.keys() == flat.keys()
    for name, value in sites.items():
        np.testing.assert_array_equal(value, flat[name])


def test_the_same_law_has_the_same_density() -> None:
    assert law_density(Law(2)) is law_density(Law(2, priors=Priors()))
    assert law_density(Law(2)) is not law_density(Law(2, priors=Priors(gain_sd=1.0)))


def test_floors_and_ceilings_have_the_priors_that_they_say() -> None:
    """Places between 0 and the most, and between floor and 1, as quantiles of Beta distributions."""
    law = Law(1, covariates=(), effects=(), priors=Priors(floor=3.0, ceiling=4.0))
    e = evidence(2, 4, 0, 0)._replace(
        floor=np.array([np.nan, np.nan, 0.2, np.nan]),
        floor_most=np.array([0.5, 0.25, 0.5, 0.4]),
        floor_near=np.array([False, True, False, False]),
        ceiling=np.array([np.nan, 0.9, np.nan, 1.0]),
    )
    slopes = Slopes(law)
    x = slopes.start(1, e)
    sites = slopes.sites(x, e)
    found = slopes.constrain(x, e)
    q, room = stats.norm.cdf(sites["free_floor"]), stats.norm.cdf(sites["room"])
    floor = [0.5 * stats.beta.ppf(q[0], 1, 3), 0.25 * stats.beta.ppf(q[1], 3, 1), 0.2, 0.4 * stats.beta.ppf(q[3], 1, 3)]
    np.testing.assert_allclose(found["floor"], floor, rtol=1e-6)
    ceiling = floor + (1 - np.array(floor)) * stats.beta.ppf(room, 4, 1)
    np.testing.assert_allclose(found["ceiling"], [ceiling[0], 0.9, ceiling[2], 1.0], rtol=1e-6)


@pytest.mark.slow
def test_the_mode_is_a_stationary_point_where_two_optimisers_meet() -> None:
    law = Law(1, covariates=("flops",), effects=("family",))
    e = planted(evidence(), 1)
    density = law_density(law)
    found = fit(density, e, Map(starts=2), jax.random.key(0))
    assert found.status.ok, found.status
    assert found.mode is not None
    gradient, potential = jit_by_size(jax.grad(density.potential)), jit_by_size(density.potential)
    np.testing.assert_allclose(gradient(found.mode, e), 0, atol=1e-3)
    curvature = np.linalg.eigvalsh(jit_by_size(jax.hessian(density.potential))(found.mode, e))
    assert curvature[0] > 0  # a minimum of the potential, not a saddle
    again = optimize.minimize(
        lambda x: float(potential(jnp.asarray(x), e)),
        0.5 * found.mode,
        jac=lambda x: np.asarray(gradient(jnp.asarray(x), e)),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-6, "maxiter": 2000},
    )
    # A gradient below g leaves the mode within g / curvature of the optimum, and the value within g^2 / (2 curvature).
    assert float(potential(found.mode, e)) == pytest.approx(again.fun, abs=1e-6 / curvature[0] + 1e-9 * abs(again.fun))
    np.testing.assert_allclose(found.mode, again.x, atol=2e-3 / curvature[0])
