"""How an observed score scatters around its logit: a residual of the model on this benchmark, and luck with its items.

    u ~ eta + spread * e,   e ~ Student-t(df) or Normal(0, 1)       what the law does not tell of this cell, in logits
    p = floor + (ceiling - floor) sigmoid(u)
    n y ~ Binomial(n, p)

The residual is integrated out cell by cell with Gauss-Hermite quadrature centred where the integrand peaks. A
first-order expansion around eta fails where it matters most: near the floor the link has no slope, so a score that
rises by chance would have to be explained by the law itself.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, logsumexp
from jaxtyping import Array, Float

from csvjax.laws.links import link, link_slope
from csvjax.types import AnyArray

__all__ = ["log_score_density"]

_NODES, _WEIGHTS = np.polynomial.hermite.hermgauss(9)
_LOG_WEIGHTS = np.log(_WEIGHTS) + _NODES**2
_STEPS = 5  # of Fisher scoring towards the peak; the result does not depend on it, only the error of the quadrature
_EDGE = 1e-12  # how near to 0 and 1 a chance of success may come


def _log_count(y: Array, n: Array) -> Array:
    """log (n + 1) n! / ((n y)! (n - n y)!): the density of a fraction of n + 1 values; n y need not be whole."""
    return jnp.log(n + 1) + gammaln(n + 1) - gammaln(n * y + 1) - gammaln(n * (1 - y) + 1)


def _log_items(y: Array, n: Array, p: Array) -> Array:
    """log of the probability of n y solved items in their order, each with chance p."""
    p = jnp.clip(p, _EDGE, 1 - _EDGE)
    return n * (y * jnp.log(p) + (1 - y) * jnp.log1p(-p))


def _peak(y: Array, n: Array, eta: Array, spread: Array, floor: Array, ceiling: Array) -> tuple[Array, Array]:
    """Place and width, in logits, of the peak of Binomial(n y; n, p(u)) Normal(u; eta, spread)."""
    prior = 1 / spread**2

    def parts(u: Array) -> tuple[Array, Array]:
        p = jnp.clip(link(u, floor, ceiling), _EDGE, 1 - _EDGE)
        slope = link_slope(u, floor, ceiling)
        weight = n * slope / (p * (1 - p))
        return weight * (y - p), weight * slope

    # Where the score alone would put u, as if there were half an item more on each side.
    share = jnp.clip((y - floor) / (ceiling - floor), 0.5 / (n + 1), 1 - 0.5 / (n + 1))
    alone = jnp.log(share) - jnp.log1p(-share)
    info = parts(alone)[1]
    u = (info * alone + prior * eta) / (info + prior)

    def step(_: int, u: Array) -> Array:
        pull, info = parts(u)
        return u + jnp.clip((pull - prior * (u - eta)) / (info + prior), -2.0, 2.0)

    u = jax.lax.fori_loop(0, _STEPS, step, u)
    return u, 1 / jnp.sqrt(parts(u)[1] + prior)


def _log_residual(e: Array, df: float | None) -> Array:
    if df is None:
        return -0.5 * e**2 - 0.5 * math.log(2 * math.pi)
    tail = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return tail - (df + 1) / 2 * jnp.log1p(e**2 / df)


def log_score_density(
    y: Float[AnyArray, "*#s"],
    n_items: Float[AnyArray, "*#s"],
    eta: Float[AnyArray, "*#s"],
    spread: Float[AnyArray, "*#s"],
    floor: Float[AnyArray, "*#s"],
    ceiling: Float[AnyArray, "*#s"],
    df: float | None = None,
) -> Float[Array, "*s"]:
    """log p(y | eta) of each cell, the residual integrated out.

    y: fractions. eta, spread: logits. df: degrees of freedom of the residual (None: normal).
    """
    y, n, eta, spread, floor, ceiling = jnp.broadcast_arrays(y, n_items, eta, spread, floor, ceiling)
    node, log_weight = (jnp.asarray(a).reshape(-1, *(1,) * eta.ndim) for a in (_NODES, _LOG_WEIGHTS))

    def at_nodes(centre: Array, width: Array, args: tuple[Array, ...]) -> Array:
        """log of integrand and weight [node, ...]."""
        y, n, eta, spread, floor, ceiling = args
        u = centre + math.sqrt(2) * width * node
        return _log_items(y, n, link(u, floor, ceiling)) + _log_residual((u - eta) / spread, df) + log_weight

    # The integral does not depend on where its nodes lie, so no derivative has to pass through them.
    fixed = jax.lax.stop_gradient((y, n, eta, spread, floor, ceiling))
    centre, width = _peak(*fixed)
    share = jax.nn.softmax(at_nodes(centre, width, fixed), axis=0)
    mean, square = jnp.sum(share * node, axis=0), jnp.sum(share * node**2, axis=0)
    # Where the integrand is skew, its mean and deviation are better places than its peak.
    centre = centre + math.sqrt(2) * width * mean
    width = width * jnp.sqrt(2 * jnp.maximum(square - mean**2, 0.05))
    total = at_nodes(centre, width, (y, n, eta, spread, floor, ceiling))
    return _log_count(y, n) + logsumexp(total, axis=0) + jnp.log(math.sqrt(2) * width / spread)
