"""Simulation-based calibration: does a method give correct posterior draws for data sets drawn from the prior?

    parameters ~ prior,   data ~ p(data | parameters),   draws ~ the posterior of the method

If the method is correct, the rank of a true value among its draws is uniform, for any scalar function of parameters and
new data (Talts et al. 2018, arXiv 1804.06788, theorem 1). The empirical distribution of the ranks is compared with a
band that contains it at all points at once with a given probability (Säilynoja, Bürkner and Vehtari 2022, Stat. Comput.
32, 32, section 2.2, by simulation).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

from csvjax.errors import InputError

__all__ = ["Band", "Verdict", "judge", "positions", "simultaneous_band"]

_POINTS = 100  # points at which the distributions are compared
_SIMULATED = 20_000
_CLEAR = 2.5  # standard errors from which a deviation is reported


def positions(
    truth: Float[np.ndarray, " sim"], draws: Float[np.ndarray, "sim draw"], rng: np.random.Generator
) -> Float[np.ndarray, " sim"]:
    """Positions of true values among their draws in (0, 1); uniform if truth and draws are exchangeable.

        (rank + U (ties + 1)) / (draws + 1),   U ~ Uniform(0, 1)

    Args:
        truth: true values [sim].
        draws: draws for each of them [sim, draw]. The rank is the number of draws below the truth; ties, which scores
            with few items have, are broken at random.
        rng: the generator of U.

    Raises: InputError for a value that is not finite.
    """
    if not (np.all(np.isfinite(truth)) and np.all(np.isfinite(draws))):
        raise InputError("expected finite values and draws, found others; check the fits that gave them")
    below = np.sum(draws < truth[:, None], axis=1)
    ties = np.sum(draws == truth[:, None], axis=1)
    return (below + rng.random(len(truth)) * (ties + 1)) / (draws.shape[1] + 1)


@dataclass(frozen=True, eq=False)
class Band:
    """A simultaneous band for the empirical distribution of uniform positions.

    Attributes:
        sims: number of positions.
        probability: probability with which the band contains the whole distribution.
        at: points at which it is compared [point].
        lower: lower limit, a share [point].
        upper: upper limit, a share [point].
        smallest: for each simulated uniform sample, twice its smallest tail probability at any point, sorted
            [simulated].
    """

    sims: int
    probability: float
    at: Float[np.ndarray, " point"]
    lower: Float[np.ndarray, " point"]
    upper: Float[np.ndarray, " point"]
    smallest: Float[np.ndarray, " simulated"]


def _smallest_tail(counts: np.ndarray, sims: int, at: np.ndarray) -> np.ndarray:
    """2 min over points of P(Binomial <= count) and P(Binomial >= count), for each row of counts."""
    values = np.arange(sims + 1)
    low = binom.cdf(values, sims, at[:, None])
    high = binom.sf(values - 1, sims, at[:, None])
    tail = np.minimum(low, high)
    return 2 * np.min(tail[np.arange(len(at)), counts], axis=1)


@cache
def simultaneous_band(sims: int, probability: float = 0.95) -> Band:
    """The band that contains the whole empirical distribution of `sims` uniform values with this probability."""
    rng = np.random.default_rng(0)
    at = np.arange(1, _POINTS) / _POINTS
    cells = rng.multinomial(sims, np.full(_POINTS, 1 / _POINTS), size=_SIMULATED)
    smallest = np.sort(_smallest_tail(np.cumsum(cells, axis=1)[:, :-1], sims, at))
    gamma = smallest[int((1 - probability) * _SIMULATED)]
    lower, upper = np.asarray(binom.ppf(gamma / 2, sims, at)), np.asarray(binom.isf(gamma / 2, sims, at))
    return Band(sims, probability, at, lower / sims, upper / sims, smallest)


@dataclass(frozen=True)
class Verdict:
    """The calibration of one method for one scalar quantity.

    Attributes:
        name: name of the quantity.
        inside: whether the band contains the distribution of the positions.
        p: probability of a distribution at least as far from uniform, if the method is correct.
        shift: standard errors by which the mean position is above 1/2 (above 0: draws are too low).
        excess: standard errors by which positions scatter more than uniform ones (above 0: draws are too narrow).
        inside50: share of true values in the central 50 % intervals.
        inside90: share of true values in the central 90 % intervals.
        sims: number of simulations.
        probability: probability of the band.
    """

    name: str
    inside: bool
    p: float
    shift: float
    excess: float
    inside50: float
    inside90: float
    sims: int
    probability: float

    @property
    def deviation(self) -> str:
        """How the draws deviate: the words too narrow, too wide, too low and too high that clearly apply."""
        named = [word for z, word in ((self.excess, "too narrow"), (-self.excess, "too wide")) if z > _CLEAR]
        named += [word for z, word in ((self.shift, "too low"), (-self.shift, "too high")) if z > _CLEAR]
        return " and ".join(named) or "neither clearly shifted nor clearly too narrow or too wide"

    def __str__(self) -> str:
        where = "inside" if self.inside else "outside"
        deviation = "" if self.inside else f": draws are {self.deviation}"
        return (
            f"{self.name}: {where} the {self.probability:.0%} band of {self.sims} simulations (p = {self.p:.2g})"
            f"{deviation}; 90 % intervals contain {self.inside90:.1%}, 50 % intervals {self.inside50:.1%}"
        )


def judge(name: str, position: Float[np.ndarray, " sim"], probability: float = 0.95) -> Verdict:
    """Judge the calibration of one quantity by the positions of its true values among the draws of a method."""
    sims = len(position)
    band = simultaneous_band(sims, probability)
    counts = np.sum(position[:, None] <= band.at, axis=0)
    tail = _smallest_tail(counts[None], sims, band.at)[0]
    p = (1 + np.searchsorted(band.smallest, tail, side="right")) / (1 + len(band.smallest))
    away = np.abs(position - 0.5)
    return Verdict(
        name,
        inside=bool(p > 1 - probability),
        p=float(p),
        shift=float((np.mean(position) - 0.5) * np.sqrt(12 * sims)),
        # For a uniform u, 12 (u - 1/2)^2 has mean 1 and variance 4/5.
        excess=float((12 * np.mean(away**2) - 1) / np.sqrt(0.8 / sims)),
        inside50=float(np.mean(away <= 0.25)),
        inside90=float(np.mean(away <= 0.45)),
        sims=sims,
        probability=probability,
    )
