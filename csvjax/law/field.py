"""The latent field of a table of scores, integrated out: deviations of models, runs and families from the law's trend.

    u[m, b] = trend[m, b] + sum_k own[m, b, k] t[m, k] + spread[b] (h[f(m), b] + g[r(m), b] + e[m, b])
    t[m, k] = r[m, k] + run[k] b[r(m), k] + family[k] a[f(m), k]                         r, b, a ~ Normal(0, 1)
    h ~ Normal(0, family_habit),  g ~ Normal(0, run_habit),  e ~ Normal(0, 1) or Student t with 1 / tail degrees
    y[m, b] ~ the likelihood of `csvjax.law.items` at u[m, b]

Given the parameters, the field is normal and each score depends on one cell of it. So Laplace's approximation around
the mode of the field gives log p(y | parameters). This is the inner step of integrated nested Laplace approximations
(Rue, Martino and Chopin 2009, J. R. Stat. Soc. B 71, eq. 3). Families are solved one by one (`csvjax.law.solve`). The
density of a t residual is approximated by its local curvature (iteratively reweighted), so that an unexpected score
does not pull other cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from csvjax.law.groups import Groups
from csvjax.law.items import Cells, between, item_slopes, log_items, score_logit
from csvjax.law.small import inverse
from csvjax.law.solve import Prior, Solved, per_lm, solve

__all__ = ["Drawn", "Field", "Prior", "draw_field", "log_marginal", "log_models", "log_residual"]

_STEPS, _TOLERANCE = 50, 1e-4  # Newton's method: most steps, and tolerance in logits
_NEAR = 1e-2  # if an exact step is longer than this, it did not start at the mode


class Field(NamedTuple):
    """The normal approximation of the field given the scores.

    u: the mode. residual: e at the mode. log_lm, log_family: contributions to log p(y | parameters) of models and of
    families; families are in the order of the buckets.
    """

    u: Float[Array, "lm benchmark"]
    residual: Float[Array, "lm benchmark"]
    log_lm: Float[Array, " lm"]
    log_family: Float[Array, " family"]


def _tail_weights(tail: float, e: Array, exact: Array | bool) -> tuple[Array, Array]:
    """Slope divided by e, and curvature, of -log p(e). Unless `exact`, the curvature is replaced by slope / e."""
    if tail == 0:
        return jnp.ones_like(e), jnp.ones_like(e)
    square = tail * e**2
    weight = (1 + tail) / (1 + square)
    return weight, jnp.where(exact, weight * (1 - square) / (1 + square), weight)


def log_residual(tail: float, e: Array) -> Array:
    """log p(e) + log(2 pi) / 2."""
    if tail == 0:
        return -0.5 * e**2
    nu = 1 / tail
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu / 2)
    return constant - 0.5 * (nu + 1) * jnp.log1p(tail * e**2)


class _State(NamedTuple):
    u: Array
    e: Array


class _Local(NamedTuple):
    """Quadratic approximations at a state: of a cell's likelihood and of the prior of its residual."""

    gradient: Array
    information: Array
    slope: Array  # of the residual's prior, divided by e
    curvature: Array
    whole: Array  # curvature + spread^2 information


def _local(cells: Cells, prior: Prior, at: _State, exact: Array | bool) -> _Local:
    gradient, information = item_slopes(cells, at.u, exact)
    slope, curvature = _tail_weights(prior.tail, at.e, exact)
    return _Local(gradient, information, slope, curvature, curvature + prior.spread**2 * information)


def _pseudo(prior: Prior, at: _State, local: _Local) -> tuple[Array, Array]:
    """Precision and pull of the pseudo-observations of trend + common, with the residual integrated out."""
    towards = local.information * (at.u - prior.trend) + local.gradient
    bent = local.information * prior.spread * at.e * (local.curvature - local.slope)
    return local.information * local.curvature / local.whole, (local.curvature * towards - bent) / local.whole


class _Stepped(NamedTuple):
    at: _State
    alpha: Array  # Sigma^-1 (u - trend) at the new state
    solved: Solved
    least: Array  # the smallest `whole`, which must be positive


def _step(cells: Cells, prior: Prior, at: _State, exact: Array | bool = False) -> _Stepped:
    """A step of Newton's method."""
    local = _local(cells, prior, at, exact)
    solved = solve(prior, *_pseudo(prior, at, local))
    eta = prior.trend + solved.common
    push = prior.spread * (local.gradient + local.information * (at.u - eta))
    e = (push + (local.curvature - local.slope) * at.e) / local.whole
    u = eta + prior.spread * e
    return _Stepped(_State(u, e), local.gradient + local.information * (at.u - u), solved, jnp.min(local.whole))


def _mode(cells: Cells, prior: Prior) -> tuple[_State, Array]:
    """The mode, and whether a Newton step with the exact curvature stays there and that curvature is positive.

    Steps with the exact curvature near the mode would need half as many of them. But they end in shallow modes beside
    the path, which come and go with the parameters, and then the search for the parameters gets stuck.
    """

    def size(new: _State, old: _State) -> Array:
        return jnp.max(jnp.abs(jnp.where(cells.seen, new.u - old.u, 0.0)))

    def go_on(carry: tuple[_State, Array, Array]) -> Array:
        _, last, count = carry
        return (last > _TOLERANCE) & (count < _STEPS)

    def near(carry: tuple[_State, Array, Array]) -> tuple[_State, Array, Array]:
        at, _, count = carry
        new = _step(cells, prior, at).at
        new = _State(*(old + jnp.clip(after - old, -3.0, 3.0) for old, after in zip(at, new, strict=True)))
        return new, size(new, at), count + 1

    u = score_logit(cells, prior.trend)
    begin = (_State(u, jnp.zeros_like(u)), jnp.asarray(jnp.inf, u.dtype), jnp.asarray(0))
    at = jax.lax.while_loop(go_on, near, begin)[0]
    better = _step(cells, prior, at, exact=True)
    # A curvature that is not positive definite has a pivot below 0, and its logarithm is not a number.
    found = jnp.all(jnp.isfinite(better.solved.log_det)) & (better.least > 0) & (size(better.at, at) < _NEAR)
    return jax.tree.map(lambda new, old: jnp.where(found, new, old), better.at, at), found


def log_marginal(cells: Cells, prior: Prior) -> Field:
    """Laplace's approximation of log p(y | parameters), which is the sum of `log_lm` and `log_family`.

    The mode is found without derivatives. One more step with the exact curvature carries the dependence of the mode on
    the parameters, so that the gradient is the gradient of the value.
    """
    every = {name: _for_each(getattr(cells, name), cells) for name in ("n_items", "floor", "ceiling")}
    cells = cells._replace(**every)
    fixed = jax.lax.stop_gradient((cells, prior._replace(tail=0.0)))
    at, found = jax.lax.stop_gradient(_mode(fixed[0], fixed[1]._replace(tail=prior.tail)))
    at, alpha, _, _ = _step(cells, prior, at, exact=found)
    local = _local(cells, prior, at, False)
    solved = solve(prior, *_pseudo(prior, at, local))
    # (u - trend)' Sigma^-1 (u - trend), without the part of the residual, which has its own density.
    square = alpha * (at.u - prior.trend - prior.spread * at.e)
    inside = jnp.where(cells.seen, log_items(cells, at.u) + log_residual(prior.tail, at.e), 0.0) - 0.5 * square
    inside -= jnp.where(cells.seen, 0.5 * jnp.log(local.whole), 0.0)
    log_lm = jnp.sum(inside, axis=1)
    # A fraction of n + 1 values has a density of at most n + 1, and a score of exactly 0 or 1 a probability of at most
    # 1. A larger value comes from parameters that are too large for floating point.
    counted = cells.seen & between(cells.score) & cells.bounded
    most = jnp.sum(jnp.where(counted, jnp.log(cells.n_items + 1), 0.0), axis=1)
    most += jnp.sum(jnp.where(cells.seen & ~cells.bounded, 10.0, 0.0), axis=1)
    log_lm = jnp.where(log_lm <= most + 1.0, log_lm, -jnp.inf)
    return Field(at.u, at.e, log_lm, -0.5 * solved.log_det)


def log_models(cells: Cells, prior: Prior, field: Field) -> Float[Array, " lm"]:
    """log p(scores of a model | parameters, the mode of its family), with the model's own effects integrated out."""
    local = _local(cells, prior, _State(field.u, field.residual), False)
    precision, _ = _pseudo(prior, _State(field.u, field.residual), local)
    own = jnp.einsum("mbk,mb,mbl->mkl", prior.own, precision, prior.own)
    return field.log_lm - 0.5 * inverse(own + jnp.eye(own.shape[-1]))[1]


class Drawn(NamedTuple):
    """A draw of the field given the scores. factor: t. eta: logits without the residual. u: logits with it."""

    factor: Float[Array, "lm factor"]
    eta: Float[Array, "lm benchmark"]
    u: Float[Array, "lm benchmark"]


def draw_field(cells: Cells, prior: Prior, field: Field, key: Array) -> Drawn:
    """A draw of the field given the scores. Effects of families and models without seen scores follow the prior.

    The normal field and its pseudo-observations are drawn from the prior. The field is then moved by the difference
    between these and the actual observations (Papandreou and Yuille 2010): one solve, and no matrix root.
    """
    at = _State(field.u, field.residual)
    local = _local(cells, prior, at, False)
    precision, pull = _pseudo(prior, at, local)
    keys = iter(jax.random.split(key, 9))
    factor, habit = _draw_effects(prior, keys)
    e = jax.random.normal(next(keys), at.u.shape) / jnp.sqrt(local.curvature)
    known = jnp.where(local.information > 0, local.information, 1.0)
    noise = jax.random.normal(next(keys), at.u.shape) / jnp.sqrt(known)
    common = jnp.einsum("mbk,mk->mb", prior.own, factor) + habit
    solved = solve(prior, precision, pull - precision * (common + prior.spread * e + noise))
    eta = prior.trend + common + solved.common
    # The residual's share of the difference that is still unexplained.
    left = (pull - precision * (common + prior.spread * e + noise)) - precision * solved.common
    e += prior.spread * left / local.curvature
    if prior.tail:
        e = jnp.where(cells.seen, e, jax.random.t(next(keys), 1 / prior.tail, e.shape))
    return Drawn(factor + solved.factor, eta, eta + prior.spread * e)


def _draw_effects(prior: Prior, keys: Iterator[Array]) -> tuple[Array, Array]:
    """Factors t and habits spread (h + g) from their prior."""
    lms, benchmarks, factors = prior.own.shape
    runs, families = [], []
    for offset, bucket in zip(_offsets(prior.groups), prior.groups.buckets, strict=True):
        # A run is identified by its first slot, a family by its own first slot.
        first = jnp.arange(bucket.lm.shape[0])[:, None] * bucket.lm.shape[1] + offset
        runs.append(first + bucket.run)
        families.append(jnp.broadcast_to(first, bucket.lm.shape))
    run, family = per_lm(runs, prior.groups), per_lm(families, prior.groups)
    slots = sum(bucket.lm.size for bucket in prior.groups.buckets)
    factor = jax.random.normal(next(keys), (lms, factors))
    habit = jnp.zeros((lms, benchmarks))
    levels = (prior.run, prior.run_habit, run), (prior.family, prior.family_habit, family)
    for (scale, strength, group), key in zip(levels, (next(keys), next(keys)), strict=True):
        if len(strength):
            key_factor, key_habit = jax.random.split(key)
            shared = scale * jax.random.normal(key_factor, (slots, len(scale)))
            factor += jnp.pad(shared, ((0, 0), (0, factors - len(scale))))[group]
            habit += (prior.spread * strength[0] * jax.random.normal(key_habit, (slots, benchmarks)))[group]
    return factor, habit


def _offsets(groups: Groups) -> list[int]:
    sizes = [bucket.lm.size for bucket in groups.buckets]
    return [sum(sizes[:i]) for i in range(len(sizes))]


def _for_each(benchmark: Array, cells: Cells) -> Array:
    return jnp.ones((len(cells.score), 1), benchmark.dtype) @ benchmark[None]
