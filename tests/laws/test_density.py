"""One density, in unconstrained coordinates: written a second time with SciPy, and its mode found in other ways."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoGuide, AutoLaplaceApproximation
from scipy import optimize, stats
from scipy.special import expit, log_expit

from csvjax.compiled import jit_by_size
from csvjax.law.density import Density
from csvjax.laws.fit_optimise import find_mode
from csvjax.laws.salience_law import Evidence, Priors, salience_law
from csvjax.precision import float64

PRIORS = Priors(slope_sd=0.8, intercept_sd=1.5, family_sd=0.4, run_sd=0.2, spread_sd=0.3, ceiling=7.0, items=200.0)
DENSITY = Density(partial(salience_law, priors=PRIORS))
potential = jit_by_size(DENSITY.potential)


def plain_potential(sites: dict[str, np.ndarray], e: Evidence) -> float:
    """-log p(parameters, scores) of unconstrained sites, from the formulas in the law's docstring."""
    slope, family, run, spread, items = (
        np.exp(sites[name]) for name in ("slope", "family_spread", "run_spread", "spread", "items")
    )
    room = expit(sites["room"])
    log_prior = stats.norm.logpdf(sites["weight"]).sum()
    log_prior += stats.norm.logpdf(sites["intercept"], 0, PRIORS.intercept_sd)
    log_prior += stats.lognorm.logpdf(slope, PRIORS.slope_sd, scale=1.5)
    log_prior += stats.lognorm.logpdf(items, PRIORS.items_sd, scale=PRIORS.items)
    log_prior += stats.beta.logpdf(room, PRIORS.ceiling, 1)
    for value, sd in ((family, PRIORS.family_sd), (run, PRIORS.run_sd), (spread, PRIORS.spread_sd)):
        log_prior += stats.halfnorm.logpdf(value, scale=sd)
    # d exp(x) / dx = exp(x) and d sigmoid(x) / dx = sigmoid(x) sigmoid(-x)
    log_jacobian = sum(sites[name] for name in ("slope", "family_spread", "run_spread", "spread", "items"))
    log_jacobian += log_expit(sites["room"]) + log_expit(-sites["room"])

    s = np.exp(e.log_base + e.strength * e.features @ sites["weight"])
    psi = e.loss @ s / s.sum()
    share = expit(sites["intercept"] - slope * (psi - e.centre) / e.scale)
    height = (1 - e.floor) * room
    mean, reach = e.floor + height * share, height * share * (1 - share)
    n = np.where(np.isnan(e.n_items), items, e.n_items)
    same_family = e.groups.family[:, None] == e.groups.family
    same_run = e.groups.run[:, None] == e.groups.run
    effects = family**2 * same_family + run**2 * same_run + spread**2 * np.eye(len(mean))
    half = 0.5 / (n + 1)
    covariance = np.outer(reach, reach) * effects
    covariance += np.diag(np.sqrt((mean * (1 - mean)) ** 2 + (half * (1 - half)) ** 2) / n)
    log_likelihood = stats.multivariate_normal.logpdf(e.score[e.seen], mean[e.seen], covariance[np.ix_(e.seen, e.seen)])
    return -float(log_prior + log_jacobian + log_likelihood)


@pytest.mark.parametrize("known", [True, False])
@float64
def test_potential_is_minus_the_log_joint_density_with_the_jacobians(case: Evidence, known: bool) -> None:
    e = case if known else case._replace(n_items=np.full_like(case.n_items, np.nan))
    rng = np.random.default_rng(1)
    for _ in range(10):
        x = jnp.asarray(rng.normal(size=11))
        sites = {name: np.asarray(value) for name, value in DENSITY.unflatten(x, e).items()}
        assert float(potential(x, e)) == pytest.approx(plain_potential(sites, e), rel=1e-9)


@float64
def test_unseen_cells_change_nothing(case: Evidence) -> None:
    x = jnp.asarray(np.random.default_rng(2).normal(size=11))
    other = case._replace(score=np.where(case.seen, case.score, 0.9))
    assert float(potential(x, other)) == float(potential(x, case))
    seen = case._replace(score=np.where(case.seen, 0.9, case.score))
    assert float(potential(x, seen)) != float(potential(x, case))


@float64
def test_start_and_unflatten_agree_on_the_order_of_sites(case: Evidence) -> None:
    key = jax.random.key(3)
    sites, flat = DENSITY.sites(key, case), DENSITY.unflatten(DENSITY.start(key, case), case)
    assert sites.keys() == flat.keys()
    for name, value in sites.items():
        np.testing.assert_array_equal(value, flat[name])


@pytest.mark.slow
@float64
def test_the_mode_is_a_stationary_point_where_three_optimisers_meet(case: Evidence) -> None:
    mode = find_mode(DENSITY, case, jax.random.key(0), starts=2)
    assert mode.converged
    assert mode.gradient < 1e-3
    gradient = jit_by_size(jax.grad(DENSITY.potential))
    np.testing.assert_allclose(gradient(mode.x, case), 0, atol=1e-3)
    curvature = np.linalg.eigvalsh(jit_by_size(jax.hessian(DENSITY.potential))(mode.x, case))
    assert curvature[0] > 0  # a minimum of the potential, not a saddle
    # A gradient below g leaves the mode within g / curvature of the optimum, and the value within g^2 / (2 curvature).
    far, high = 2e-3 / curvature[0], 1e-6 / curvature[0]

    found = optimize.minimize(
        lambda x: float(potential(jnp.asarray(x), case)),
        np.zeros(11),
        jac=lambda x: np.asarray(gradient(jnp.asarray(x), case)),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-6, "maxiter": 1000},
    )
    assert float(mode.potential) == pytest.approx(found.fun, abs=high + 1e-9 * abs(found.fun))
    np.testing.assert_allclose(mode.x, found.x, atol=far)

    guide = AutoLaplaceApproximation(DENSITY.model)
    laplace = guide.median(minimise(DENSITY.model, guide, case))
    constrained = DENSITY.constrain(mode.x, case)
    for name, value in laplace.items():
        np.testing.assert_allclose(constrained[name], value, rtol=1e-2, atol=1e-2)


def minimise(model: object, guide: AutoGuide, *args: object) -> dict[str, jax.Array]:
    """Parameters of the guide at the optimum that BFGS finds."""
    svi = SVI(model, guide, numpyro.optim.Minimize(), Trace_ELBO())
    state, _ = svi.update(svi.init(jax.random.key(0), *args), *args)
    return svi.get_params(state)


@float64
def test_the_best_of_several_starts_is_returned_and_failures_are_told(case: Evidence) -> None:
    mode = find_mode(DENSITY, case, jax.random.key(0), starts=2)
    assert mode.potentials.shape == mode.steps.shape == (2,)
    assert float(mode.potential) == float(mode.potentials.min())
    assert float(mode.potential) == pytest.approx(float(potential(mode.x, case)))
    hurried = find_mode(DENSITY, case, jax.random.key(0), starts=2, approach=1, finish=1)
    assert not hurried.converged
    assert np.all(np.asarray(hurried.steps) == 1)
