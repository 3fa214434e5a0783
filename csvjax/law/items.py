"""The likelihood of one score given its logit, and its first two derivatives.

    n y ~ Binomial(n, floor + (ceiling - floor) sigmoid(u))        a score with bounds: a fraction of n items
    y   ~ Normal(u, GAUGE)                                          a score without bounds (Elo, nats), standardised

Nearly all of the noise of a score without bounds is the residual of its cell; GAUGE keeps its information finite.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from csvjax.law.links import link, link_slope
from csvjax.types import AnyArray

__all__ = ["GAUGE", "Cells", "between", "expected", "item_slopes", "log_items", "score_logit"]

GAUGE = 0.03  # noise of a score without bounds, in its standard deviations
_EDGE = 1e-12  # least distance of a probability from 0 and 1


class Cells(NamedTuple):
    """The observed scores. score: fraction, or standardised where not `bounded`; 0 where not seen."""

    score: Float[AnyArray, "lm benchmark"]
    seen: Bool[AnyArray, "lm benchmark"]
    n_items: Float[AnyArray, " benchmark"]
    floor: Float[AnyArray, " benchmark"]
    ceiling: Float[AnyArray, " benchmark"]
    bounded: Bool[AnyArray, " benchmark"]


def expected(cells: Cells, u: Float[Array, "lm benchmark"]) -> Float[Array, "lm benchmark"]:
    """The mean score at logit u: floor + (ceiling - floor) sigmoid(u), or u itself for a score without bounds."""
    return jnp.where(cells.bounded, link(u, cells.floor, cells.ceiling), u)


def log_items(cells: Cells, u: Float[Array, "lm benchmark"]) -> Float[Array, "lm benchmark"]:
    """Log density of a score at logit u: the binomial probability of n y, times n + 1 because a fraction has n + 1
    values. Gamma functions replace factorials, so n y need not be whole.

    Scores of exactly 0 and 1 count with their probability: their density would grow with n, and a few of them would
    drive an unknown n to infinity.
    """
    y, n = jnp.where(cells.bounded, cells.score, 0.5), cells.n_items
    p = jnp.clip(link(u, cells.floor, cells.ceiling), _EDGE, 1 - _EDGE)
    count = jnp.log(n + 1) + log_factorial(n) - log_factorial(n * y) - log_factorial(n * (1 - y))
    fraction = jnp.where(between(y), count, 0.0) + n * (y * jnp.log(p) + (1 - y) * jnp.log1p(-p))
    number = -0.5 * ((cells.score - u) / GAUGE) ** 2 - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(GAUGE)
    return jnp.where(cells.bounded, fraction, number)


def log_factorial(x: Float[AnyArray, "*cell"]) -> Float[Array, "*cell"]:
    """log Gamma(x + 1) for x >= 0, to 1e-12: Stirling's series (Abramowitz and Stegun 1964, eq. 6.1.41) at x + 8, minus
    the logarithm of the factors from x + 1 to x + 7. Its derivatives are cheap, unlike those of `gammaln`.
    """
    z = x + 8.0
    square = 1 / z**2
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))) / z
    between = (x + 1) * (x + 2) * (x + 3) * (x + 4) * (x + 5) * (x + 6) * (x + 7)
    return jnp.asarray((z - 0.5) * jnp.log(z) - z + 0.5 * math.log(2 * math.pi) + series - jnp.log(between))


def between(score: AnyArray) -> AnyArray:
    """Whether a score is neither 0 nor 1."""
    return (score > _EDGE) & (score < 1 - _EDGE)


def item_slopes(cells: Cells, u: Array, exact: Array | bool = False) -> tuple[Array, Array]:
    """First derivative and minus second derivative of log p(y | u), 0 where not seen.

    With a floor above 0, the likelihood of a score above its mean is not concave in u; with a ceiling below 1, that of
    a score below its mean. Unless `exact`, the second derivative is kept positive and smooth by adding a small part of
    Fisher's information.
    """
    p = jnp.clip(link(u, cells.floor, cells.ceiling), _EDGE, 1 - _EDGE)
    slope = link_slope(u, cells.floor, cells.ceiling)
    ratio = slope / (p * (1 - p))
    weight = jnp.where(cells.seen, cells.n_items * ratio, 0.0)
    bend = (cells.score - p) * (-jnp.tanh(u / 2) - ratio * (1 - 2 * p))  # 1 - 2 sigmoid(u) = -tanh(u / 2)
    straight = slope - bend
    positive = 0.5 * (straight + jnp.sqrt(straight**2 + (0.1 * slope) ** 2))
    fraction = weight * (cells.score - p), weight * jnp.where(exact, straight, positive)
    certain = jnp.where(cells.seen, 1 / GAUGE**2, 0.0)
    return (
        jnp.where(cells.bounded, fraction[0], certain * (cells.score - u)),
        jnp.where(cells.bounded, fraction[1], certain),
    )


def score_logit(cells: Cells, trend: Array) -> Array:
    """The logit that a score alone suggests, after adding half a right and half a wrong answer."""
    share = (cells.score - cells.floor) / (cells.ceiling - cells.floor)
    half = 0.5 / (cells.n_items + 1)
    share = jnp.clip(share, half, 1 - half)
    own = jnp.where(cells.bounded, jnp.log(share) - jnp.log1p(-share), cells.score)
    return jnp.where(cells.seen, own, trend)
