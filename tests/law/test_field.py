"""The field against the same approximation written with whole matrices, and against integration."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, gammaln, logsumexp
from scipy.stats import multivariate_normal

from csvjax.compiled import jit_by_size
from csvjax.law import field as module
from csvjax.law import groups as groups_module
from csvjax.law import solve
from csvjax.law.field import Drawn, Field, draw_field, log_residual
from csvjax.law.groups import Bucket, Groups, make_groups
from csvjax.law.items import GAUGE, Cells, log_items
from csvjax.law.solve import Prior

LMS, BENCHMARKS, FACTORS = 10, 3, 2
# Of 4, 3 and 3 models, so that slots stay empty, in two runs each; the last family is never seen. One more model, alone
# in its family, where a second bucket is asked for.
FAMILY = ["a", "a", "b", "b", "a", "d", "b", "a", "d", "d", "e"]
RUN = ["r0", "r0", "r1", "r0", "r1", "r0", "r0", "r1", "r0", "r1", "r0"]
SAME_FAMILY = np.array([[f == g for g in FAMILY] for f in FAMILY])
SAME_RUN = SAME_FAMILY & np.array([[r == s for s in RUN] for r in RUN])
BOTH = ("family", "run")
ALONE = Groups((Bucket(jnp.zeros((1, 1), int), jnp.zeros((1, 1), int)),), jnp.zeros(1, int))


class Table(NamedTuple):
    cells: Cells
    prior: Prior


def table(
    seed: int,
    effects: tuple[str, ...] = BOTH,
    floor: float = 0.0,
    items: float = 200.0,
    tail: float = 0.0,
    lms: int = LMS,
) -> Table:
    """Scores of what the prior draws; two models have a factor of their own, a covariate that is not known of them."""
    rng = np.random.default_rng(seed)
    loading = rng.normal(0.5, 0.5, (BENCHMARKS, FACTORS))
    unknown = rng.normal(0, 0.5, (lms, BENCHMARKS, 1)) * (np.arange(lms) % 4 == 1)[:, None, None]
    own = np.concatenate([np.broadcast_to(loading, (lms, BENCHMARKS, FACTORS)), unknown], axis=2)
    sizes = {"family": (np.array([0.9, 0.5]), np.array([0.7])), "run": (np.array([0.4, 0.8]), np.array([0.5]))}
    none = np.zeros(0), np.zeros(0)
    (family, family_habit), (run, run_habit) = (sizes[name] if name in effects else none for name in BOTH)
    runs = [f + r for f, r in zip(FAMILY, RUN, strict=True)][:lms]
    with pytest.MonkeyPatch.context() as patch:
        if lms > LMS:
            patch.setattr(groups_module, "_BUCKET", 0)
        groups = make_groups(FAMILY[:lms] if "family" in effects else runs, runs if "run" in effects else None)
    groups = jax.tree.map(jnp.asarray, groups)
    spread = rng.uniform(0.2, 0.8, BENCHMARKS)
    trend = rng.normal(-0.5, 1.5, (lms, BENCHMARKS))
    arrays = map(jnp.asarray, (trend, own, loading, spread, family, run, family_habit, run_habit))
    prior = Prior(*arrays, groups, tail)
    eta = trend.ravel() + effects_of(prior) @ rng.standard_normal(effects_of(prior).shape[1])
    chance = floor + (1 - floor) * expit(eta.reshape(trend.shape) + spread * rng.standard_normal(trend.shape))
    seen = rng.random(trend.shape) < 0.8
    seen[[name == "d" for name in FAMILY[:lms]]] = False
    score = np.where(seen, rng.binomial(int(items), chance) / items, 0.0)
    each = np.ones(BENCHMARKS)
    return Table(Cells(*map(jnp.asarray, (score, seen, items * each, floor * each, each, each > 0))), prior)


def effects_of(prior: Prior) -> np.ndarray:
    """A [lm x benchmark, effect]: what every independent standard normal adds to the logits, from the docstring."""
    loading, spread = np.asarray(prior.loading), np.asarray(prior.spread)
    own = np.asarray(prior.own)
    lms, benchmarks, factors = own.shape
    parts = [np.einsum("mbk,mn->mbnk", own, np.eye(lms)).reshape(lms * benchmarks, lms * factors)]
    for same, scale, habit in (
        (SAME_RUN, prior.run, prior.run_habit),
        (SAME_FAMILY, prior.family, prior.family_habit),
    ):
        if len(habit):
            of_group = np.hstack([loading * np.asarray(scale), float(habit[0]) * np.diag(spread)])
            member = np.unique(same[:lms, :lms], axis=0).T
            parts.append(np.einsum("bk,mg->mbgk", of_group, member).reshape(lms * benchmarks, -1))
    return np.hstack(parts)


def factors_of(prior: Prior) -> np.ndarray:
    """T [lm x factor, effect]: what every effect adds to the factors t of each model."""
    lms, _, factors = prior.own.shape
    benchmarks = len(prior.spread)
    parts = [np.eye(lms * factors)]
    for same, scale, habit in (
        (SAME_RUN, prior.run, prior.run_habit),
        (SAME_FAMILY, prior.family, prior.family_habit),
    ):
        if len(habit):
            of_group = np.zeros((factors, len(scale) + benchmarks))
            of_group[: len(scale), : len(scale)] = np.diag(scale)
            member = np.unique(same[:lms, :lms], axis=0).T
            parts.append(np.einsum("kj,mg->mkgj", of_group, member).reshape(lms * factors, -1))
    return np.hstack(parts)


def covariance(prior: Prior) -> np.ndarray:
    """Of the field with normal residuals, entry by entry."""
    a = effects_of(prior)
    return a @ a.T + np.diag(np.tile(np.asarray(prior.spread), len(prior.trend)) ** 2)


class Dense(NamedTuple):
    value: float
    effects: np.ndarray
    residual: np.ndarray
    u: np.ndarray
    covariance: np.ndarray  # of effects and residuals


def dense(cells: Cells, prior: Prior) -> Dense:
    """Laplace's approximation over all effects and residuals at once, floor 0 and ceiling 1, with whole matrices.

    The curvature of a t residual is that of its weight.
    """
    a, trend = effects_of(prior), np.asarray(prior.trend).ravel()
    s, seen = np.tile(np.asarray(prior.spread), len(prior.trend)), np.asarray(cells.seen).ravel()
    n, y = np.tile(np.asarray(cells.n_items), len(prior.trend)), np.asarray(cells.score).ravel()
    bounded = np.tile(np.asarray(cells.bounded), len(prior.trend))
    whole = np.hstack([a, np.diag(s)])
    x = np.zeros(whole.shape[1])
    for _ in range(300):
        u, e = trend + whole @ x, x[a.shape[1] :]
        p = expit(u)
        gradient = seen * np.where(bounded, n * (y - p), (y - u) / GAUGE**2)
        information = seen * np.where(bounded, n * p * (1 - p), 1 / GAUGE**2)
        weight = (1 + prior.tail) / (1 + prior.tail * e**2)
        prior_precision = np.r_[np.ones(a.shape[1]), weight]
        hessian = np.diag(prior_precision) + whole.T @ (information[:, None] * whole)
        step = np.linalg.solve(hessian, whole.T @ gradient - prior_precision * x)
        x = x + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    inside = np.where(cells.seen, log_items(cells, jnp.asarray(u.reshape(cells.score.shape))), 0.0).sum()
    inside += np.asarray(log_residual(prior.tail, jnp.asarray(e)))[seen].sum() - 0.5 * np.sum(x[: a.shape[1]] ** 2)
    # What was not seen is integrated out.
    kept = np.r_[np.ones(a.shape[1], bool), seen]
    value = inside - 0.5 * np.linalg.slogdet(hessian[np.ix_(kept, kept)])[1]
    return Dense(float(value), x[: a.shape[1]], e, u, np.linalg.inv(hessian))


@cache
def marginal(by_models: bool, tail: float) -> Callable[[Cells, Prior], Field]:
    """`log_marginal`, compiled, with one of the two systems that solve it."""

    def run(cells: Cells, prior: Prior) -> Field:
        with forced(by_models):
            return module.log_marginal(cells, prior._replace(tail=tail))

    return jit_by_size(run)


@contextmanager
def forced(by_models: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "_models_are_fewer", lambda prior, bucket: by_models)
        yield


def log_marginal(cells: Cells, prior: Prior) -> Field:
    return marginal(True, float(prior.tail))(cells, prior._replace(tail=0.0))


def total(field: Field) -> float:
    return float(field.log_lm.sum() + field.log_family.sum())


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


def draws_of(cells: Cells, prior: Prior, count: int, by_models: bool) -> Drawn:
    @jit_by_size
    def draw(keys: jax.Array) -> Drawn:
        with forced(by_models):
            field = module.log_marginal(cells, prior)
            return jax.lax.map(lambda key: draw_field(cells, prior, field, key), keys, batch_size=500)

    return jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(0), count)))


@pytest.mark.parametrize(("tail", "by_models"), [(0.0, False), (0.25, True)])
def test_draws_have_the_mean_and_covariance_of_the_field(tail: float, by_models: bool) -> None:
    cells, prior = table(5, tail=tail)
    count = 20_000
    drawn, exact = draws_of(cells, prior, count, by_models), dense(cells, prior)
    a, s = effects_of(prior), np.tile(np.asarray(prior.spread), LMS)
    to_eta = np.hstack([a, np.zeros((len(s), len(s)))])
    to_factor = np.hstack([factors_of(prior), np.zeros((LMS * prior.own.shape[2], len(s)))])
    to_u = np.hstack([a, np.diag(s)])
    mode = np.r_[exact.effects, exact.residual]
    # With a t residual a cell that was not seen has heavy tails of its own.
    seen = np.ones(len(s), bool) if tail == 0 else np.asarray(cells.seen).ravel()
    for flat, to, offset in (
        (drawn.eta.reshape(count, -1), to_eta, np.asarray(prior.trend).ravel()),
        (drawn.u.reshape(count, -1)[:, seen], to_u[seen], np.asarray(prior.trend).ravel()[seen]),
        (drawn.factor.reshape(count, -1), to_factor, 0.0),
    ):
        cov = to @ exact.covariance @ to.T
        error = np.sqrt(np.diag(cov) / count)
        assert np.abs((flat.mean(0) - offset - to @ mode) / error).max() < 5
        # A covariance of 20,000 draws is good to 1 % of the deviations; the trace of Fisher's information adds less.
        scale = np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
        assert np.abs((np.cov(flat.T) - cov) / scale).max() < 0.05
    if tail:
        # P(|t| > 4.604) = 0.01 with 4 degrees of freedom; a normal residual is there once in 240,000 draws.
        e = ((drawn.u - drawn.eta) / np.asarray(prior.spread))[:, ~np.asarray(cells.seen)]
        assert abs(np.mean(np.abs(e) > 4.604) - 0.01) < 5 * np.sqrt(0.01 / e.size)


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
