"""What one score says of its logit: the likelihood of a cell of the table, and its first two derivatives.

    n y ~ Binomial(n, floor + (ceiling - floor) sigmoid(u))        a score with bounds: a fraction of n items
    y   ~ Normal(u, GAUGE)                                          a score without bounds (Elo, nats), standardised

A score without bounds has nearly all of its noise in the residual of its cell; GAUGE keeps its information finite.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from csvjax.law.links import link, link_slope
from csvjax.types import AnyArray

__all__ = ["GAUGE", "Cells", "between", "expected", "item_slopes", "log_items", "score_logit"]

GAUGE = 0.03  # standard deviations of a score without bounds
_EDGE = 1e-12  # how near to 0 and 1 a chance of success may come


class Cells(NamedTuple):
    """What was observed. score: fraction, or standardised where not `bounded`; 0 where not seen."""

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
    """log of the density of a score at logit u: binomial probability of n y, times n + 1 for a fraction of n + 1
    values; gamma functions stand for factorials, so that n y need not be whole.

    Scores of exactly 0 and 1 count with the probability itself: as densities they would grow with n, and a few of them
    would send an unknown n to infinity.
    """
    y, n = jnp.where(cells.bounded, cells.score, 0.5), cells.n_items
    p = jnp.clip(link(u, cells.floor, cells.ceiling), _EDGE, 1 - _EDGE)
    count = jnp.log(n + 1) + log_factorial(n) - log_factorial(n * y) - log_factorial(n * (1 - y))
    fraction = jnp.where(between(y), count, 0.0) + n * (y * jnp.log(p) + (1 - y) * jnp.log1p(-p))
    number = -0.5 * ((cells.score - u) / GAUGE) ** 2 - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(GAUGE)
    return jnp.where(cells.bounded, fraction, number)


def log_factorial(x: Float[AnyArray, "*cell"]) -> Float[Array, "*cell"]:
    """log Gamma(x + 1) for x >= 0, to 1e-12: Stirling's series (Abramowitz and Stegun 1964, eq. 6.1.41) at x + 8, less
    the logarithm of the factors between. Its derivatives are as cheap; those of `gammaln` are not.
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
    """First and minus second derivative of log p(y | u), 0 where not seen.

    With a floor above 0 a score above what u says bends the other way, and with a ceiling below 1 one below it; unless
    `exact`, the second derivative is kept positive, and smooth, by a trace of Fisher's information.
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
    """Where the scores alone would put u, as if each had half an item more on each side."""
    share = (cells.score - cells.floor) / (cells.ceiling - cells.floor)
    half = 0.5 / (cells.n_items + 1)
    share = jnp.clip(share, half, 1 - half)
    own = jnp.where(cells.bounded, jnp.log(share) - jnp.log1p(-share), cells.score)
    return jnp.where(cells.seen, own, trend)
