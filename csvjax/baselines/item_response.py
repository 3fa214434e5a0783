"""The Epoch capabilities index: one capability for each model, a difficulty and a slope for each benchmark.

    score[m, b] = sigmoid(alpha[b] (C[m] - D[b])),   least squares + 0.1 mean(C^2, D^2, alpha^2)

Ho et al. 2025 (arXiv 2512.00193): two-parameter item response without floors; alpha in [0.1, 10], C and D in [-10, 10],
alpha of one benchmark is 1. The parameters of benchmarks come from the training rows; the capability of any other
row comes from the benchmarks that it shows.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.special import expit

from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.method import NotApplicable
from csvjax.baselines.view import View

__all__ = ["Items", "capability", "fit_items", "item_response"]

_PENALTY = 0.1
_WIDEST = 10.0
_FLATTEST, _STEEPEST = 0.1, 10.0


class Items(NamedTuple):
    """The parameters of the benchmarks.

    Attributes:
        slope: alpha [benchmark].
        difficulty: D [benchmark].
        weight: weight of C^2 in the penalty.
    """

    slope: Float[np.ndarray, " benchmark"]
    difficulty: Float[np.ndarray, " benchmark"]
    weight: float


def item_response() -> PointMethod:
    """The method. The capability of a row is inferred from its other benchmarks; without any, predictions are NaN."""
    return PointMethod(
        name="one-dimensional item response",
        source="Ho et al. 2025, arXiv 2512.00193, Epoch capabilities index",
        needs=frozenset({"scores"}),
        learn=_learn,
    )


def _learn(view: View, key: jax.Array) -> Law:
    if np.isnan(view.score[view.train]).all():
        raise NotApplicable("expected scores on benchmarks other than the targets, found none; give more benchmarks")
    items = fit_items(np.hstack([view.score, view.target])[view.train])
    return partial(_predict, items)


def _predict(items: Items, view: View) -> Float[np.ndarray, "row target"]:
    seen = view.score.shape[1]
    level = capability(items._replace(slope=items.slope[:seen], difficulty=items.difficulty[:seen]), view.score)
    return expit(items.slope[seen:] * (level[:, None] - items.difficulty[seen:]))


def fit_items(score: Float[np.ndarray, "row benchmark"]) -> Items:
    """Difficulties and slopes, together with the capabilities of the rows; the slope of the first benchmark is 1."""
    rows, benchmarks = score.shape
    m, b = np.nonzero(~np.isnan(score))
    y = score[m, b]
    size = rows + 2 * benchmarks - 1
    weight = _PENALTY / size
    cells = np.arange(len(y))
    penalty = np.sqrt(weight) * np.eye(size)

    def unpack(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return p[:rows], p[rows : rows + benchmarks], np.append(1.0, p[rows + benchmarks :])

    def residual(p: np.ndarray) -> np.ndarray:
        level, difficulty, slope = unpack(p)
        return np.append(expit(slope[b] * (level[m] - difficulty[b])) - y, np.sqrt(weight) * p)

    def jacobian(p: np.ndarray) -> np.ndarray:
        level, difficulty, slope = unpack(p)
        share = expit(slope[b] * (level[m] - difficulty[b]))
        steep = share * (1 - share)
        full = np.zeros((len(y), size + 1))  # the first slope is fixed and removed below
        full[cells, m] = steep * slope[b]
        full[cells, rows + b] = -steep * slope[b]
        full[cells, rows + benchmarks + b] = steep * (level[m] - difficulty[b])
        return np.vstack([np.delete(full, rows + benchmarks, axis=1), penalty])

    free = np.repeat([_WIDEST, _STEEPEST], [rows + benchmarks, benchmarks - 1])
    lower = np.where(np.arange(size) < rows + benchmarks, -_WIDEST, _FLATTEST)
    start = np.zeros(size)
    start[:rows] = np.nan_to_num(np.nanmean(score, axis=1) - np.nanmean(score))  # rows must not all start equal
    start[rows + benchmarks :] = 1.0
    _, difficulty, slope = unpack(least_squares(residual, start, jacobian, bounds=(lower, free)).x)
    return Items(slope, difficulty, weight)


def capability(items: Items, score: Float[np.ndarray, "row benchmark"]) -> Float[np.ndarray, " row"]:
    """The capability C of each row, by penalised least squares over its scores; NaN for a row without scores.

    The best point of a grid over [-10, 10] is refined by Gauss-Newton steps.
    """
    seen = ~np.isnan(score)
    y = np.where(seen, score, 0.0)
    grid = np.linspace(-_WIDEST, _WIDEST, 801)
    share = expit(items.slope * (grid[:, None] - items.difficulty))
    error = np.where(seen[:, None, :], share - y[:, None, :], 0.0)
    level = grid[np.argmin((error**2).sum(axis=2) + items.weight * grid**2, axis=1)]
    for _ in range(10):
        share = expit(items.slope * (level[:, None] - items.difficulty))
        steep = np.where(seen, items.slope * share * (1 - share), 0.0)
        gradient = (steep * np.where(seen, share - y, 0.0)).sum(axis=1) + items.weight * level
        level = np.clip(level - gradient / ((steep**2).sum(axis=1) + items.weight), -_WIDEST, _WIDEST)
    return np.where(seen.any(axis=1), level, np.nan)
