"""Finds benchmarks that do not scale predictably, before anybody extrapolates their scores.

A benchmark scales predictably if its scores rise with scale, follow one smooth curve, and are above the floor for
enough models to show it. The kinds are those of Lourie et al. 2025 (arXiv 2507.00885, section 4), who sort 46 tasks by
eye and find 18 predictable. The rules and thresholds are ours; they were fixed beforehand and never tuned to that list:

    no trend       |Spearman's rho| < 0.3, or not significant at the 1 % level
    inverse        scores fall with the scale
    not monotone   a parabola explains at least 0.1 more of the variance than the best monotone curve
    breakthrough   fewer than a quarter of the models are more than a tenth of the range above the floor, and the best
                   one is more than three tenths above it
    noisy          the best monotone curve explains less than 0.8 of the variance
    predictable    none of these
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression
from scipy.stats import spearmanr

from csvjax.errors import InputError

__all__ = ["Kind", "Reliability", "reliability"]

Kind = Literal["predictable", "no trend", "inverse", "not monotone", "breakthrough", "noisy"]

_SMALLEST_RHO, _LEVEL = 0.3, 0.01
_PARABOLA = 0.1
_SHARE_ABOVE, _STEP, _HIGH = 0.25, 0.1, 0.3
_SMALLEST_R2 = 0.8
_FEWEST = 5


class Reliability(NamedTuple):
    """How a benchmark scales.

    Attributes:
        kind: the kind, as listed above.
        rho: Spearman's rank correlation of score and scale.
        monotone: share of the variance that the best monotone curve explains.
        parabola: share of the variance that a parabola explains.
    """

    kind: Kind
    rho: float
    monotone: float
    parabola: float


def reliability(scale: Float[np.ndarray, " lm"], score: Float[np.ndarray, " lm"], floor: float = 0.0) -> Reliability:
    """The kind of one benchmark.

    Args:
        scale: a quantity that rises with capability, such as log compute or minus the loss [lm].
        score: fractions, NaN where unknown [lm].
        floor: score of random guessing.

    Raises: InputError for fewer than five models with score and scale.
    """
    known = ~np.isnan(scale) & ~np.isnan(score)
    if known.sum() < _FEWEST:
        raise InputError(f"expected at least {_FEWEST} models with a score and a scale, found {known.sum()}; give more")
    order = np.argsort(scale[known], kind="stable")
    x, y = scale[known][order], score[known][order]
    total = float(np.sum((y - y.mean()) ** 2))
    if total < 1e-12 or x[0] == x[-1]:
        return Reliability("no trend", 0.0, 0.0, 0.0)
    rank = spearmanr(x, y)
    rho = float(rank.statistic)
    monotone = 1 - float(np.sum((isotonic_regression(y, increasing=rho >= 0).x - y) ** 2)) / total
    z = (x - x.mean()) / x.std()
    parabola = 1 - float(np.sum((np.polyval(np.polyfit(z, y, 2), z) - y) ** 2)) / total
    return Reliability(_kind(y, rho, float(rank.pvalue), monotone, parabola, floor), rho, monotone, parabola)


def _kind(y: np.ndarray, rho: float, p: float, monotone: float, parabola: float, floor: float) -> Kind:
    if parabola - monotone >= _PARABOLA:
        return "not monotone"
    if abs(rho) < _SMALLEST_RHO or p > _LEVEL:
        return "no trend"
    if rho < 0:
        return "inverse"
    span = 1 - floor
    if np.mean(y > floor + _STEP * span) < _SHARE_ABOVE and y.max() > floor + _HIGH * span:
        return "breakthrough"
    return "noisy" if monotone < _SMALLEST_R2 else "predictable"
