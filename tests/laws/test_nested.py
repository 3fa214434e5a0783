from typing import NamedTuple

import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from csvjax.laws.nested_noise import Nested, draw_effects, log_density

LMS, RUNS, FAMILIES = 12, 8, 5
FAMILY_OF_RUN = np.array([0, 0, 1, 1, 1, 2, 3, 4])  # family 4 and run 7 are those of models that no one has seen


class Case(NamedTuple):
    groups: Nested
    residual: np.ndarray
    reach: np.ndarray
    precision: np.ndarray
    family_spread: np.ndarray
    run_spread: np.ndarray


def case(seed: int, seen: float = 0.7, family_spread: float = 0.8, run_spread: float = 0.5) -> Case:
    """Models at random in runs 0 to 6 (some of them empty); each is observed with probability `seen`."""
    rng = np.random.default_rng(seed)
    run = rng.integers(0, RUNS - 1, LMS)
    groups = Nested(FAMILY_OF_RUN[run], run, FAMILY_OF_RUN, np.zeros(FAMILIES))
    precision = np.where(rng.random(LMS) < seen, rng.lognormal(3, 1, LMS), 0.0)
    residual = np.where(precision > 0, rng.normal(0, 0.3, LMS), 0.0)
    reach = rng.uniform(0, 0.25, LMS)
    return Case(groups, residual, reach, precision, np.float64(family_spread), np.float64(run_spread))


def effects_covariance(c: Case) -> np.ndarray:
    """Prior covariance [lm, lm] of family_spread a[f(m)] + run_spread b[r(m)]."""
    same_family = c.groups.family[:, None] == c.groups.family
    same_run = c.groups.run[:, None] == c.groups.run
    return c.family_spread**2 * same_family + c.run_spread**2 * same_run


density = jax.jit(log_density)
draw = jax.jit(jax.vmap(draw_effects, in_axes=(None,) * 6 + (0,)))


@pytest.mark.parametrize("spreads", [(0.8, 0.5), (0.0, 0.5), (0.8, 0.0), (0.0, 0.0), (30.0, 20.0)])
@pytest.mark.parametrize("seed", range(8))
def test_log_density_is_that_of_the_explicit_covariance(seed: int, spreads: tuple[float, float]) -> None:
    c = case(seed, 0.7, *spreads)
    seen = c.precision > 0
    assert 0 < seen.sum() < LMS
    covariance = np.outer(c.reach, c.reach) * effects_covariance(c)
    covariance = covariance[np.ix_(seen, seen)] + np.diag(1 / c.precision[seen])
    expected = multivariate_normal.logpdf(c.residual[seen], cov=covariance)
    assert float(density(*c)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_log_density_of_nothing_is_zero_with_finite_gradients() -> None:
    c = case(0, seen=0.0)
    assert float(density(*c)) == 0.0
    grads = jax.grad(log_density, (1, 2, 3, 4, 5))(*c)
    assert all(np.isfinite(g).all() for g in grads)


def test_models_beyond_reach_are_independent() -> None:
    c = case(1)._replace(reach=np.zeros(LMS))
    seen = c.precision > 0
    expected = multivariate_normal.logpdf(c.residual[seen], cov=np.diag(1 / c.precision[seen]))
    assert float(density(*c)) == pytest.approx(expected, rel=1e-12)


def exact_conditional(c: Case) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the effects of all models given the residuals of the seen: Gaussian conditioning."""
    seen = np.flatnonzero(c.precision > 0)
    prior = effects_covariance(c)
    design = np.diag(c.reach)[seen]
    total = design @ prior @ design.T + np.diag(1 / c.precision[seen])
    gain = np.linalg.solve(total, design @ prior).T
    return gain @ c.residual[seen], prior - gain @ design @ prior


def unseen_family() -> Case:
    """Family 2 is observed nowhere; the last two models are of the unknown run, one of them in a known family."""
    c = case(5, seen=1.0)
    run = np.array([0, 0, 1, 1, 2, 2, 3, 4, 5, 5, 7, 7])
    family = FAMILY_OF_RUN[run]
    family[10] = 1
    seen = np.isin(run, [0, 1, 2, 3])
    seen[3] = False
    groups = Nested(family, run, FAMILY_OF_RUN, np.zeros(FAMILIES))
    reach = np.full(LMS, 0.2)
    return c._replace(groups=groups, reach=reach, precision=np.where(seen, c.precision, 0.0))


@pytest.mark.parametrize("c", [case(2), case(3, seen=0.4), case(4, seen=0.0), unseen_family()])
def test_drawn_effects_have_the_mean_and_covariance_of_the_exact_conditional(c: Case) -> None:
    draws = 40_000
    found = np.asarray(draw(*c, jax.random.split(jax.random.key(0), draws)))
    mean, covariance = exact_conditional(c)
    variance = np.diag(covariance)
    # Standard errors of a mean and of a covariance of normal draws; 5 of them, as there are up to 90 comparisons.
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - mean), 5 * np.sqrt(variance / draws) + 1e-12)
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / draws)
    np.testing.assert_array_less(np.abs(np.cov(found.T) - covariance), 5 * error + 1e-12)


def test_a_family_that_was_never_seen_has_its_prior_and_nothing_to_do_with_the_others() -> None:
    c = unseen_family()
    mean, covariance = exact_conditional(c)
    new = c.groups.family == 2
    np.testing.assert_array_equal(mean[new], 0)
    np.testing.assert_allclose(covariance[np.ix_(new, new)], 0.8**2 + 0.5**2)
    np.testing.assert_array_equal(covariance[np.ix_(new, ~new)], 0)
    found = np.asarray(draw(*c, jax.random.split(jax.random.key(1), 10)))
    np.testing.assert_array_equal(found[:, 8], found[:, 9])  # two checkpoints of one run
    assert len(np.unique(found[:, 8])) == 10


def test_density_and_draws_belong_to_one_model() -> None:
    # log p(r, r') - log p(r) of a further observation r' is the normal density whose moments the draws have.
    c = unseen_family()
    more = 3  # an unobserved model of a seen run
    precision, residual = c.precision.copy(), c.residual.copy()
    precision[more], residual[more] = 40.0, 0.15
    gain = float(density(*c._replace(precision=precision, residual=residual))) - float(density(*c))
    mean, covariance = exact_conditional(c)
    variance = c.reach[more] ** 2 * covariance[more, more] + 1 / 40
    expected = multivariate_normal.logpdf(0.15, c.reach[more] * mean[more], variance)
    assert gain == pytest.approx(expected, rel=1e-9)
