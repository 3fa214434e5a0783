"""Draws of what the joint law integrates out, capabilities of models, and the probability of each score given them."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from csvjax.law.density import Density, Sites
from csvjax.laws.joint_field import Cells, draw_factors, item_slopes, log_items, score_logit
from csvjax.laws.joint_model import JointEvidence
from csvjax.laws.joint_predictive import field_of
from csvjax.types import AnyArray

__all__ = ["JointCells", "draw_cells", "log_score_given_logit"]

_BATCH = 20
_BREAKS = (-8.0, -5.0, -2.5, 0.0, 2.5, 5.0, 8.0)  # in standard deviations; the tail beyond 8 is below 1e-15
_NODES, _WEIGHTS = (tuple(map(float, a)) for a in np.polynomial.legendre.leggauss(8))
_STEPS = 25


class JointCells(NamedTuple):
    """One draw of capabilities, and of logits without the cell's own residual, for each draw of the parameters.

    log_likelihood: of a score observed for this model, given parameters and logit, its residual integrated out; nats,
    of a density of fractions, for scores of exactly 0 and 1 of their probability; NaN where there is no score.
    """

    capability: Float[Array, "draw lm capability"]
    logit: Float[Array, "draw lm benchmark"]
    log_likelihood: Float[Array, "draw lm benchmark"]


def log_score_given_logit(
    cells: Cells, eta: Float[Array, "lm benchmark"], spread: Float[AnyArray, " benchmark"]
) -> Float[Array, "lm benchmark"]:
    """log of the integral over e ~ Normal(0, 1) of p(y | eta + spread e), for every cell, seen or not.

    The integrand has two scales, that of the residual and that of thousands of items, and with a floor above 0 two
    places: around the mode, and where all guess. So the line is cut at multiples of both scales around both centres,
    and each piece has eight nodes of Gauss and Legendre.
    """
    spread = jnp.broadcast_to(jnp.maximum(spread, 1e-6), eta.shape)
    everywhere = cells._replace(seen=jnp.ones_like(cells.seen))

    def step(_: Array, u: Array) -> Array:
        gradient, information = item_slopes(everywhere, u)
        change = (gradient - (u - eta) / spread**2) / (information + 1 / spread**2)
        return u + jnp.clip(change, -2.0, 2.0)

    # From where the score would be, not from eta, where beyond floor or ceiling the likelihood may be flat.
    mode = jax.lax.fori_loop(0, _STEPS, step, score_logit(everywhere, eta))
    width = 1 / jnp.sqrt(item_slopes(everywhere, mode)[1] + 1 / spread**2)
    breaks = jnp.asarray(_BREAKS, eta.dtype)[:, None, None]
    cuts = jnp.sort(jnp.concatenate([eta + spread * breaks, mode + width * breaks]), axis=0)
    half, middle = jnp.diff(cuts, axis=0) / 2, (cuts[1:] + cuts[:-1]) / 2

    def at(node: Array, weight: Array) -> Array:
        u = middle + half * node
        inside = jax.vmap(partial(log_items, everywhere))(u) - 0.5 * ((u - eta) / spread) ** 2
        # A piece of no length has no part; its logarithm must not be asked for.
        return jnp.where(half > 0, inside + jnp.log(jnp.where(half > 0, half, 1.0)), -jnp.inf) + jnp.log(weight)

    terms = jax.vmap(at)(jnp.asarray(_NODES, eta.dtype), jnp.asarray(_WEIGHTS, eta.dtype))
    total = jax.scipy.special.logsumexp(terms, axis=(0, 1))
    return total - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(spread)


def _one(density: Density, e: JointEvidence, judged: JointEvidence, x: Array, key: Array) -> JointCells:
    sites: Sites = density.constrain(x, e)
    field, prior = field_of(sites, e)
    key_family, key_own = jax.random.split(key)
    common, r = draw_factors(field, prior, key_family, key_own)
    capabilities = sites["loading"].shape[1]
    capability = sites["capability_trend"] + r[:, :capabilities]
    if len(e.families):
        capability += (sites["family_spread"] * common[:, :capabilities])[e.family]
    if e.covariate.shape[1]:
        # A covariate that is not known of a model is a factor of its own, whose loadings are the gains.
        capability += jnp.where(e.known, 0.0, r[:, capabilities:]) @ sites["gain"]
    logit = prior.trend + jnp.einsum("mbk,mk->mb", prior.own, r)
    if len(e.families):
        logit += (common @ prior.shared.T)[e.family]
    cells = Cells(judged.score, judged.seen, sites["known_items"], sites["known_floor"], sites["ceiling"])
    log_p = log_score_given_logit(cells, logit, sites["spread"])
    return JointCells(capability, logit, jnp.where(judged.seen, log_p, jnp.nan))


@partial(jax.jit, static_argnames=("density",))
def draw_cells(
    density: Density, e: JointEvidence, judged: JointEvidence, x: Float[Array, "draw n"], key: Array
) -> JointCells:
    """Capabilities and logits given the scores that `e` has seen, and how probable those are that `judged` has.

    judged: `e` itself for the likelihood of what was fitted; evidence of the same models and benchmarks with other
    scores for those that were held out.
    """
    keys = jax.random.split(key, len(x))
    return jax.lax.map(lambda pair: _one(density, e, judged, *pair), (x, keys), batch_size=_BATCH)
