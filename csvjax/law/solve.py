"""The normal field given pseudo-observations of its cells, family by family, from the smaller of two linear systems.

    d[m, b] = trend[m, b] + sum_k own[m, b, k] t[m, k] + spread[b] (h[f(m), b] + g[r(m), b]) + noise[m, b]

"By models": for one family and one benchmark, everything except t has a covariance whose inverse is in closed form
(`csvjax.law.nested`). This leaves one system with as many rows as the family has models times factors. "By benchmarks":
first a model's own factors are integrated out, then the effects of its run and its family; these systems have as many
rows as there are capabilities plus benchmarks. Both are exact; each bucket of families uses the cheaper one.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from csvjax.law.groups import Bucket, Groups
from csvjax.law.nested import in_run, nested
from csvjax.law.small import inverse

__all__ = ["Prior", "Solved", "per_lm", "solve"]


class Prior(NamedTuple):
    """Mean and covariance of the field, in logits. own [m, b, k]: loadings of each model. Its first columns are
    `loading`, which all models share; the others belong to factors of a single model (its missing covariates).

    spread: standard deviation of the residual. family, run: standard deviations of the effects that models of a family
    and of a run share on each capability; empty without such effects. family_habit, run_habit: of the effects that they
    share on one benchmark, relative to its spread. tail: 1 / degrees of freedom of the residual; 0: normal.
    """

    trend: Float[Array, "lm benchmark"]
    own: Float[Array, "lm benchmark factor"]
    loading: Float[Array, "benchmark capability"]
    spread: Float[Array, " benchmark"]
    family: Float[Array, " capability_or_none"]
    run: Float[Array, " capability_or_none"]
    family_habit: Float[Array, " one_or_none"]
    run_habit: Float[Array, " one_or_none"]
    groups: Groups
    tail: float = 0.0


class Solved(NamedTuple):
    """Means given the pseudo-observations. common: own t + spread (h + g). factor: t. log_det: log det (I + covariance
    precision) of the factors and habits of each family.
    """

    common: Float[Array, "lm benchmark"]
    factor: Float[Array, "lm factor"]
    log_det: Float[Array, " family"]


class _Table(NamedTuple):
    """The arrays of one bucket, [family, slot, ...]."""

    own: Array
    weight: Array
    pull: Array
    occupied: Array  # 1 where the slot has a model


def per_family(rows: Array, groups: Groups) -> list[Array]:
    """[lm, ...] -> [family, slot, ...] for each bucket; empty slots are 0."""
    shapes = [bucket.lm.shape for bucket in groups.buckets]
    order = jnp.concatenate([jnp.ravel(bucket.lm) for bucket in groups.buckets])
    flat = _to_slots(rows, order, jnp.asarray(groups.slot))
    edges = np.cumsum([families * slots for families, slots in shapes])[:-1]
    return [part.reshape(*shape, *rows.shape[1:]) for part, shape in zip(jnp.split(flat, edges), shapes, strict=True)]


def per_lm(parts: list[Array], groups: Groups) -> Array:
    """The inverse of `per_family`."""
    flat = jnp.concatenate([part.reshape(part.shape[0] * part.shape[1], *part.shape[2:]) for part in parts])
    order = jnp.concatenate([jnp.ravel(bucket.lm) for bucket in groups.buckets])
    return _from_slots(flat, order, jnp.asarray(groups.slot))


# Each model has one slot, so the derivative of each gather is the other gather. JAX would use a slow scatter.
@jax.custom_vjp
def _to_slots(rows: Array, order: Array, slot: Array) -> Array:
    return jnp.take(rows, order, axis=0, mode="fill", fill_value=0)


@jax.custom_vjp
def _from_slots(flat: Array, order: Array, slot: Array) -> Array:
    return flat[slot]


_to_slots.defvjp(
    lambda rows, order, slot: (_to_slots(rows, order, slot), (order, slot)),
    lambda kept, change: (_from_slots(change, *kept), None, None),
)
_from_slots.defvjp(
    lambda flat, order, slot: (_from_slots(flat, order, slot), (order, slot)),
    lambda kept, change: (_to_slots(change, *kept), None, None),
)


def solve(prior: Prior, precision: Float[Array, "lm benchmark"], pull: Float[Array, "lm benchmark"]) -> Solved:
    """Mean of the normal field, from the precision R of each cell's pseudo-observation d (residual e included) and
    pull = R (d - trend).
    """
    common, factor, log_det = [], [], []
    tables = (per_family(a, prior.groups) for a in (prior.own, precision, pull))
    for bucket, own, weight, towards in zip(prior.groups.buckets, *tables, strict=True):
        occupied = jnp.asarray(bucket.lm < len(prior.trend), precision.dtype)
        table = _Table(own, weight, towards, occupied)
        found = (_by_models if _models_are_fewer(prior, bucket) else _by_benchmarks)(prior, bucket, table)
        common.append(found[0])
        factor.append(found[1])
        log_det.append(found[2])
    return Solved(per_lm(common, prior.groups), per_lm(factor, prior.groups), jnp.concatenate(log_det))


def _models_are_fewer(prior: Prior, bucket: Bucket) -> bool:
    slots, (_, benchmarks, factors) = bucket.lm.shape[1], prior.own.shape
    levels = len(prior.family_habit) + slots * len(prior.run_habit)
    by_benchmarks = slots * (factors**3 + factors * benchmarks**2) + levels * (prior.loading.shape[1] + benchmarks) ** 3
    by_models = (slots * factors) ** 3 + benchmarks * (slots * factors) ** 2
    return by_models <= by_benchmarks


def _variances(prior: Prior) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Variances of factors and of habits, for runs and for families; 0 where there are no such effects."""
    count, capabilities = prior.own.shape[2], prior.loading.shape[1]

    def of_factors(scale: Array) -> Array:
        found = scale if len(scale) else jnp.zeros(capabilities)
        return jnp.pad(found**2, (0, count - capabilities))

    def of_habits(scale: Array) -> Array:
        return (prior.spread * scale[0]) ** 2 if len(scale) else jnp.zeros_like(prior.spread)

    return (of_factors(prior.run), of_factors(prior.family)), (
        of_habits(prior.run_habit),
        of_habits(prior.family_habit),
    )


def _by_models(prior: Prior, bucket: Bucket, table: _Table) -> tuple[Array, Array, Array]:
    of_factors, of_habits = _variances(prior)
    same = bucket.run[:, :, None] == bucket.run[:, None, :]
    families, slots, _, factors = table.own.shape
    noise = nested(same, table.weight, *of_habits)
    occupied = table.occupied[:, :, None]
    alike = nested(same, jnp.broadcast_to(occupied, (families, slots, factors)), *of_factors)
    between_lms = alike.matrix() + ((1 - occupied) * jnp.eye(slots))[..., None]
    whole = noise.between(table.own) + jnp.einsum("fmnk,kl->fmknl", between_lms, jnp.eye(factors))
    size = slots * factors
    covariance, log_whole = inverse(whole.reshape(families, size, size))
    right = jnp.einsum("fmbk,fmb->fmk", table.own, noise.apply(table.pull)).reshape(families, size)
    t = jnp.einsum("fij,fj->fi", covariance, right).reshape(families, slots, factors)
    explained = jnp.einsum("fmbk,fmk->fmb", table.own, t)
    alpha = noise.apply(table.pull - table.weight * explained)
    habit = of_habits[0] * in_run(same, alpha) + of_habits[1] * jnp.sum(alpha, axis=1, keepdims=True)
    return explained + habit, t, noise.log_det + alike.log_det + log_whole


class _Level(NamedTuple):
    """Precision and pull that remain after the common factors of a group are integrated out."""

    precision: Array  # [..., benchmark, benchmark]
    pull: Array  # [..., benchmark]
    gain: Array  # [..., factor, benchmark]: factors = gain (pull - precision s), s: common effects beyond the group
    log_det: Array  # [...]


def _integrated(precision: Array, pull: Array, loading: Array) -> _Level:
    towards = jnp.einsum("bc,...bd->...cd", loading, precision)
    inner, log_det = inverse(jnp.eye(loading.shape[1]) + towards @ loading)
    gain = inner @ jnp.broadcast_to(loading.T, towards.shape)
    left = precision - jnp.swapaxes(towards, -1, -2) @ (inner @ towards)
    rest = pull - jnp.einsum("...cb,...c->...b", towards, jnp.einsum("...cb,...b->...c", gain, pull))
    return _Level(left, rest, gain, log_det)


def _by_benchmarks(prior: Prior, bucket: Bucket, table: _Table) -> tuple[Array, Array, Array]:
    families, slots, benchmarks, factors = table.own.shape
    capabilities = prior.loading.shape[1]
    reach = jnp.swapaxes(table.own, 2, 3) * table.weight[:, :, None, :]
    own, log_own = inverse(jnp.eye(factors) + reach @ table.own)
    half = own @ reach
    precision = table.weight[..., None] * jnp.eye(benchmarks) - jnp.swapaxes(reach, 2, 3) @ half
    pull = table.pull - jnp.einsum("fmkb,fmk->fmb", half, jnp.einsum("fmbk,fmb->fmk", table.own, table.pull))
    log_det = jnp.sum(log_own, axis=1)

    def loading_of(scale: Array, habit: Array) -> Array:
        return jnp.hstack([prior.loading * scale, habit[0] * jnp.diag(prior.spread)])

    s = jnp.zeros((families, slots, benchmarks))
    shared = jnp.zeros((families, slots, capabilities))
    run = None
    in_slot = jax.nn.one_hot(bucket.run, slots, dtype=pull.dtype)  # [family, slot, run]
    if len(prior.run_habit):
        of_run = jnp.einsum("fmr,fmbc->frbc", in_slot, precision), jnp.einsum("fmr,fmb->frb", in_slot, pull)
        run = _integrated(*of_run, loading_of(prior.run, prior.run_habit))
        log_det += jnp.sum(run.log_det, axis=1)
        precision, pull = run.precision, run.pull
    if len(prior.family_habit):
        loading = loading_of(prior.family, prior.family_habit)
        family = _integrated(jnp.sum(precision, axis=1), jnp.sum(pull, axis=1), loading)
        log_det += family.log_det
        a = jnp.einsum("fcb,fb->fc", family.gain, jnp.sum(pull, axis=1))
        s += (a @ loading.T)[:, None]
        shared += (prior.family * a[:, :capabilities])[:, None]
    if run is not None:
        loading = loading_of(prior.run, prior.run_habit)
        left = of_run[1] - jnp.einsum("frbc,fc->frb", of_run[0], s[:, 0])
        b = jnp.einsum("frcb,frb->frc", run.gain, left)
        s += jnp.einsum("fmr,frb->fmb", in_slot, b @ loading.T)
        shared += jnp.einsum("fmr,frk->fmk", in_slot, prior.run * b[..., :capabilities])
    r = jnp.einsum("fmkl,fmbl,fmb->fmk", own, table.own, table.pull - table.weight * s)
    common = s + jnp.einsum("fmbk,fmk->fmb", table.own, r)
    return common, r + jnp.pad(shared, ((0, 0), (0, 0), (0, factors - capabilities))), log_det
