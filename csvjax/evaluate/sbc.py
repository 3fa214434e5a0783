"""Simulation-based calibration: are posterior draws what they claim to be, over data sets drawn from the prior?

    parameters ~ prior,   data ~ p(data | parameters),   draws ~ what a method says of the posterior

If the method is right, the rank of a true value among its draws is uniform, for any scalar of parameters and new data
(Talts et al. 2018, arXiv 1804.06788, theorem 1). The empirical distribution of the ranks is held against a band that
holds it everywhere at once with a given probability (Säilynoja, Bürkner and Vehtari 2022, Stat. Comput. 32, 32,
section 2.2, by simulation).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

from csvjax.errors import InputError

__all__ = ["Band", "Verdict", "judge", "positions", "simultaneous_band"]

_POINTS = 100  # at which the distributions are compared
_SIMULATED = 20_000
_CLEAR = 2.5  # standard errors by which a deviation is named


def positions(
    truth: Float[np.ndarray, " sim"], draws: Float[np.ndarray, "sim draw"], rng: np.random.Generator
) -> Float[np.ndarray, " sim"]:
    """(rank + U (ties + 1)) / (draws + 1) in (0, 1), U ~ Uniform(0, 1): uniform if truth and draws are exchangeable.

    rank: draws below the truth. Ties, as of a score of few items, are broken at random.

    Raises: InputError for a truth or a draw that is no number.
    """
    if not (np.all(np.isfinite(truth)) and np.all(np.isfinite(draws))):
        raise InputError("expected finite values and draws, found others; look at the fits that they came from")
    below = np.sum(draws < truth[:, None], axis=1)
    ties = np.sum(draws == truth[:, None], axis=1)
    return (below + rng.random(len(truth)) * (ties + 1)) / (draws.shape[1] + 1)


@dataclass(frozen=True, eq=False)
class Band:
    """Of the empirical distribution of `sims` uniform positions. at, lower, upper [point]: shares.

    least [simulated]: in sorted order, twice the smallest tail probability that a uniform sample met at any point.
    """

    sims: int
    probability: float
    at: Float[np.ndarray, " point"]
    lower: Float[np.ndarray, " point"]
    upper: Float[np.ndarray, " point"]
    least: Float[np.ndarray, " simulated"]


def _least(counts: np.ndarray, sims: int, at: np.ndarray) -> np.ndarray:
    """2 min over points of P(Binomial <= count) and P(Binomial >= count), of each row of counts."""
    values = np.arange(sims + 1)
    low = binom.cdf(values, sims, at[:, None])
    high = binom.sf(values - 1, sims, at[:, None])
    tail = np.minimum(low, high)
    return 2 * np.min(tail[np.arange(len(at)), counts], axis=1)


@cache
def simultaneous_band(sims: int, probability: float = 0.95) -> Band:
    """The band that holds the whole empirical distribution of `sims` uniform values with this probability."""
    rng = np.random.default_rng(0)
    at = np.arange(1, _POINTS) / _POINTS
    cells = rng.multinomial(sims, np.full(_POINTS, 1 / _POINTS), size=_SIMULATED)
    least = np.sort(_least(np.cumsum(cells, axis=1)[:, :-1], sims, at))
    gamma = least[int((1 - probability) * _SIMULATED)]
    lower, upper = np.asarray(binom.ppf(gamma / 2, sims, at)), np.asarray(binom.isf(gamma / 2, sims, at))
    return Band(sims, probability, at, lower / sims, upper / sims, least)


@dataclass(frozen=True)
class Verdict:
    """What the positions of one scalar say of one method.

    p: probability of a distribution as far from uniform, if the method is right. inside: the band holds it. shift:
    standard errors by which the mean position is above 1/2 (draws too low). excess: standard errors by which the
    positions scatter more than uniform ones (draws too narrow). inside50, inside90: share of truths in the central
    intervals.
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
        """too narrow, too wide, too low, too high: those that are clear."""
        named = [word for z, word in ((self.excess, "too narrow"), (-self.excess, "too wide")) if z > _CLEAR]
        named += [word for z, word in ((self.shift, "too low"), (-self.shift, "too high")) if z > _CLEAR]
        return " and ".join(named) or "neither clearly shifted nor clearly of another width"

    def __str__(self) -> str:
        where = "inside" if self.inside else "outside"
        deviation = "" if self.inside else f": draws are {self.deviation}"
        return (
            f"{self.name}: {where} the {self.probability:.0%} band of {self.sims} simulations (p = {self.p:.2g})"
            f"{deviation}; 90 % intervals hold {self.inside90:.1%}, 50 % intervals {self.inside50:.1%}"
        )


def judge(name: str, position: Float[np.ndarray, " sim"], probability: float = 0.95) -> Verdict:
    """The verdict on one scalar, from the positions of its true values among a method's draws."""
    sims = len(position)
    band = simultaneous_band(sims, probability)
    counts = np.sum(position[:, None] <= band.at, axis=0)
    least = _least(counts[None], sims, band.at)[0]
    p = (1 + np.searchsorted(band.least, least, side="right")) / (1 + len(band.least))
    away = np.abs(position - 0.5)
    return Verdict(
        name,
        inside=bool(p > 1 - probability),
        p=float(p),
        shift=float((np.mean(position) - 0.5) * np.sqrt(12 * sims)),
        # 12 (u - 1/2)^2 of a uniform u has mean 1 and variance 4/5.
        excess=float((12 * np.mean(away**2) - 1) / np.sqrt(0.8 / sims)),
        inside50=float(np.mean(away <= 0.25)),
        inside90=float(np.mean(away <= 0.45)),
        sims=sims,
        probability=probability,
    )
