"""What the law says of every cell, given the scores that it has seen."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from csvjax.compiled import jit_by_size
from csvjax.law.density import Density, Sites
from csvjax.law.field import Field, draw_field
from csvjax.law.items import GAUGE, Cells, expected
from csvjax.law.likelihood import log_score_given_logit
from csvjax.law.model import Evidence
from csvjax.law.salience import salience
from csvjax.law.solve import Prior
from csvjax.types import AnyArray

__all__ = ["Predictive", "draw_curve", "draw_law", "draw_salience", "field_of"]

_BATCH = 50


class Predictive(NamedTuple):
    """Draws. capability: theta. logit: eta, without the residual of the cell. mean: the mean score of models with such
    capabilities, of the model's family and run. score: observed for this model, with its own residual and the
    luck of its items. log_likelihood: of a score that `judged` shows, given parameters and eta, its residual integrated
    out; nats, of a density of fractions, for scores of exactly 0 and 1 of their probability; NaN where there is none.
    """

    capability: Float[Array, "draw lm capability"]
    logit: Float[Array, "draw lm benchmark"]
    mean: Float[Array, "draw lm benchmark"]
    score: Float[Array, "draw lm benchmark"]
    log_likelihood: Float[Array, "draw lm benchmark"]


def field_of(sites: Sites, e: Evidence, tail: float) -> tuple[Cells, Prior, Field]:
    """The field's approximation at the parameters of `sites` (those of `Density.constrain`)."""
    cells = Cells(e.score, e.seen, sites["n_items"], sites["floor"], sites["ceiling"], e.bounded)
    named = {name.removeprefix("prior_"): value for name, value in sites.items() if name.startswith("prior_")}
    prior = Prior(loading=sites["loading"], spread=sites["spread"], groups=e.groups, tail=tail, **named)
    return cells, prior, Field(*(sites[name] for name in Field._fields))


def _one(density: Density, tail: float, e: Evidence, judged: Evidence | None, x: Array, key: Array) -> Predictive:
    sites = density.constrain(x, e)
    cells, prior, field = field_of(sites, e, tail)
    key_field, key_items = jax.random.split(key)
    drawn = draw_field(cells, prior, field, key_field)
    count = sites["loading"].shape[1]
    shared = sites["capability_unknown"].shape[2]
    capability = sites["capability_trend"] + drawn.factor[:, :count]
    capability += jnp.einsum("mku,mu->mk", sites["capability_unknown"], drawn.factor[:, count : count + shared])
    n = jnp.maximum(jnp.round(cells.n_items), 1.0)
    chance = expected(cells, drawn.u)
    counted = jax.random.binomial(key_items, n, jnp.clip(chance, 0.0, 1.0), chance.shape) / n
    noisy = chance + GAUGE * jax.random.normal(key_items, chance.shape)
    score = jnp.where(e.bounded, counted, noisy)
    log_p = jnp.full_like(score, jnp.nan)
    if judged is not None:
        at = cells._replace(score=judged.score, seen=judged.seen)
        log_p = jnp.where(judged.seen, log_score_given_logit(at, drawn.eta, prior.spread, tail), jnp.nan)
    return Predictive(capability, drawn.eta, expected(cells, drawn.eta), score, log_p)


@partial(jit_by_size, static_argnames=("density", "tail"))
def draw_law(
    density: Density, tail: float, e: Evidence, judged: Evidence | None, x: Float[Array, "draw n"], key: Array
) -> Predictive:
    """One draw for each posterior draw of the parameters, for every cell of `e`, seen or not.

    tail: as in `Law`. judged: evidence of the same cells with the scores whose likelihood is asked for (`e` itself for
    those that were fitted); None for none. Batches bound the memory, whatever the number of draws.
    """

    def one(pair: tuple[Array, Array]) -> Predictive | tuple[Array, ...]:
        found = _one(density, tail, e, judged, *pair)
        return found if found.capability.size else found[1:]  # arrays without elements cannot be put together

    found = jax.lax.map(one, (x, jax.random.split(key, len(x))), batch_size=_BATCH)
    if isinstance(found, Predictive):
        return found
    return Predictive(jnp.zeros((len(x), len(e.score), 0)), *found)


@partial(jit_by_size, static_argnames=("density", "tail"))
def draw_curve(
    density: Density,
    tail: float,
    e: Evidence,
    row: int | Int[AnyArray, ""],
    grid: Evidence,
    x: Float[Array, "draw n"],
    key: Array,
) -> Float[Array, "draw point benchmark"]:
    """Mean scores of one model, that of `row` in `e`, if its covariates were those of the rows of `grid`.

    In each draw its family and all that it has of its own are the same at every point.
    """

    def one(x: Array, key: Array) -> Array:
        cells, prior, field = field_of(density.constrain(x, e), e, tail)
        drawn = draw_field(cells, prior, field, key)
        factor = drawn.factor[row]
        habit = drawn.eta[row] - prior.trend[row] - prior.own[row] @ factor
        there = density.constrain(x, grid)
        eta = there["prior_trend"] + there["prior_own"] @ factor + habit
        return expected(cells, eta)

    keys = jax.random.split(key, len(x))
    return jax.lax.map(lambda pair: one(*pair), (x, keys), batch_size=_BATCH)


@partial(jit_by_size, static_argnames=("density",))
def draw_salience(density: Density, e: Evidence, x: Float[Array, "draw n"]) -> Float[Array, "draw benchmark unit"]:
    """-d eta[m, b] / d (loss[m, u] in nats per byte): how many logits a benchmark loses for a nat more on each unit.

        sum over k of loading[b, k] loss_slope[k] s[k, u] / scale  +  own_slope[b] own_s[b, u] / scale

    It does not depend on how capabilities are turned or signed.
    """

    def one(x: Array) -> Array:
        sites = density.constrain(x, e)
        total = jnp.zeros((e.score.shape[1], e.loss.shape[1]))
        if "loss_slope" in sites:
            s = jax.vmap(partial(salience, e.log_base))(sites["z"])
            total += (sites["loading"] * sites["loss_slope"]) @ s / e.scale
        if "own_slope" in sites:
            s = jax.vmap(partial(salience, e.log_base))(sites["own_z"])
            total += sites["own_slope"][:, None] * s / e.scale
        return total

    return jax.lax.map(one, x, batch_size=_BATCH)
