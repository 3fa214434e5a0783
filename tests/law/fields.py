"""Tables that the field draws, and the same approximation written with whole matrices, to compare with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from csvjax.compiled import jit_by_size
from csvjax.law import field as module
from csvjax.law import groups as groups_module
from csvjax.law import solve
from csvjax.law.field import Field, log_residual
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
