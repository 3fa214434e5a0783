"""Predictions of the law for every cell, given the seen scores."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from csvjax import memory
from csvjax.compiled import jit_by_size
from csvjax.law.density import Density, Sites
from csvjax.law.field import Field, draw_field, log_models
from csvjax.law.items import GAUGE, Cells, expected
from csvjax.law.likelihood import log_score_given_logit
from csvjax.law.links import in_units
from csvjax.law.model import Evidence
from csvjax.law.salience import salience
from csvjax.law.solve import Prior
from csvjax.programs import keepable
from csvjax.types import AnyArray

__all__ = ["Predictive", "draw_curve", "draw_law", "draw_pieces", "draw_salience", "field_of", "log_scores"]

_BATCH = 50
_SMALL = 500  # cells
_SITES = (
    *("loading", "intercept", "spread", "floor", "ceiling", "n_items"),
    *("gain", "family_spread", "run_spread", "family_habit", "run_habit"),
    *("loss_slope", "loss_unit", "tau", "weight"),
    *("own_gain", "own_slope", "own_loss_unit", "own_tau", "own_weight"),
)


@keepable
class Predictive(NamedTuple):
    """Posterior draws. capability: theta. logit: eta, without the residual of the cell. mean: the mean score of models
    with these capabilities, in the model's family and run. score: a new observation of this model, with its own
    residual and the chance of its items; a fraction, or in the unit of the benchmark. log_model: log p(the seen scores
    of a model | parameters), nats. sites: parameters by name.
    """

    capability: Float[np.ndarray, "draw lm capability"]
    logit: Float[np.ndarray, "draw lm benchmark"]
    mean: Float[np.ndarray, "draw lm benchmark"]
    score: Float[np.ndarray, "draw lm benchmark"]
    log_model: Float[np.ndarray, "draw lm"]
    sites: dict[str, np.ndarray]


def field_of(sites: Sites, e: Evidence, tail: float) -> tuple[Cells, Prior, Field]:
    """The approximation of the field at the parameters in `sites` (from `Density.constrain`)."""
    cells = Cells(e.score, e.seen, sites["n_items"], sites["floor"], sites["ceiling"], e.standard.bounded)
    named = {name.removeprefix("prior_"): value for name, value in sites.items() if name.startswith("prior_")}
    prior = Prior(loading=sites["loading"], spread=sites["spread"], groups=e.groups, tail=tail, **named)
    return cells, prior, Field(*(sites[name] for name in Field._fields))


def _one(density: Density, tail: float, e: Evidence, x: Array, key: Array) -> Predictive:
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
    score = in_units(e.standard, jnp.where(e.standard.bounded, counted, noisy))
    kept = {name: sites[name] for name in _SITES if name in sites}
    mean = in_units(e.standard, expected(cells, drawn.eta))
    return Predictive._make([capability, drawn.eta, mean, score, log_models(cells, prior, field), kept])


@partial(jit_by_size, static=("density", "tail"))
def _piece(
    density: Density, tail: float, e: Evidence, x: Float[Array, "draw n"], key: Array, first: Int[AnyArray, ""]
) -> Any:
    keys = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(len(x)))
    # Under vmap all draws wait for the draw whose field is hardest to solve, so it is faster only for small tables.
    if e.score.size <= _SMALL:
        return jax.vmap(partial(_one, density, tail, e))(x, keys)
    return jax.lax.map(lambda pair: _one(density, tail, e, *pair), (x, keys))


def draw_pieces(
    density: Density, tail: float, e: Evidence, x: Float[AnyArray, "draw n"], key: Array
) -> Iterator[Predictive]:
    """The result of `draw_law` in pieces of 50 draws, or as many as `csvjax.memory.drawing` says: any number of draws
    uses the same compiled program, and memory does not grow with the number of draws.
    """
    size = memory.piece()
    for first in range(0, len(x), size):
        rows = jnp.asarray(np.resize(x[first : first + size], (size, x.shape[1])))
        found = jax.device_get(_piece(density, tail, e, rows, key, first))
        yield jax.tree.map(itemgetter(slice(len(x) - first)), found)


def draw_law(density: Density, tail: float, e: Evidence, x: Float[AnyArray, "draw n"], key: Array) -> Predictive:
    """One draw for each posterior draw of the parameters, for every cell of `e`, seen or not.

    tail: as in `Law`. A draw does not depend on the other draws.
    """
    return jax.tree.map(lambda *parts: np.concatenate(parts), *draw_pieces(density, tail, e, x, key))


@partial(jit_by_size, small=0, static=("tail",))  # small to compile, and three times as fast with more effort
def _log_scores(tail: float, cells: Cells, eta: Array, spread: Array) -> Array:
    def one(cells: Cells, eta: Array, spread: Array) -> Array:
        return jnp.where(cells.seen, log_score_given_logit(cells, eta, spread, tail), jnp.nan)

    each = Cells(None, None, 0, 0, 0, None)  # type: ignore[arg-type]
    return jax.vmap(one, (each, 0, 0))(cells, eta, spread)


def log_scores(tail: float, judged: Evidence, drawn: Predictive) -> Float[np.ndarray, "draw lm benchmark"]:
    """log p(score | parameters, eta) of the scores that `judged` contains, with the residuals integrated out, in nats;
    a log density of fractions (or standardised scores), or a log probability for scores of exactly 0 and 1; NaN where
    `judged` has no score.
    """
    parts, count, size = [], len(drawn.logit), memory.piece()
    for first in range(0, count, size):
        at = np.resize(np.arange(first, min(first + size, count)), size)
        n_items, floor, ceiling, spread = (drawn.sites[name][at] for name in ("n_items", "floor", "ceiling", "spread"))
        cells = Cells(judged.score, judged.seen, n_items, floor, ceiling, judged.standard.bounded)
        found = _log_scores(tail, cells, drawn.logit[at], spread)
        parts.append(np.asarray(found)[: count - first])
    return np.concatenate(parts)


@partial(jit_by_size, static=("density", "tail"))
def draw_curve(
    density: Density,
    tail: float,
    e: Evidence,
    row: int | Int[AnyArray, ""],
    grid: Evidence,
    x: Float[Array, "draw n"],
    key: Array,
) -> Float[Array, "draw point benchmark"]:
    """Mean scores of one model, in `row` of `e`, if it had the covariates of the rows of `grid`.

    In each draw its family effects and its own effects are the same at every point.
    """

    def one(x: Array, key: Array) -> Array:
        cells, prior, field = field_of(density.constrain(x, e), e, tail)
        drawn = draw_field(cells, prior, field, key)
        factor = drawn.factor[row]
        habit = drawn.eta[row] - prior.trend[row] - prior.own[row] @ factor
        there = density.constrain(x, grid)
        eta = there["prior_trend"] + there["prior_own"] @ factor + habit
        return in_units(e.standard, expected(cells, eta))

    keys = jax.random.split(key, len(x))
    return jax.lax.map(lambda pair: one(*pair), (x, keys), batch_size=_BATCH)


@partial(jit_by_size, static=("density",))
def draw_salience(density: Density, e: Evidence, x: Float[Array, "draw n"]) -> Float[Array, "draw benchmark unit"]:
    """-d eta[m, b] / d (loss[m, u] in nats per byte): the logits that a benchmark loses per extra nat on each unit.

        sum over k of loading[b, k] loss_slope[k] s[k, u] / unit[k]  +  own_slope[b] own_s[b, u] / own_unit[b]

    It does not depend on the rotation or the signs of the capabilities.
    """

    def one(x: Array) -> Array:
        sites = density.constrain(x, e)
        total = jnp.zeros((e.score.shape[1], e.loss.shape[1]))
        if "loss_slope" in sites:
            s = jax.vmap(partial(salience, e.log_base))(sites["z"])
            total += (sites["loading"] * sites["loss_slope"] / sites["loss_unit"]) @ s
        if "own_slope" in sites:
            s = jax.vmap(partial(salience, e.log_base))(sites["own_z"])
            total += (sites["own_slope"] / sites["own_loss_unit"])[:, None] * s
        return total

    return jax.lax.map(one, x, batch_size=_BATCH)
