"""The field against the same approximation written with whole matrices, and against integration."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, gammaln, logsumexp

from csvjax.laws import joint_field as module
from csvjax.laws.joint_field import Cells, Field, Prior, draw_field, log_items, prior_of_new

log_marginal = jax.jit(module.log_marginal)

LMS, BENCHMARKS, FACTORS, FAMILIES = 7, 3, 2, 3


class Table(NamedTuple):
    cells: Cells
    prior: Prior


def table(seed: int, families: bool = True, floor: float = 0.0, items: float = 200.0) -> Table:
    rng = np.random.default_rng(seed)
    loading = rng.normal(0.5, 0.5, (BENCHMARKS, FACTORS))
    spread = rng.uniform(0.2, 0.8, BENCHMARKS)
    shared = np.hstack([loading * [1.0, 0.6], 0.7 * np.diag(spread)]) if families else np.zeros((BENCHMARKS, 0))
    trend = rng.normal(-0.5, 1.5, (LMS, BENCHMARKS))
    own = np.broadcast_to(loading, (LMS, BENCHMARKS, FACTORS))
    family = rng.integers(0, FAMILIES - 1, LMS)  # the last family has no model
    prior = Prior(*map(jnp.asarray, (trend, own, spread, shared, family, np.zeros(FAMILIES if families else 0))))
    u = np.linalg.cholesky(covariance(prior)) @ rng.standard_normal(trend.size) + trend.ravel()
    chance = floor + (1 - floor) * expit(u.reshape(trend.shape))
    seen = rng.random(trend.shape) < 0.8
    score = np.where(seen, rng.binomial(int(items), chance) / items, 0.0)
    each = np.full(BENCHMARKS, 1.0)
    return Table(Cells(*map(jnp.asarray, (score, seen, items * each, floor * each, each))), prior)


def covariance(prior: Prior) -> np.ndarray:
    """Of the whole field [lm x benchmark], assembled entry by entry from the docstring."""
    own, shared, family = (np.asarray(a) for a in (prior.own, prior.shared, prior.family))
    lms = len(own)
    blocks = np.zeros((lms, BENCHMARKS, lms, BENCHMARKS))
    for i in range(lms):
        blocks[i, :, i, :] += own[i] @ own[i].T + np.diag(np.asarray(prior.spread) ** 2)
        for j in range(lms):
            if shared.shape[1] and family[i] == family[j]:
                blocks[i, :, j, :] += shared @ shared.T
    return blocks.reshape(lms * BENCHMARKS, -1)


def curvature(cells: Cells, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and minus Hessian of the binomial log likelihood with a logit link, floor 0 and ceiling 1."""
    seen, n = np.asarray(cells.seen), np.asarray(cells.n_items)
    p = expit(u.reshape(seen.shape))
    gradient, w = seen * n * (np.asarray(cells.score) - p), seen * n * p * (1 - p)
    return gradient.ravel(), w.ravel()


def dense(cells: Cells, prior: Prior) -> tuple[float, np.ndarray, np.ndarray]:
    """log p(y), mode and covariance of the field, with whole matrices."""
    sigma, trend = covariance(prior), np.asarray(prior.trend).ravel()
    u = trend.copy()
    for _ in range(200):
        gradient, w = curvature(cells, u)
        target = trend + sigma @ np.linalg.solve(np.eye(len(u)) + w[:, None] * sigma, w * (u - trend) + gradient)
        u = u + np.clip(target - u, -1.0, 1.0)
    _, w = curvature(cells, u)
    inside = np.where(cells.seen, log_items(cells, jnp.asarray(u.reshape(cells.score.shape))), 0.0).sum()
    _, volume = np.linalg.slogdet(np.eye(len(u)) + sigma * w)
    value = inside - 0.5 * (u - trend) @ np.linalg.solve(sigma, u - trend) - 0.5 * volume
    return float(value), u, np.linalg.inv(np.linalg.inv(sigma) + np.diag(w))


def total(field: Field) -> float:
    return float(field.log_lm.sum() + field.log_family.sum())


@pytest.mark.parametrize("families", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_solution_by_families_is_that_of_whole_matrices(seed: int, families: bool) -> None:
    cells, prior = table(seed, families)
    field = log_marginal(cells, prior)
    value, u, _ = dense(cells, prior)
    # The second derivative is kept positive by a trace of Fisher's information, 0.25 % of it where the floor is 0, and
    # the value has half the logarithm of that for each cell.
    np.testing.assert_allclose(np.asarray(field.u).ravel(), u, atol=1e-6)
    assert total(field) == pytest.approx(value, abs=0.5 * np.log(1.0025) * float(cells.seen.sum()))


def test_laplace_is_near_the_integral_of_one_cell() -> None:
    nodes = np.linspace(-14, 14, 20001)
    for score in (0.0, 0.02, 0.5, 1.0):
        cells = Cells(*(jnp.asarray(a) for a in ([[score]], [[True]], [300.0], [0.0], [1.0])))
        prior = Prior(*(jnp.asarray(a) for a in ([[-2.0]], [[[0.8]]], [0.6], np.zeros((1, 0)), [0], np.zeros(0))))
        log_p = np.asarray(jax.vmap(partial(log_items, cells))(jnp.asarray(nodes)[:, None, None]))[:, 0, 0]
        prior_log = -0.5 * (nodes + 2.0) ** 2 / (0.8**2 + 0.6**2) - 0.5 * np.log(2 * np.pi * (0.8**2 + 0.6**2))
        exact = logsumexp(log_p + prior_log) + np.log(nodes[1] - nodes[0])
        # A score on the floor has a skew posterior, where a normal one is known to be some tenths of a nat off.
        assert total(log_marginal(cells, prior)) == pytest.approx(exact, abs=0.3 if score in (0.0, 1.0) else 0.02)


def test_the_gradient_is_that_of_the_value() -> None:
    cells, prior = table(4, floor=0.25)

    def value(t: jax.Array) -> jax.Array:
        moved = prior._replace(trend=prior.trend + t, spread=prior.spread * jnp.exp(t), own=prior.own * (1 + t))
        field = log_marginal(cells, moved)
        return jnp.sum(field.log_lm) + jnp.sum(field.log_family)

    step = 1e-4
    for at in (0.0, 0.3):
        slope = float((value(jnp.asarray(at + step)) - value(jnp.asarray(at - step))) / (2 * step))
        assert float(jax.grad(value)(jnp.asarray(at))) == pytest.approx(slope, rel=1e-6)


def test_draws_have_the_mean_and_covariance_of_the_field() -> None:
    cells, prior = table(5)
    field = log_marginal(cells, prior)
    keys = jax.random.split(jax.random.key(0), 20_000)
    _, u = jax.vmap(lambda key: draw_field(field, prior, key))(keys)
    flat = np.asarray(u).reshape(len(keys), -1)
    _, mode, cov = dense(cells, prior)
    error = np.sqrt(np.diag(cov) / len(keys))
    assert np.abs((flat.mean(0) - mode) / error).max() < 5
    # A covariance of 20,000 draws is good to 1 % of the deviations; the trace of Fisher's information adds less.
    scale = np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    assert np.abs((np.cov(flat.T) - cov) / scale).max() < 0.05


def test_what_was_not_seen_has_no_influence() -> None:
    cells, prior = table(6)
    other = cells._replace(score=jnp.where(cells.seen, cells.score, 0.7))
    assert total(log_marginal(cells, prior)) == total(log_marginal(other, prior))
    nothing = cells._replace(seen=jnp.zeros_like(cells.seen))
    assert total(log_marginal(nothing, prior)) == pytest.approx(0.0, abs=1e-12)


def test_a_new_model_is_predicted_as_one_of_the_table_with_no_score() -> None:
    cells, prior = table(7)
    hidden = cells._replace(seen=cells.seen.at[0].set(False))
    keys = jax.random.split(jax.random.key(1), 20_000)
    whole = log_marginal(hidden, prior)
    _, inside = jax.vmap(lambda key: draw_field(whole, prior, key))(keys)
    rest = prior._replace(trend=prior.trend[1:], own=prior.own[1:], family=prior.family[1:])
    field = log_marginal(Cells(hidden.score[1:], hidden.seen[1:], *hidden[2:]), rest)
    one = prior._replace(trend=prior.trend[:1], own=prior.own[:1], family=prior.family[:1])
    new = prior_of_new(field, rest, one)
    alone = log_marginal(Cells(hidden.score[:1], hidden.seen[:1], *hidden[2:]), new)
    _, outside = jax.vmap(lambda key: draw_field(alone, new, key))(keys)
    first, second = np.asarray(inside[:, 0]), np.asarray(outside[:, 0])
    error = np.sqrt((first.var(0) + second.var(0)) / len(keys))
    assert np.abs((first.mean(0) - second.mean(0)) / error).max() < 5
    assert np.abs(np.log(first.std(0) / second.std(0))).max() < 0.05


def test_a_family_that_no_fit_has_seen_has_the_effects_of_the_prior() -> None:
    cells, prior = table(8)
    field = log_marginal(cells, prior)
    one = prior._replace(trend=prior.trend[:1], own=prior.own[:1], family=jnp.asarray([FAMILIES + 2]))
    new = prior_of_new(field, prior, one)
    np.testing.assert_allclose(new.trend, one.trend)
    effects = prior.shared @ prior.shared.T + prior.own[0] @ prior.own[0].T
    assert new.own.shape[2] == BENCHMARKS  # no more columns than benchmarks
    np.testing.assert_allclose(new.own[0] @ new.own[0].T, effects, rtol=1e-7)


@pytest.mark.parametrize("floor", [0.0, 0.25, 0.5])
def test_scores_at_the_edges_give_finite_values_and_gradients(floor: float) -> None:
    _, prior = table(9)
    ones = jnp.ones(BENCHMARKS)

    @jax.jit
    @jax.value_and_grad
    def value(spread: jax.Array, score: jax.Array) -> jax.Array:
        items = jnp.asarray([5.0, 500.0, 50_000.0])
        seen = jnp.ones((LMS, BENCHMARKS), bool)
        cells = Cells(score * jnp.ones((LMS, BENCHMARKS)), seen, items, floor * ones, ones)
        field = log_marginal(cells, prior._replace(spread=spread))
        return jnp.sum(field.log_lm) + jnp.sum(field.log_family)

    for score in (0.0, floor, 1.0):
        for size in (1e-3, 0.3, 3.0):
            found, slope = value(size * ones, jnp.asarray(score))
            assert np.isfinite(found)
            assert np.isfinite(slope).all()


def test_items_are_a_density_of_fractions() -> None:
    n = 40
    y = np.arange(n + 1) / n
    one = jnp.ones((n + 1, 1))
    cells = Cells(jnp.asarray(y)[:, None], one > 0, jnp.asarray([float(n)]), jnp.asarray([0.25]), jnp.asarray([1.0]))
    u = jnp.full((n + 1, 1), 0.4)
    chance = 0.25 + 0.75 * expit(0.4)
    count = gammaln(n + 1) - gammaln(n * y + 1) - gammaln(n * (1 - y) + 1)
    binomial = count + n * (y * np.log(chance) + (1 - y) * np.log1p(-chance))
    inside = (y > 0) & (y < 1)
    np.testing.assert_allclose(np.asarray(log_items(cells, u))[:, 0] - inside * np.log(n + 1), binomial, rtol=1e-9)


def test_scores_of_exactly_0_and_1_do_not_ask_for_ever_more_items() -> None:
    """A density of fractions would be n + 1 times as likely, whatever the chance of success: more items for nothing."""
    n = np.logspace(1, 8, 40)
    for y in (0.0, 1.0):
        one = jnp.ones((1, len(n)))
        cells = Cells(y * one, one > 0, jnp.asarray(n), jnp.zeros(len(n)), jnp.ones(len(n)))
        for logit in (-20.0, -3.0, 0.0, 3.0, 20.0):
            assert np.all(np.diff(np.asarray(log_items(cells, jnp.full_like(one, logit)))[0]) <= 0)


def test_far_from_the_data_the_value_is_bounded_and_the_gradient_finite() -> None:
    """Where the mode is not found, or is no peak, a step with the curvature as it is could lead anywhere."""
    cells, prior = table(8, floor=0.25)
    rng = np.random.default_rng(9)
    trends = jnp.asarray(30 * rng.standard_normal((400, *prior.trend.shape)))
    scales = jnp.asarray(np.exp(rng.standard_normal(400)))

    def value(trend: jax.Array, scale: jax.Array) -> jax.Array:
        moved = prior._replace(trend=trend, own=scale * prior.own, spread=scale * prior.spread)
        field = module.log_marginal(cells, moved)
        return jnp.sum(field.log_lm) + jnp.sum(field.log_family)

    found, slope = jax.jit(jax.vmap(jax.value_and_grad(value)))(trends, scales)
    # A fraction of n + 1 values has a density of at most n + 1.
    assert float(found.max()) < float(cells.seen.sum() * np.log(201.0))
    assert bool(jnp.all(jnp.isfinite(slope)))

    def is_mode(trend: jax.Array, scale: jax.Array) -> jax.Array:
        return module._mode(cells, prior._replace(trend=trend, own=scale * prior.own, spread=scale * prior.spread))[1]

    modes = int(jax.jit(jax.vmap(is_mode))(trends, scales).sum())
    assert 360 < modes < 400  # both cases are among them
