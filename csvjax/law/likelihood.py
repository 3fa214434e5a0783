"""The probability of a score given its logit, with the residual of its cell integrated out by quadrature."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from csvjax.law.field import log_residual
from csvjax.law.items import Cells, item_slopes, log_items, score_logit
from csvjax.types import AnyArray

__all__ = ["log_score_given_logit"]

_BREAKS = (-8.0, -5.0, -2.5, 0.0, 2.5, 5.0, 8.0)  # in standard deviations; the tail beyond 8 is below 1e-15
_FAR = (-200.0, -60.0, -20.0, 20.0, 60.0, 200.0)  # for a t residual; with 4 degrees, the tail beyond is below 1e-8
_NODES, _WEIGHTS = (tuple(map(float, a)) for a in np.polynomial.legendre.leggauss(8))
_STEPS = 25


def log_score_given_logit(
    cells: Cells, eta: Float[Array, "lm benchmark"], spread: Float[AnyArray, " benchmark"], tail: float = 0.0
) -> Float[Array, "lm benchmark"]:
    """log of the integral over e of p(y | eta + spread e), for every cell, seen or not; e ~ Normal(0, 1), or Student t
    with 1 / tail degrees of freedom.

    The integrand has two scales, of the residual and of thousands of items. With a floor above 0 it also has two peaks:
    the mode, and the region where all models guess. So the line is cut at multiples of both scales around both centres,
    and each piece gets eight Gauss-Legendre nodes. A t residual adds a third peak, at the logit that the score alone
    suggests, and tails.
    """
    spread = jnp.broadcast_to(jnp.maximum(spread, 1e-6), eta.shape)
    everywhere = cells._replace(seen=jnp.ones_like(cells.seen))

    def step(_: Array, u: Array) -> Array:
        gradient, information = item_slopes(everywhere, u)
        change = (gradient - (u - eta) / spread**2) / (information + 1 / spread**2)
        return u + jnp.clip(change, -2.0, 2.0)

    # Start at the logit of the score, not at eta: beyond the floor or ceiling the likelihood may be flat there.
    mode = jax.lax.fori_loop(0, _STEPS, step, score_logit(everywhere, eta))
    width = 1 / jnp.sqrt(item_slopes(everywhere, mode)[1] + 1 / spread**2)
    breaks = jnp.asarray(_BREAKS, eta.dtype)[:, None, None]
    places = [eta + spread * breaks, mode + width * breaks]
    if tail:
        far = jnp.asarray(_FAR, eta.dtype)[:, None, None]
        peak = score_logit(everywhere, eta)
        own = 1 / jnp.sqrt(item_slopes(everywhere, peak)[1] + 1 / (_FAR[-1] * spread) ** 2)
        places += [eta + spread * far, eta + far, peak + own * breaks]
        places += [eta + breaks, peak + breaks]  # the scale of the link is 1
    cuts = jnp.sort(jnp.concatenate(places), axis=0)
    half, middle = jnp.diff(cuts, axis=0) / 2, (cuts[1:] + cuts[:-1]) / 2

    def at(node: Array, weight: Array) -> Array:
        u = middle + half * node
        inside = jax.vmap(partial(log_items, everywhere))(u) + log_residual(tail, (u - eta) / spread)
        # A piece of length zero contributes nothing; its logarithm must not be taken.
        return jnp.where(half > 0, inside + jnp.log(jnp.where(half > 0, half, 1.0)), -jnp.inf) + jnp.log(weight)

    terms = jax.vmap(at)(jnp.asarray(_NODES, eta.dtype), jnp.asarray(_WEIGHTS, eta.dtype))
    total = jax.scipy.special.logsumexp(terms, axis=(0, 1))
    return total - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(spread)
