"""The field against the same approximation written with whole matrices, and against integration."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, gammaln, logsumexp
from scipy.stats import multivariate_normal

from csvjax.compiled import jit_by_size
from csvjax.law import field as module
from csvjax.law.items import GAUGE, Cells, log_items
from csvjax.law.solve import Prior
from tests.law.fields import (
    ALONE,
    BENCHMARKS,
    BOTH,
    FACTORS,
    FAMILY,
    LMS,
    covariance,
    dense,
    forced,
    log_marginal,
    marginal,
    table,
    total,
)


@pytest.mark.parametrize(
    ("effects", "tail", "by_models", "lms"),
    [
        (BOTH, 0.0, True, LMS),
        (BOTH, 0.0, False, LMS),
        (BOTH, 0.25, True, LMS + 1),
        (("family",), 0.25, False, LMS),
        (("run",), 0.0, False, LMS),
        ((), 0.25, True, LMS),
    ],
)
def test_value_and_mode_are_those_of_whole_matrices(
    effects: tuple[str, ...], tail: float, by_models: bool, lms: int
) -> None:
    for seed in range(3):
        cells, prior = table(seed, effects, tail=tail, lms=lms)
        field = marginal(by_models, tail)(cells, prior)
        found, seen = dense(cells, prior), np.asarray(cells.seen)
        # Where nothing was seen, and of the residual there, the mode is that of the prior.
        np.testing.assert_allclose(np.asarray(field.u).ravel(), found.u, atol=1e-5)
        np.testing.assert_allclose(np.asarray(field.residual).ravel(), found.residual, atol=1e-5)
        # The second derivative is kept positive by a trace of Fisher's information, 0.25 % of it where the floor is 0,
        # and the value has half the logarithm of that for each cell.
        assert total(field) == pytest.approx(found.value, abs=0.5 * np.log(1.0025) * seen.sum())


@pytest.mark.slow
def test_both_systems_have_the_same_gradient() -> None:
    cells, prior = table(3, floor=0.25)
    groups = prior.groups

    def value(prior: Prior, by_models: bool) -> jax.Array:
        with forced(by_models):
            field = module.log_marginal(cells, prior._replace(groups=groups, tail=0.0))
        return jnp.sum(field.log_lm) + jnp.sum(field.log_family)

    arrays = prior._replace(groups=None, tail=None)  # type: ignore[arg-type]
    one, two = (jit_by_size(jax.grad(partial(value, by_models=by_models)))(arrays) for by_models in (True, False))
    for name in ("trend", "spread", "family", "run", "family_habit", "run_habit"):
        first, second = np.asarray(getattr(one, name)), np.asarray(getattr(two, name))
        np.testing.assert_allclose(first, second, rtol=1e-7, atol=1e-7, err_msg=name)
    # The one system takes loadings from `own`, the other from `loading`, which are the same.
    shared = (np.asarray(g.own)[..., :FACTORS].sum(axis=0) + np.asarray(g.loading) for g in (one, two))
    np.testing.assert_allclose(*shared, rtol=1e-7, atol=1e-7)


def test_laplace_is_near_the_integral_of_one_cell() -> None:
    """One model and one benchmark."""
    nodes = np.linspace(-14, 14, 20001)
    for score in (0.0, 0.02, 0.5, 1.0):
        cells = Cells(*(jnp.asarray(a) for a in ([[score]], [[True]], [300.0], [0.0], [1.0], [True])))
        arrays = [[-2.0]], [[[0.8]]], [[0.8]], [0.6], *(np.zeros(0),) * 4
        prior = Prior(*map(jnp.asarray, arrays), ALONE)
        log_p = np.asarray(jax.vmap(partial(log_items, cells))(jnp.asarray(nodes)[:, None, None]))[:, 0, 0]
        prior_log = -0.5 * (nodes + 2.0) ** 2 / (0.8**2 + 0.6**2) - 0.5 * np.log(2 * np.pi * (0.8**2 + 0.6**2))
        exact = logsumexp(log_p + prior_log) + np.log(nodes[1] - nodes[0])
        # A score on the floor has a skew posterior, where a normal one is known to be some tenths of a nat off.
        assert total(log_marginal(cells, prior)) == pytest.approx(exact, abs=0.3 if score in (0.0, 1.0) else 0.02)


def test_without_factors_every_cell_stands_alone() -> None:
    cells, prior = table(7, ())
    alone = prior._replace(own=jnp.zeros((LMS, BENCHMARKS, 0)), loading=jnp.zeros((BENCHMARKS, 0)))
    whole = log_marginal(cells, alone)
    assert total(whole) == pytest.approx(dense(cells, alone).value, abs=0.5 * np.log(1.0025) * float(cells.seen.sum()))
    for m in range(LMS):
        for b in range(BENCHMARKS):
            cell = Cells(*(a[m : m + 1, b : b + 1] for a in cells[:2]), *(a[b : b + 1] for a in cells[2:]))
            single = Prior(alone.trend[m : m + 1, b : b + 1], jnp.zeros((1, 1, 0)), jnp.zeros((1, 0)),
                           alone.spread[b : b + 1], *(jnp.zeros(0),) * 4, ALONE)  # fmt: skip
            assert float(log_marginal(cell, single).u[0, 0]) == pytest.approx(float(whole.u[m, b]), abs=1e-6)


@pytest.mark.parametrize(("tail", "by_models"), [(0.0, False), (0.25, True)])
def test_the_gradient_is_that_of_the_value(tail: float, by_models: bool) -> None:
    cells, prior = table(4, floor=0.25, tail=tail)

    @jit_by_size
    @jax.value_and_grad
    def value(t: jax.Array) -> jax.Array:
        moved = prior._replace(
            trend=prior.trend + t,
            spread=prior.spread * jnp.exp(t),
            own=prior.own * (1 + t),
            loading=prior.loading * (1 + t),
            family=prior.family * (1 - 0.5 * t),
            run=prior.run * (1 + 2 * t),
            family_habit=prior.family_habit * jnp.exp(-t),
            run_habit=prior.run_habit * jnp.exp(0.7 * t),
        )
        with forced(by_models):
            field = module.log_marginal(cells, moved)
        return jnp.sum(field.log_lm) + jnp.sum(field.log_family)

    step = 1e-4
    for at in (0.0, 0.3):
        forth, back = (float(value(jnp.asarray(at + s * step))[0]) for s in (1, -1))
        assert float(value(jnp.asarray(at))[1]) == pytest.approx((forth - back) / (2 * step), rel=1e-6)


def test_a_t_residual_makes_one_absurd_cell_harmless() -> None:
    """The logits of all others, with the absurd cell and without it."""
    moved = {}
    for tail in (0.0, 0.25):
        cells, prior = table(11, items=2000.0, tail=tail)
        m, b = map(int, np.argwhere(np.asarray(cells.seen))[4])
        absurd = cells._replace(score=cells.score.at[m, b].set(0.999 if cells.score[m, b] < 0.5 else 0.001))
        without = cells._replace(seen=cells.seen.at[m, b].set(False))
        one, two = (np.asarray(log_marginal(c, prior).u) for c in (absurd, without))
        moved[tail] = np.delete(np.abs(one - two).ravel(), m * BENCHMARKS + b).max()
    assert moved[0.25] < 0.3 * moved[0.0], moved


@pytest.mark.parametrize("by_models", [True, False])
def test_scores_without_bounds_have_the_exact_normal_density(by_models: bool) -> None:
    cells, prior = table(6)
    rng = np.random.default_rng(0)
    sigma, trend = covariance(prior), np.asarray(prior.trend).ravel()
    y = rng.multivariate_normal(trend, sigma).reshape(LMS, BENCHMARKS)
    numbers = cells._replace(score=jnp.asarray(y), bounded=jnp.zeros(BENCHMARKS, bool))
    field = marginal(by_models, 0.0)(numbers, prior)
    seen = np.asarray(cells.seen).ravel()
    of_scores = sigma + GAUGE**2 * np.eye(len(trend))
    inside = np.ix_(seen, seen)
    exact = multivariate_normal.logpdf(y.ravel()[seen], trend[seen], of_scores[inside])
    assert total(field) == pytest.approx(exact, rel=1e-9, abs=1e-8)
    mode = trend + sigma[:, seen] @ np.linalg.solve(of_scores[inside], y.ravel()[seen] - trend[seen])
    np.testing.assert_allclose(np.asarray(field.u).ravel(), mode, atol=1e-7)


def test_an_unbounded_benchmark_beside_bounded_ones_tells_of_the_same_factors() -> None:
    cells, prior = table(6)
    y = np.random.default_rng(1).normal(0, 2, LMS)
    mixed = cells._replace(bounded=jnp.asarray([True, False, True]), score=cells.score.at[:, 1].set(y))
    field, found = log_marginal(mixed, prior), dense(mixed, prior)
    np.testing.assert_allclose(np.asarray(field.u).ravel(), found.u, atol=1e-5)
    assert total(field) == pytest.approx(found.value, abs=0.5 * np.log(1.0025) * float(cells.seen.sum()))


def test_what_was_not_seen_has_no_influence() -> None:
    cells, prior = table(6)
    other = cells._replace(score=jnp.where(cells.seen, cells.score, 0.7))
    assert total(log_marginal(cells, prior)) == total(log_marginal(other, prior))
    nothing = cells._replace(seen=jnp.zeros_like(cells.seen))
    assert total(log_marginal(nothing, prior)) == pytest.approx(0.0, abs=1e-12)


def test_a_model_that_was_not_seen_changes_nobody_and_families_are_independent() -> None:
    cells, prior = table(8)
    whole = log_marginal(cells, prior)
    changed = prior._replace(trend=prior.trend.at[-1].add(3.0))  # family d, never seen
    np.testing.assert_array_equal(log_marginal(cells, changed).u[:-1], whole.u[:-1])
    away = cells._replace(seen=cells.seen & (np.array(FAMILY[:LMS]) != "b")[:, None])
    kept = np.array(FAMILY[:LMS]) != "b"
    np.testing.assert_allclose(np.asarray(log_marginal(away, prior).u)[kept], np.asarray(whole.u)[kept], atol=1e-6)


@pytest.mark.parametrize("tail", [0.0, 0.25])
def test_rows_of_models_are_their_part_of_the_density(tail: float) -> None:
    """Where every model is its own family the sum over models is the whole."""
    cells, prior = table(2, (), tail=tail)
    field = log_marginal(cells, prior)
    rows = module.log_models(cells, prior, field)
    assert float(rows.sum()) == pytest.approx(total(field), rel=1e-9)


def test_scores_at_the_edges_give_finite_values_and_gradients() -> None:
    _, prior = table(9)
    ones = jnp.ones(BENCHMARKS)

    @jit_by_size
    @jax.value_and_grad
    def value(spread: jax.Array, score: jax.Array, floor: jax.Array) -> jax.Array:
        items = jnp.asarray([5.0, 500.0, 50_000.0])
        seen = jnp.ones((LMS, BENCHMARKS), bool)
        cells = Cells(score * jnp.ones((LMS, BENCHMARKS)), seen, items, floor * ones, ones, ones > 0)
        field = module.log_marginal(cells, prior._replace(spread=spread))
        return jnp.sum(field.log_lm) + jnp.sum(field.log_family)

    for floor in (0.0, 0.25, 0.5):
        for score in (0.0, floor, 1.0):
            for size in (1e-3, 0.3, 3.0):
                found, slope = value(size * ones, jnp.asarray(score), jnp.asarray(floor))
                assert np.isfinite(found)
                assert np.isfinite(slope).all()


def test_items_are_a_density_of_fractions() -> None:
    n = 40
    y = np.arange(n + 1) / n
    one = jnp.ones((n + 1, 1))
    arrays = y[:, None], one > 0, [float(n)], [0.25], [1.0], [True]
    cells = Cells(*map(jnp.asarray, arrays))
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
        cells = Cells(y * one, one > 0, jnp.asarray(n), jnp.zeros(len(n)), jnp.ones(len(n)), jnp.ones(len(n), bool))
        for logit in (-20.0, -3.0, 0.0, 3.0, 20.0):
            assert np.all(np.diff(np.asarray(log_items(cells, jnp.full_like(one, logit)))[0]) <= 0)


@pytest.mark.parametrize("tail", [pytest.param(0.0, marks=pytest.mark.slow), 0.25])
def test_far_from_the_data_the_value_is_bounded_and_the_gradient_finite(tail: float) -> None:
    """Where the mode is not found, or is no peak, a step with the curvature as it is could lead anywhere."""
    cells, prior = table(8, floor=0.25, tail=tail)
    rng = np.random.default_rng(9)
    trends = jnp.asarray(30 * rng.standard_normal((400, *prior.trend.shape)))
    scales = jnp.asarray(np.exp(rng.standard_normal(400)))

    def moved(trend: jax.Array, scale: jax.Array) -> Prior:
        wider = {name: scale * getattr(prior, name) for name in ("own", "loading", "spread")}
        return prior._replace(trend=trend, **wider)

    def value(trend: jax.Array, scale: jax.Array) -> jax.Array:
        field = module.log_marginal(cells, moved(trend, scale))
        return jnp.sum(field.log_lm) + jnp.sum(field.log_family)

    found, slope = jit_by_size(jax.vmap(jax.value_and_grad(value)))(trends, scales)
    # A fraction of n + 1 values has a density of at most n + 1.
    assert float(found.max()) < float(cells.seen.sum() * np.log(201.0))
    assert bool(jnp.all(jnp.isfinite(slope)))
    modes = jit_by_size(jax.vmap(lambda *at: jnp.all(module._mode(cells, moved(*at))[1])))(trends, scales)
    assert 300 < int(modes.sum()) < 400  # both cases are among them
