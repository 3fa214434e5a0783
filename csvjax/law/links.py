"""From a logit to a mean score: between floor and ceiling, or a number in the unit of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from csvjax.data.scales import Scale
from csvjax.types import AnyArray

__all__ = ["Standard", "fractions", "in_units", "link", "link_slope", "standard_of", "standardised"]


def link(
    logit: Float[AnyArray, "*s"], floor: Float[AnyArray, "*#s"], ceiling: Float[AnyArray, "*#s"]
) -> Float[Array, "*s"]:
    """mu = floor + (ceiling - floor) sigmoid(logit), the mean score as a fraction of items."""
    return jax.nn.sigmoid(logit) * (ceiling - floor) + floor


def link_slope(
    logit: Float[AnyArray, "*s"], floor: Float[AnyArray, "*#s"], ceiling: Float[AnyArray, "*#s"]
) -> Float[Array, "*s"]:
    """d mu / d logit = (ceiling - floor) sigmoid(logit) sigmoid(-logit)."""
    return jax.nn.sigmoid(logit) * jax.nn.sigmoid(-logit) * (ceiling - floor)


_ENOUGH, _QUARTILES = 8, 1.349  # scores; interquartile range of a standard normal distribution


class Standard(NamedTuple):
    """How scores without bounds are standardised, so that more is better: (g(score) - centre) / unit.

    bounded: fractions, which stay unchanged. logged: whether g is the logarithm. unit: negative if lower scores are
    better.
    """

    bounded: Bool[AnyArray, " benchmark"]
    logged: Bool[AnyArray, " benchmark"]
    centre: Float[AnyArray, " benchmark"]
    unit: Float[AnyArray, " benchmark"]


def fractions(benchmarks: int) -> Standard:
    """The standard of a table that contains only fractions."""
    return Standard(np.ones(benchmarks, bool), np.zeros(benchmarks, bool), np.zeros(benchmarks), np.ones(benchmarks))


def standard_of(
    score: Float[np.ndarray, "lm benchmark"], seen: Bool[np.ndarray, "lm benchmark"], scales: Sequence[Scale]
) -> Standard:
    """Centre and unit of the scores `seen` of each benchmark without bounds.

    With eight scores or more these are the median and the interquartile range (converted to the standard deviation of a
    normal distribution), so that a typing error does not change the unit; otherwise mean and standard deviation.

    If the scores do not vary, the unit is a tenth of their size, or 1.
    """
    found = fractions(len(scales))
    for b, scale in enumerate(scales):
        if scale.bounded:
            continue
        value = score[seen[:, b], b]
        value = np.log(value) if scale.link == "log" else value
        centre, unit = (float(value.mean()), float(value.std())) if len(value) else (0.0, 1.0)
        low, middle, high = np.quantile(value, [0.25, 0.5, 0.75]) if len(value) >= _ENOUGH else (0.0, centre, 0.0)
        if high > low:
            centre, unit = float(middle), float(high - low) / _QUARTILES
        if not unit > 1e-9 * max(1.0, abs(centre)):
            unit = 1.0 if scale.link == "log" else 0.1 * abs(centre) or 1.0
        found.bounded[b], found.logged[b] = False, scale.link == "log"
        found.centre[b], found.unit[b] = centre, unit if scale.better == "higher" else -unit
    return found


def standardised(standard: Standard, score: Float[np.ndarray, "... benchmark"]) -> Float[np.ndarray, "... benchmark"]:
    """Scores in the units of the table, converted to those of the law."""
    g = np.where(standard.logged, np.log(np.where(standard.logged & (score > 0), score, 1.0)), score)
    return np.where(standard.bounded, score, (g - standard.centre) / standard.unit)


def in_units(standard: Standard, value: Float[AnyArray, "... benchmark"]) -> Float[Array, "... benchmark"]:
    """The inverse of `standardised`."""
    g = standard.centre + standard.unit * value
    return jnp.where(
        standard.bounded, value, jnp.where(standard.logged, jnp.exp(jnp.where(standard.logged, g, 0.0)), g)
    )
