"""Errors, proper scoring rules and calibration of predictions, over the observed cells.

A cell is the score of one model on one benchmark. A cell whose *observation* is NaN is left out. An observed cell whose
*prediction* is NaN makes the result NaN, because a method must not look better for the cells that it does not predict.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from scipy.stats import rankdata

from csvjax.intervals import crps, highest_density, interval

__all__ = [
    "calibration_error",
    "coverage",
    "crps",
    "decision_accuracy",
    "highest_density",
    "interval",
    "log_density",
    "log_score",
    "mae",
    "pit",
    "r2",
    "rank_correlation",
    "rmse",
    "width",
]

Floats = NDArray[np.float64]

# A score k / n and a bound k / n may differ by rounding (float32, text files); no benchmark has a million items.
ROUNDING = 1e-6


def _observed(observed: ArrayLike, *others: ArrayLike) -> tuple[Floats, ...]:
    """The observed cells of every array, flattened: shapes [...] -> [cell]."""
    first = np.asarray(observed, float)
    known = ~np.isnan(first)
    return (first[known], *(np.broadcast_to(np.asarray(o, float), first.shape)[known] for o in others))


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")


def rmse(observed: ArrayLike, predicted: ArrayLike) -> float:
    """sqrt(mean((y - yhat)^2)), in the unit of y; shapes [...]. The best point prediction is the mean."""
    y, yhat = _observed(observed, predicted)
    return float(np.sqrt(_mean((y - yhat) ** 2)))


def mae(observed: ArrayLike, predicted: ArrayLike) -> float:
    """mean(|y - yhat|), in the unit of y; shapes [...]. The best point prediction is the median."""
    y, yhat = _observed(observed, predicted)
    return _mean(np.abs(y - yhat))


def r2(observed: ArrayLike, predicted: ArrayLike) -> float:
    """1 - sum((y - yhat)^2) / sum((y - mean(y))^2), sums and mean over the observed cells; shapes [...].

    The reference is the mean of the *held-out* observations, which no method knows, so an R2 of 0 is hard to reach. NaN
    if the held-out observations do not differ.
    """
    y, yhat = _observed(observed, predicted)
    total = float(np.sum((y - y.mean()) ** 2)) if y.size else 0.0
    return 1.0 - float(np.sum((y - yhat) ** 2)) / total if total > 0 else float("nan")


def coverage(observed: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of the observed cells inside their closed interval; shapes [...]."""
    y, low, high = _observed(observed, lower, upper)
    inside = ((y >= low - ROUNDING) & (y <= high + ROUNDING)).astype(float)
    return _mean(np.where(np.isnan(low + high), np.nan, inside))


def width(observed: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Mean width of the intervals of the observed cells, in the unit of y; shapes [...]."""
    _, low, high = _observed(observed, lower, upper)
    return _mean(high - low)


def log_score(log_density: ArrayLike) -> Floats:
    """-log mean_s p(y | draw s) in nats; smaller is better. log_density of the observed y: [draw, ...] -> [...]."""
    log_p = np.asarray(log_density, float)
    return np.asarray(np.log(log_p.shape[0]) - logsumexp(log_p, axis=0))


def pit(observed: ArrayLike, samples: ArrayLike, rng: np.random.Generator) -> Floats:
    """Probability integral transform of each cell, randomised where draws tie with the observation.

        u = (#{x < y} + V (#{x = y} + 1)) / (S + 1),   V ~ Uniform(0, 1)

    If the observation is exchangeable with the S draws, u is exactly uniform, for discrete scores as well.

    Args:
        observed: y [...].
        samples: draws x [draw, ...].
        rng: the generator of V.

    Returns: u [...], NaN where the observation is NaN.

    Source: Czado, Gneiting and Held 2009, Biometrics 65 (the randomised transform), with the rank of y among S + 1.
    """
    y, x = np.asarray(observed, float), np.asarray(samples, float)
    equal = np.isclose(x, y, rtol=0.0, atol=ROUNDING)
    below = np.sum((x < y) & ~equal, axis=0)
    u = (below + rng.uniform(size=y.shape) * (equal.sum(axis=0) + 1)) / (x.shape[0] + 1)
    return np.where(np.isnan(y) | np.isnan(x).any(axis=0), np.nan, u)


def log_density(observed: ArrayLike, samples: ArrayLike) -> Floats:
    """Log of a kernel estimate of the density of the draws at the observation, in nats; larger is better.

        p(y) = (1 - e) mean_s Normal(y; x_s, h) + e Uniform(0, 1),   e = 1 / (S + 1)
        h = 0.9 min(deviation, interquartile range / 1.34) S^(-1/5), at least 0.005

    For methods that give draws but no density. The uniform part is the probability that S draws leave for scores far
    from all of them. The smallest width, half a percentage point, is the resolution of published scores.

    Args:
        observed: y, fractions [...].
        samples: draws x, fractions [draw, ...].

    Returns: log p(y) [...], NaN where observation or draws are NaN.

    Source: Krueger et al. 2021, Int. Stat. Rev. 89, section 3 (kernel scores of draws); Silverman 1986, eq. 3.31 for h.
    """
    y, x = np.asarray(observed, float), np.asarray(samples, float)
    count = x.shape[0]
    quarters = np.quantile(x, [0.25, 0.75], axis=0)
    spread = np.minimum(x.std(axis=0), (quarters[1] - quarters[0]) / 1.34)
    width = np.maximum(0.9 * spread * count**-0.2, 0.005)
    log_kernel = -0.5 * ((y - x) / width) ** 2 - np.log(width * np.sqrt(2 * np.pi))
    rest = 1 / (count + 1)
    kernels = logsumexp(log_kernel, axis=0) - np.log(count) + np.log1p(-rest)
    return np.asarray(np.logaddexp(kernels, np.log(rest)))


def calibration_error(pit: ArrayLike) -> float:
    """Mean over the levels 10, 20, ..., 90 % of |share of cells in the central interval - level|; shapes [...].

    A cell is in the central interval of level p if |2 u - 1| <= p. NaN values are left out.
    """
    u = np.asarray(pit, float)
    u = u[~np.isnan(u)]
    levels = np.arange(1, 10) / 10
    inside = np.abs(2 * u[:, None] - 1) <= levels
    return float(np.abs(inside.mean(axis=0) - levels).mean()) if u.size else float("nan")


def decision_accuracy(observed: ArrayLike, predicted: ArrayLike) -> float:
    """Share of the pairs of models that the predictions put in the observed order; a tie counts one half.

    Only pairs with different observations count.

    Args:
        observed: scores on one benchmark [lm].
        predicted: predicted scores [lm].

    Returns: the share; NaN if no two observations differ.

    Source: Magnusson et al. 2025, arXiv 2504.11393, section 3.
    """
    y, yhat = _observed(observed, predicted)
    above = np.sign(y[:, None] - y)
    right = 0.5 + 0.5 * above * np.sign(yhat[:, None] - yhat)
    return _mean(right[above > 0])


def rank_correlation(observed: ArrayLike, predicted: ArrayLike) -> float:
    """Spearman's rank correlation; both arrays [lm]. NaN if the values of one do not differ."""
    y, yhat = _observed(observed, predicted)
    a, b = (rankdata(v) - (len(v) + 1) / 2 for v in (y, yhat))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 and not np.isnan(yhat).any() else float("nan")
