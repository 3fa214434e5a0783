"""Fits logistic curves of several targets whose logits have low rank, with a smooth absolute loss.

    mu[m, b] = floor[b] + (ceiling[b] - floor[b]) sigmoid(sum_k (x[m] . A[:, k]) Lambda[k, b] + c[b])

Link and loss (`robust`) are those of Maia Polo et al. 2024 (arXiv 2412.06540). Several starts are needed, because local
optima differ little in the loss but much in the predictions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from csvjax.baselines.robust import BETA, Objective, descend, logits, ridge, smooth

__all__ = ["Surface", "evaluate", "fit", "fit_again"]


class Surface(NamedTuple):
    """The parameters.

    Attributes:
        to_capability: A [feature, capability].
        loading: Lambda [capability, target].
        intercept: c [target].
        floor: floors [target].
        ceiling: ceilings [target].
    """

    to_capability: Float[np.ndarray, "feature capability"]
    loading: Float[np.ndarray, "capability target"]
    intercept: Float[np.ndarray, " target"]
    floor: Float[np.ndarray, " target"]
    ceiling: Float[np.ndarray, " target"]


def evaluate(surface: Surface, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row target"]:
    """mu of every row and target; NaN where a feature is NaN."""
    share = expit(x @ surface.to_capability @ surface.loading + surface.intercept)
    return surface.floor + (surface.ceiling - surface.floor) * share


def fit(
    x: Float[np.ndarray, "row feature"],
    y: Float[np.ndarray, "row target"],
    floor: Float[np.ndarray, " target"],
    ceiling: Float[np.ndarray, " target"],
    rank: int,
    rng: np.random.Generator,
    starts: int,
) -> Surface:
    """The best of several fits to the known cells.

    The first start is the best logit matrix of this rank after a ridge fit of every target; the others are random.

    Args:
        x: features [row, feature].
        y: scores, fractions, NaN where unknown [row, target].
        floor: floors [target].
        ceiling: ceilings [target].
        rank: number of capabilities.
        rng: the generator of the random starts.
        starts: number of starts.
    """

    def random() -> Surface:
        shapes = (x.shape[1], rank), (rank, y.shape[1]), (y.shape[1],)
        a, loading, intercept = (0.3 * rng.standard_normal(shape) for shape in shapes)
        return Surface(a, loading, intercept, floor, ceiling)

    places = (random() if number else _reduced(x, y, floor, ceiling, rank) for number in range(starts))
    fits = [_fit_from(place, x, y, ((3 * BETA, 100), (BETA, 3000))) for place in places]
    return min(fits, key=lambda fitted: fitted[0])[1]


def fit_again(surface: Surface, x: Float[np.ndarray, "row feature"], y: Float[np.ndarray, "row target"]) -> Surface:
    """Fit other rows, starting from `surface`, with fewer steps."""
    return _fit_from(surface, x, y, ((BETA, 200),))[1]


def _reduced(x: np.ndarray, y: np.ndarray, floor: np.ndarray, ceiling: np.ndarray, rank: int) -> Surface:
    ones = np.column_stack([x, np.ones(len(x))])
    full = ridge(ones, logits(np.where(np.isnan(y), np.nanmean(y, axis=0), y), floor, ceiling))
    centre = x.mean(axis=0) @ full[:-1]
    loading = np.linalg.svd(x @ full[:-1] - centre, full_matrices=False)[2][:rank]
    return Surface(full[:-1] @ loading.T, loading, full[-1] + centre - centre @ loading.T @ loading, floor, ceiling)


def _fit_from(
    place: Surface, x: np.ndarray, y: np.ndarray, path: tuple[tuple[float, int], ...]
) -> tuple[float, Surface]:
    """Loss and parameters of a fit from one start."""
    objective, start = _objective(place, x, y)
    loss, p = descend(objective, start, path)
    a, loading, intercept = _unpack(p, place)
    return loss, place._replace(to_capability=a, loading=loading, intercept=intercept)


def _unpack(p: np.ndarray, like: Surface) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, loading, intercept = np.split(p, np.cumsum([like.to_capability.size, like.loading.size]))
    return a.reshape(like.to_capability.shape), loading.reshape(like.loading.shape), intercept


def _objective(place: Surface, x: np.ndarray, y: np.ndarray) -> tuple[Objective, np.ndarray]:
    """The mean loss over the known cells with its gradient, and the starting point as a vector."""
    seen = ~np.isnan(y)
    count = seen.sum()
    y = np.where(seen, y, 0.5)
    span = place.ceiling - place.floor

    def objective(p: np.ndarray, beta: float) -> tuple[float, np.ndarray]:
        a, loading, intercept = _unpack(p, place)
        capability = x @ a
        share = expit(capability @ loading + intercept)
        value, slope = smooth(np.where(seen, place.floor + span * share - y, 0.0), beta)
        slope *= span * share * (1 - share)
        gradient = (x.T @ (slope @ loading.T)).ravel(), (capability.T @ slope).ravel(), slope.sum(axis=0)
        return value / count, np.concatenate(gradient) / count

    return objective, np.concatenate([place.to_capability.ravel(), place.loading.ravel(), place.intercept])
