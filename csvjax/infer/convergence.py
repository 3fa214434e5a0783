"""Whether chains agree: rank-normalised split r-hat and effective sample sizes, for every column of draws.

Source: Vehtari, Gelman, Simpson, Carpenter and Buerkner 2021, Bayesian Analysis 16(2), sections 3 and 4.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
from scipy.special import ndtri

__all__ = ["bulk_ess", "rhat", "tail_ess"]

Draws = Float[np.ndarray, "chain draw *shape"]
Each = Float[np.ndarray, "*shape"]


def _halves(x: np.ndarray) -> np.ndarray:
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def _normal_ranks(x: np.ndarray) -> np.ndarray:
    # With pandas, because importing scipy.stats takes half a second, which every fit would wait for.
    ranks = pd.DataFrame(x.reshape(x.shape[0] * x.shape[1], -1)).rank().to_numpy().reshape(x.shape)
    return ndtri((ranks - 0.375) / (x.shape[0] * x.shape[1] + 0.25))


def _unless(constant: np.ndarray, value: np.ndarray | np.floating, otherwise: float) -> np.ndarray:
    return np.asarray(np.where(constant, otherwise, value))


def _constant(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.ptp(x, axis=(0, 1)) == 0)


def rhat(x: Draws) -> Each:
    """The larger of two split r-hats: of the ranks, and of the ranks of the distance from the median."""
    folded = np.abs(x - np.median(x, axis=(0, 1)))
    with np.errstate(all="ignore"):
        both = [split_gelman_rubin(_normal_ranks(part)) for part in (x, folded)]
    return _unless(_constant(x), np.maximum(*both), 1.0)


def _ess(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return _unless(_constant(x), effective_sample_size(_halves(x)), float(x.shape[0] * x.shape[1]))


def bulk_ess(x: Draws) -> Each:
    """Effective number of draws for the middle of the distribution."""
    return _ess(_normal_ranks(x))


def tail_ess(x: Draws) -> Each:
    """Effective number of draws for the 5 % and the 95 % quantile: the smaller of the two."""
    lower, upper = np.quantile(x, [0.05, 0.95], axis=(0, 1))
    return np.asarray(np.minimum(_ess((x <= lower) * 1.0), _ess((x <= upper) * 1.0)))
