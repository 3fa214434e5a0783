"""What the joint law says of every cell, given the scores that it has seen."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from csvjax.fit.density import Density, Sites
from csvjax.laws.field import Field, Prior, draw_field
from csvjax.laws.joint_law import JointEvidence
from csvjax.laws.links import link

__all__ = ["JointPredictive", "field_of", "predict_joint"]


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


@partial(jax.jit, static_argnames=("density",))
def predict_joint(density: Density, e: JointEvidence, x: Float[Array, "draw n"], key: Array) -> JointPredictive:
    """One predictive draw for each posterior draw of the parameters, for every cell, seen or not."""

    def one(x: Array, key: Array) -> tuple[Array, Array, Array]:
        key_field, key_items = jax.random.split(key)
        sites = density.constrain(x, e)
        eta, u = draw_field(*field_of(sites, e), key_field)
        floor, ceiling = sites["known_floor"], sites["ceiling"]
        n = jnp.maximum(jnp.round(sites["known_items"]), 1.0)
        chance = jnp.clip(link(u, floor, ceiling), 0.0, 1.0)
        return eta, link(eta, floor, ceiling), jax.random.binomial(key_items, n, chance, chance.shape) / n

    # Batches bound the memory, whatever the number of draws.
    return JointPredictive(*jax.lax.map(lambda a: one(*a), (x, jax.random.split(key, len(x))), batch_size=50))
