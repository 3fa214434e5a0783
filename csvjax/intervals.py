"""Intervals and the CRPS of a number whose distribution is given by draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["crps", "highest_density", "interval"]

Floats = NDArray[np.float64]


def crps(observed: ArrayLike, samples: ArrayLike) -> Floats:
    """Continuous ranked probability score of each cell, in the unit of y; smaller is better.

        CRPS(F, y) = E|X - y| - E|X - X'| / 2,   X, X' independent draws from F

    The second term is the mean over the S (S - 1) pairs of *different* draws, so that the estimate is unbiased for any
    number of draws; after sorting it costs S log S:  sum_{i<j} (x_(j) - x_(i)) = sum_i (2 i - S - 1) x_(i).

    Args:
        observed: y [...].
        samples: draws of X [draw, ...], at least two.

    Returns: the score [...], NaN where the observation is NaN.

    Source: Gneiting and Raftery 2007, J. Am. Stat. Assoc. 102, eqs. 20-21; Ferro 2014 for the unbiased form.
    """
    y, x = np.asarray(observed, float), np.sort(np.asarray(samples, float), axis=0)
    draws = x.shape[0]
    rank = np.arange(1 - draws, draws, 2, dtype=float)  # 2 i - S - 1 for i = 1..S
    spread = np.tensordot(rank, x, axes=(0, 0)) / (draws * (draws - 1))
    return np.asarray(np.abs(x - y).mean(axis=0) - spread)


def interval(samples: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Equal-tailed interval of probability `level` for each cell.

    The bounds are draws, not points between two draws: scores are k / n, so a bound is a score that can occur. The
    closed interval of a discrete prediction contains *at least* `level` of the probability; for a benchmark with few
    items a calibrated 90 % interval covers more than 90 %.

    Args:
        samples: draws [draw, ...].
        level: probability, such as 0.9.

    Returns: lower and upper bounds, each [...].
    """
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(np.asarray(samples, float), [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    return lower, upper


def highest_density(samples: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """The shortest interval of each cell that contains the share `level` of its draws.

    The bounds are draws, as for `interval`. An infinite draw is further away than any other draw.

    Args:
        samples: draws [draw, ...].
        level: probability, such as 0.9.

    Returns: lower and upper bounds, each [...].
    """
    x = np.sort(np.asarray(samples, float), axis=0)
    inside = min(max(int(np.ceil(level * len(x))), 1), len(x))
    lower, upper = x[: len(x) - inside + 1], x[inside - 1 :]
    with np.errstate(invalid="ignore"):
        size = np.where(np.isnan(upper - lower), np.inf, upper - lower)
    at = size.argmin(axis=0)[None]
    return np.take_along_axis(lower, at, 0)[0], np.take_along_axis(upper, at, 0)[0]
