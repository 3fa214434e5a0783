"""The likelihood of a cell against dense integration."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, gammaln, logsumexp

from csvjax.compiled import jit_by_size
from csvjax.law import likelihood
from csvjax.law.items import GAUGE, Cells

compiled = {
    tail: jit_by_size(partial(likelihood.log_score_given_logit, tail=tail)) for tail in (0.0, 0.25)
}  # of one shape


TAILS = (0.0, 0.25)


def log_residual(e: np.ndarray, tail: float) -> np.ndarray:
    return stats.t.logpdf(e, 1 / tail) if tail else stats.norm.logpdf(e)


def dense(
    score: np.ndarray, eta: np.ndarray, spread: np.ndarray, items: float, floor: float, tail: float
) -> np.ndarray:
    """The same integrals by the trapezoid rule, for each cell on 60,001 nodes that are dense around 0 and reach to
    +-2000; NumPy and SciPy alone.
    """
    u = 0.5 * np.sinh(np.linspace(-9, 9, 60_001))
    log_step = np.log(np.gradient(u))
    p = np.clip(floor + (1 - floor) * expit(u), 1e-12, 1 - 1e-12)
    found = []
    for y, at, s in zip(score, eta, spread, strict=True):
        count = gammaln(items + 1) - gammaln(items * y + 1) - gammaln(items * (1 - y) + 1)
        count += np.log(items + 1) if 0 < y < 1 else 0.0
        log_p = count + items * (y * np.log(p) + (1 - y) * np.log1p(-p))
        found.append(logsumexp(log_p + log_residual((u - at) / s, tail) + log_step) - np.log(s))
    return np.array(found)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("floor", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("items", [20.0, 300.0, 30_000.0])
def test_the_likelihood_of_a_cell_is_that_of_dense_integration(floor: float, items: float, tail: float) -> None:
    scores = np.array([0.0, floor, floor + 0.02, 0.6, 0.93, 1.0])
    etas, spreads = np.array([-9.0, -2.0, 0.0, 3.0]), np.array([0.02, 0.3, 2.0])
    grid = np.array([(y, eta, s) for y in scores for eta in etas for s in spreads])
    one = jnp.ones(len(grid))
    seen = jnp.ones((1, len(grid)), bool)
    cells = Cells(jnp.asarray(grid[None, :, 0]), seen, items * one, floor * one, one, seen[0])
    found = np.asarray(compiled[tail](cells, jnp.asarray(grid[None, :, 1]), jnp.asarray(grid[:, 2])))[0]
    exact = dense(*grid.T, items, floor, tail)
    # Of what may happen; where log p is below -1000 only that it is so small has a meaning.
    np.testing.assert_allclose(np.maximum(found, -1000), np.maximum(exact, -1000), rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("tail", TAILS)
def test_the_likelihood_of_a_score_without_bounds(tail: float) -> None:
    grid = np.array([(y, eta, s) for y in (-2.0, 0.1, 1.5) for eta in (-1.0, 0.0, 1.4) for s in (0.02, 0.3, 2.0)])
    one = jnp.ones(len(grid))
    cells = Cells(jnp.asarray(grid[None, :, 0]), one[None] > 0, 100 * one, 0 * one, one, one < 0)
    found = np.asarray(compiled[tail](cells, jnp.asarray(grid[None, :, 1]), jnp.asarray(grid[:, 2])))[0]
    if not tail:
        exact = stats.norm.logpdf(grid[:, 0], grid[:, 1], np.sqrt(grid[:, 2] ** 2 + GAUGE**2))
    else:
        u = np.linspace(-40, 40, 200_001)
        exact = np.array(
            [
                logsumexp(stats.norm.logpdf(y, u, GAUGE) + log_residual((u - eta) / s, tail) - np.log(s))
                + np.log(u[1] - u[0])
                for y, eta, s in grid
            ]
        )
    np.testing.assert_allclose(np.maximum(found, -1000), np.maximum(exact, -1000), rtol=1e-5, atol=2e-4)
