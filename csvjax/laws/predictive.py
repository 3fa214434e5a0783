"""What the salience law says of a model's score, given the scores of the training models; for one benchmark."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from csvjax.law import links
from csvjax.law.density import Density, Sites
from csvjax.laws.nested_noise import draw_effects
from csvjax.laws.salience_law import Evidence

__all__ = ["Predictive", "log_score", "predict"]


class Predictive(NamedTuple):
    """Draws. `mean`: of the mean score of models with such losses, in the model's family and run. `score`: of a score
    observed for this model: with its own scatter and with the noise of its items. Fractions; `salient_loss` nats/byte.
    """

    mean: Float[Array, "draw lm"]
    score: Float[Array, "draw lm"]
    salient_loss: Float[Array, "draw lm"]


def _with_effects(e: Evidence, sites: Sites, key: Array) -> Array:
    """Logits [lm] with a draw of the family's and the run's effect, given what was seen of them."""
    residual = jnp.where(e.seen, e.score - sites["mean_score"], 0.0)
    spreads = sites["family_spread"], sites["run_spread"]
    return sites["logit"] + draw_effects(e.groups, residual, sites["reach"], sites["precision"], *spreads, key)


def predict(density: Density, e: Evidence, x: Float[Array, "draw n"], key: Array) -> Predictive:
    """One predictive draw for each posterior draw. With n items unknown, the law's own number of items is used."""

    def one(x: Array, key: Array) -> tuple[Array, Array, Array]:
        key_effects, key_scatter, key_items = jax.random.split(key, 3)
        sites = density.constrain(x, e)
        logit = _with_effects(e, sites, key_effects)
        own = logit + sites["spread"] * jax.random.normal(key_scatter, logit.shape, logit.dtype)
        chance = links.link(own, e.floor, sites["ceiling"])
        n = jnp.where(jnp.isnan(e.n_items), sites["items"], e.n_items)
        counted = jax.random.binomial(key_items, jnp.where(jnp.isnan(e.n_items), 1.0, n), chance) / n
        noise = jnp.sqrt(links.item_variance(chance, n)) * jax.random.normal(key_items, chance.shape, chance.dtype)
        score = jnp.where(jnp.isnan(e.n_items), jnp.clip(chance + noise, 0.0, 1.0), counted)
        return links.link(logit, e.floor, sites["ceiling"]), score, sites["salient_loss"]

    return Predictive(*jax.vmap(one)(x, jax.random.split(key, len(x))))


def log_score(
    density: Density, e: Evidence, x: Float[Array, "draw n"], observed: Float[Array, " lm"], key: Array
) -> Float[Array, " lm"]:
    """log of the predictive density of `observed`: the mean over draws of a normal density in each."""

    def one(x: Array, key: Array) -> Array:
        sites = density.constrain(x, e)
        logit = _with_effects(e, sites, key)
        mean = links.link(logit, e.floor, sites["ceiling"])
        n = jnp.where(jnp.isnan(e.n_items), sites["items"], e.n_items)
        scatter = links.link_slope(logit, e.floor, sites["ceiling"]) * sites["spread"]
        return norm.logpdf(observed, mean, jnp.sqrt(links.item_variance(mean, n) + scatter**2))

    each = jax.vmap(one)(x, jax.random.split(key, len(x)))
    return logsumexp(each, axis=0) - jnp.log(len(x))
