"""Normal noise with effects shared by groups within groups, integrated out in closed form.

    r[m] = reach[m] (family_spread a[f(m)] + run_spread b[r(m)]) + noise[m],   noise[m] ~ Normal(0, sqrt(variance[m]))

with a, b ~ Normal(0, 1) and every run inside one family. Integrating the runs first leaves for each run two numbers,
and then the families the same, so that the density costs a few sums over models (Sherman-Morrison, twice).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from csvjax.types import AnyArray

__all__ = ["Effects", "Nested", "draw_effects", "log_density"]


class Nested(NamedTuple):
    """The groups: family and run of each model, and the family of each run, all numbered."""

    family: Int[AnyArray, " lm"]
    run: Int[AnyArray, " lm"]
    family_of_run: Int[AnyArray, " run"]
    families: Float[AnyArray, " family"]  # only its length matters


class Effects(NamedTuple):
    """Sufficient sums. For a run: weight = sum reach^2 / variance, pull = sum reach r / variance. For a family: the
    same after its runs are integrated out.
    """

    run_weight: Float[Array, " run"]
    run_pull: Float[Array, " run"]
    family_weight: Float[Array, " family"]
    family_pull: Float[Array, " family"]


def _sums(groups: Nested, residual: Array, reach: Array, precision: Array, run_spread: Array) -> Effects:
    in_run = (groups.run[:, None] == jnp.arange(len(groups.family_of_run))).astype(residual.dtype)
    in_family = (groups.family_of_run[:, None] == jnp.arange(len(groups.families))).astype(residual.dtype)
    weight = (reach * reach * precision) @ in_run
    pull = (reach * residual * precision) @ in_run
    shrink = 1 / (1 + run_spread**2 * weight)
    return Effects(weight, pull, (weight * shrink) @ in_family, (pull * shrink) @ in_family)


def log_density(
    groups: Nested,
    residual: Float[Array, " lm"],
    reach: Float[Array, " lm"],
    precision: Float[Array, " lm"],
    family_spread: Float[Array, ""],
    run_spread: Float[Array, ""],
) -> Float[Array, ""]:
    """log p(residual) with a and b integrated out; `precision` = 1 / variance, 0 for a model that is not observed.

    log|I + .| and the quadratic form gain one term for each run and family:
    log(1 + s^2 weight) and s^2 pull^2 / (1 + s^2 weight).
    """
    e = _sums(groups, residual, reach, precision, run_spread)
    run, family = run_spread**2 * e.run_weight, family_spread**2 * e.family_weight
    seen = precision > 0
    log_scale = jnp.sum(jnp.where(seen, jnp.log(jnp.where(seen, precision, 1.0) / (2 * jnp.pi)), 0.0))
    log_scale -= jnp.sum(jnp.log1p(run)) + jnp.sum(jnp.log1p(family))
    square = jnp.sum(precision * residual**2)
    square -= jnp.sum(run_spread**2 * e.run_pull**2 / (1 + run))
    square -= jnp.sum(family_spread**2 * e.family_pull**2 / (1 + family))
    return 0.5 * (log_scale - square)


def draw_effects(
    groups: Nested,
    residual: Float[Array, " lm"],
    reach: Float[Array, " lm"],
    precision: Float[Array, " lm"],
    family_spread: Float[Array, ""],
    run_spread: Float[Array, ""],
    key: Array,
) -> Float[Array, " lm"]:
    """A draw, given the observed residuals, of family_spread a[f(m)] + run_spread b[r(m)] for every model, in logits.

    A family or run with no observed model has its prior: an effect of its own, drawn anew.
    """
    key_family, key_run = jax.random.split(key)
    e = _sums(groups, residual, reach, precision, run_spread)
    family_precision = 1 + family_spread**2 * e.family_weight
    a = family_spread * e.family_pull / family_precision
    a += jax.random.normal(key_family, a.shape, a.dtype) / jnp.sqrt(family_precision)
    run_precision = 1 + run_spread**2 * e.run_weight
    b = run_spread * (e.run_pull - family_spread * a[groups.family_of_run] * e.run_weight) / run_precision
    b += jax.random.normal(key_run, b.shape, b.dtype) / jnp.sqrt(run_precision)
    return family_spread * a[groups.family] + run_spread * b[groups.run]
