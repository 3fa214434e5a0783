"""What the joint law says of every cell, given the scores that it has seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from csvjax.law.density import Density, Sites
from csvjax.law.links import link
from csvjax.laws.joint_field import Cells, Field, Prior, draw_field, log_marginal, prior_of_new
from csvjax.laws.joint_model import JointEvidence

__all__ = ["JointPredictive", "field_of", "predict_joint", "predict_new"]

_BATCH = 50


class JointPredictive(NamedTuple):
    """Draws. `mean`: of the mean score of models with such capabilities, of the model's family. `score`: of a score
    observed for this model, with its own residual and the luck of its items. Fractions. `logit`: that of `mean`.
    """

    logit: Float[Array, "draw lm benchmark"]
    mean: Float[Array, "draw lm benchmark"]
    score: Float[Array, "draw lm benchmark"]


def field_of(sites: Sites, e: JointEvidence) -> tuple[Field, Prior]:
    """The field's approximation and its prior at the parameters of `sites` (those of `Density.constrain`)."""
    prior = Prior(sites["trend"], sites["own"], sites["spread"], sites["shared"], e.family, e.families)
    return Field(sites["u"], sites["precision"], sites["pull"], sites["log_lm"], sites["log_family"]), prior


def _draws(sites: Sites, field: Field, prior: Prior, key: Array) -> tuple[Array, Array, Array]:
    key_field, key_items = jax.random.split(key)
    eta, u = draw_field(field, prior, key_field)
    floor, ceiling = sites["known_floor"], sites["ceiling"]
    n = jnp.maximum(jnp.round(sites["known_items"]), 1.0)
    chance = jnp.clip(link(u, floor, ceiling), 0.0, 1.0)
    return eta, link(eta, floor, ceiling), jax.random.binomial(key_items, n, chance, chance.shape) / n


def _for_each(one: Callable[[Array, Array], tuple], x: Array, key: Array) -> JointPredictive:
    """Batches bound the memory, whatever the number of draws."""
    keys = jax.random.split(key, len(x))
    return JointPredictive(*jax.lax.map(lambda pair: one(*pair), (x, keys), batch_size=_BATCH))


@partial(jax.jit, static_argnames=("density",))
def predict_joint(density: Density, e: JointEvidence, x: Float[Array, "draw n"], key: Array) -> JointPredictive:
    """One predictive draw for each posterior draw of the parameters, for every cell of the fit, seen or not."""

    def one(x: Array, key: Array) -> tuple[Array, Array, Array]:
        sites = density.constrain(x, e)
        return _draws(sites, *field_of(sites, e), key)

    return _for_each(one, x, key)


@partial(jax.jit, static_argnames=("density",))
def predict_new(
    density: Density,
    seen: JointEvidence,
    new: JointEvidence,
    x: Float[Array, "draw n"],
    key: Array,
    stream: Int[Array, " lm"],
) -> JointPredictive:
    """The same for models that no fit has seen, each from what `new` shows of it: its losses, its few scores, only its
    compute, or nothing; and from the scores of its family in `seen`.

    Families are numbered as in `seen`, and from its number of families on where they are new. stream: which random
    numbers a model has; models with the same number have the same ones.
    """

    def one(x: Array, key: Array) -> tuple[Array, Array, Array]:
        old, sites = density.constrain(x, seen), density.constrain(x, new)
        prior = prior_of_new(*field_of(old, seen), field_of(sites, new)[1])
        items = sites["known_items"], sites["known_floor"], sites["ceiling"]
        field = log_marginal(Cells(new.score, new.seen, *items), prior)

        def alone(number: Array, u: Array, precision: Array, pull: Array, trend: Array, own: Array) -> tuple:
            row = Field(u[None], precision[None], pull[None], field.log_lm[:1], field.log_family)
            its = prior._replace(trend=trend[None], own=own[None], family=prior.family[:1])
            return jax.tree.map(lambda a: a[0], _draws(sites, row, its, jax.random.fold_in(key, number)))

        return jax.vmap(alone)(stream, field.u, field.precision, field.pull, prior.trend, prior.own)

    return _for_each(one, x, key)
