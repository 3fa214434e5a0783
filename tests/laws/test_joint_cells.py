"""The likelihood of a cell against dense integration, and capabilities against the logits that they explain."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, gammaln, logsumexp

from csvjax.law.density import Density
from csvjax.laws import joint_cells
from csvjax.laws.joint_cells import draw_cells
from csvjax.laws.joint_field import Cells
from csvjax.laws.joint_model import JointEvidence, joint_law

log_score_given_logit = jax.jit(joint_cells.log_score_given_logit)


def dense(score: np.ndarray, eta: np.ndarray, spread: np.ndarray, items: float, floor: float) -> np.ndarray:
    """The same integrals by the trapezoid rule, for each cell on 60,001 nodes from -40 to 40; NumPy and SciPy alone."""
    u = np.linspace(-40, 40, 60_001)
    p = np.clip(floor + (1 - floor) * expit(u), 1e-12, 1 - 1e-12)
    found = []
    for y, at, s in zip(score, eta, spread, strict=True):
        count = gammaln(items + 1) - gammaln(items * y + 1) - gammaln(items * (1 - y) + 1)
        count += np.log(items + 1) if 0 < y < 1 else 0.0
        log_p = count + items * (y * np.log(p) + (1 - y) * np.log1p(-p))
        log_prior = -0.5 * ((u - at) / s) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(s)
        found.append(logsumexp(log_p + log_prior) + np.log(u[1] - u[0]))
    return np.array(found)


@pytest.mark.parametrize("floor", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("items", [20.0, 300.0, 30_000.0])
def test_the_likelihood_of_a_cell_is_that_of_dense_integration(floor: float, items: float) -> None:
    scores = np.array([0.0, floor, floor + 0.02, 0.6, 0.93, 1.0])
    etas, spreads = np.array([-9.0, -2.0, 0.0, 3.0]), np.array([0.02, 0.3, 2.0])
    grid = np.array([(y, eta, s) for y in scores for eta in etas for s in spreads])
    one = jnp.ones(len(grid))
    cells = Cells(jnp.asarray(grid[None, :, 0]), jnp.ones((1, len(grid)), bool), items * one, floor * one, one)
    found = np.asarray(log_score_given_logit(cells, jnp.asarray(grid[None, :, 1]), jnp.asarray(grid[:, 2])))[0]
    exact = dense(*grid.T, items, floor)
    # Of what may happen; where log p is below -1000 only that it is so small has a meaning.
    np.testing.assert_allclose(np.maximum(found, -1000), np.maximum(exact, -1000), rtol=1e-5, atol=2e-4)


def evidence(families: int, covariates: int, seen_share: float = 0.7) -> JointEvidence:
    rng = np.random.default_rng(3)
    lms, benchmarks = 8, 5
    known = rng.random((lms, covariates)) < 0.7
    return JointEvidence(
        score=rng.integers(0, 41, (lms, benchmarks)) / 40,
        seen=rng.random((lms, benchmarks)) < seen_share,
        weight=np.ones(lms),
        n_items=np.array([40.0, 40.0, 40.0, np.nan, np.nan]),
        floor=np.array([0.0, 0.25, np.nan, 0.0, 0.5]),
        ceiling=np.array([1.0, 0.9, np.nan, np.nan, 1.0]),
        covariate=np.where(known, rng.standard_normal((lms, covariates)), 0.0),
        known=known,
        family=np.arange(lms) % 3,
        families=np.zeros(families),
        loss=np.zeros((lms, 0)),
    )


@pytest.mark.parametrize(("families", "covariates"), [(0, 0), (3, 2)])
def test_logits_are_what_capabilities_and_loadings_say(families: int, covariates: int) -> None:
    e = evidence(families, covariates)
    density = Density(partial(joint_law, capabilities=2))
    x = jnp.stack([density.start(jax.random.key(i), e) for i in range(3)])
    constrain = jax.jit(density.constrain)
    found = draw_cells(density, e, e, x, jax.random.key(9))
    for d in range(len(x)):
        sites = constrain(x[d], e)
        left = found.logit[d] - found.capability[d] @ sites["loading"].T - sites["intercept"]
        if not families:
            np.testing.assert_allclose(left, 0, atol=1e-9)
            continue
        # What a family has on one benchmark beyond its capabilities is the same for all its models.
        for f in range(families):
            own = np.asarray(left)[np.asarray(e.family) == f]
            np.testing.assert_allclose(own, np.broadcast_to(own[0], own.shape), atol=1e-9)


def test_likelihoods_are_those_of_the_judged_cells_alone() -> None:
    e = evidence(3, 1)
    density = Density(partial(joint_law, capabilities=2))
    x = density.start(jax.random.key(0), e)[None]
    other = e._replace(seen=~e.seen)
    one, two = (draw_cells(density, e, judged, x, jax.random.key(1)) for judged in (e, other))
    np.testing.assert_array_equal(one.logit, two.logit)
    np.testing.assert_array_equal(np.isfinite(one.log_likelihood[0]), e.seen)
    np.testing.assert_array_equal(np.isfinite(two.log_likelihood[0]), ~e.seen)
