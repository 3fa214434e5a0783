"""The uncertainty of completed scores: the calibrated intervals of BenchPress (arXiv 2606.24020, section 4.4).

    u[m, b] = exp(MLP(features of the cell)) - 1,   learnt from log(1 + |error|) of hidden cells; errors in points
    interval = prediction -+ q u,   q: quantile of |error| / u over hidden cells of other folds

Features: how much fifteen other completions differ (three ridge penalties, twelve transforms and methods), and how many
scores of the model and of the benchmark are known. Only the scores of the row are new; everything else is from the fit.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from csvjax.baselines.completion import Completion, Matrix, Recipe, fit_completion, same_rows

__all__ = ["Records", "Support", "Uncertainty", "crossfitted", "fit_support", "fit_uncertainty", "records"]

_PENALTIES = [Recipe(ridge=0.01), Recipe(ridge=0.1), Recipe(ridge=1.0)]
_OTHERS = [
    *(Recipe(transform) for transform in ("probit", "quantile", "identity", "asinh", "sqrt")),
    *(Recipe(transform, "svd") for transform in ("quantile", "logit", "probit", "identity")),
    *(Recipe(transform, "nearest", 10) for transform in ("logit", "probit", "identity")),
]
_MAD = 1.4826
_FEWEST = 100  # hidden cells that are needed to train a network
_LAYERS: tuple[tuple[int, ...], ...] = ((16,), (32,), (64, 32))
_SEED = 42


@dataclass(frozen=True, eq=False)
class Support:
    """All completions of one matrix. The second of `members` is the published predictor."""

    shown: Matrix
    points: Float[np.ndarray, " benchmark"]
    members: tuple[Completion, ...]

    @property
    def point(self) -> Completion:
        """The published predictor."""
        return self.members[1]

    def features(self, rows: Matrix) -> Float[np.ndarray, "model benchmark feature"]:
        """log(1 + features) of every cell of rows with these known scores; 0 for a benchmark without scores."""
        stack = np.stack([member.rows(rows) for member in self.members]) * self.points
        parts = [_spread(stack[:3], stack[1]), _spread(stack[3:], stack[1]), self._known(rows)]
        return np.log1p(np.maximum(np.nan_to_num(np.concatenate(parts, axis=2)), 0.0))

    def _known(self, rows: Matrix) -> Float[np.ndarray, "model benchmark feature"]:
        """Known facts about each model and benchmark: numbers of scores, medians, deviation, most similar one."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # rows or benchmarks without scores
            of_rows = [np.sum(~np.isnan(rows), axis=1), np.nanmedian(rows * self.points, axis=1)]
            shown = self.shown * self.points
            of_columns = [np.sum(~np.isnan(shown), axis=0), np.nanmedian(shown, axis=0), np.nanstd(shown, axis=0)]
        of_rows += list(_relatives(rows * self.points, shown))
        of_columns.append(_relatives(shown.T, shown.T)[0])
        shape = rows.shape
        by_row = [np.broadcast_to(np.asarray(f, float)[:, None], shape) for f in of_rows]
        return np.stack([*by_row, *(np.broadcast_to(np.asarray(f, float), shape) for f in of_columns)], axis=2)


def fit_support(shown: Matrix, points: Float[np.ndarray, " benchmark"]) -> Support:
    """All completions of a matrix. `points`: one unit of each benchmark in percentage points."""
    return Support(shown, points, tuple(fit_completion(shown, recipe) for recipe in (*_PENALTIES, *_OTHERS)))


def _spread(stack: np.ndarray, point: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a benchmark without scores
        centre = np.nanmedian(stack, axis=0)
        mad = _MAD * np.nanmedian(np.abs(stack - centre), axis=0)
        low, high = np.nanpercentile(stack, [10, 90], axis=0)
        return np.stack([np.nanstd(stack, axis=0), mad, np.abs(point - centre), high - low], axis=2)


def _relatives(rows: np.ndarray, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest absolute correlation of each row with one that shares at least three columns, and how many it shares."""
    best, overlap = np.zeros(len(rows)), np.zeros(len(rows))
    for i, row in enumerate(rows):
        both = ~np.isnan(pool) & ~np.isnan(row)
        n = both.sum(axis=1)
        mean = [np.where(both, x, 0.0).sum(axis=1) / np.maximum(n, 1) for x in (pool, np.broadcast_to(row, pool.shape))]
        x, y = np.where(both, pool - mean[0][:, None], 0.0), np.where(both, row - mean[1][:, None], 0.0)
        size = np.sqrt(np.sum(x * x, axis=1) * np.sum(y * y, axis=1))
        usable = (n >= 3) & (size > 1e-12) & ~same_rows(row, pool)
        if usable.any():
            correlation = np.where(usable, np.abs(np.sum(x * y, axis=1)) / np.where(usable, size, 1.0), 0.0)
            at = int(correlation.argmax())
            best[i], overlap[i] = correlation[at], n[at]
    return best, overlap


class Records(NamedTuple):
    """Hidden cells of several folds: features, signed error in points, and number of the fold."""

    feature: Float[np.ndarray, "cell feature"]
    error: Float[np.ndarray, " cell"]
    fold: Int[np.ndarray, " cell"]


def records(
    score: Matrix, points: Float[np.ndarray, " benchmark"], folds: list[Bool[np.ndarray, "model benchmark"]]
) -> Records:
    """Errors of the published predictor on the cells that each fold hides, and the features of these cells."""
    parts = []
    for number, hidden in enumerate(folds):
        shown = np.where(hidden, np.nan, score)
        support = fit_support(shown, points)
        error = ((score - support.point.rows(shown)) * points)[hidden]
        told = ~np.isnan(error)
        parts.append((support.features(shown)[hidden][told], error[told], np.full(int(told.sum()), number)))
    feature, error, fold = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Records(feature, error, fold)


@dataclass(frozen=True)
class Uncertainty:
    """The uncertainty u of a cell from its features, in points; 1 if no network was trained."""

    scaler: StandardScaler | None = None
    network: MLPRegressor | None = None

    def __call__(self, feature: Float[np.ndarray, "cell feature"]) -> Float[np.ndarray, " cell"]:
        if self.scaler is None or self.network is None:
            return np.ones(len(feature))
        expected: np.ndarray = self.network.predict(self.scaler.transform(feature))
        return np.maximum(np.expm1(expected), 1e-6)


def fit_uncertainty(found: Records, train: Bool[np.ndarray, " cell"], seed: int = _SEED) -> Uncertainty:
    """Train a network on the cells `train`; its width is chosen on a part of their folds."""
    if train.sum() < _FEWEST:
        return Uncertainty()
    y = np.log1p(np.abs(found.error))
    every = 5 if len(np.unique(found.fold[train])) >= 5 else 3
    inner, outer = train & (found.fold % every != 0), train & (found.fold % every == 0)
    chosen = _LAYERS[0]
    if min(inner.sum(), outer.sum()) >= _FEWEST:
        tried = [_learnt(found.feature[inner], y[inner], layers, seed + n) for n, layers in enumerate(_LAYERS)]
        away = [np.median(np.abs(np.log1p(fit(found.feature[outer])) - y[outer])) for fit in tried]
        chosen = _LAYERS[int(np.argmin(away))]
    return _learnt(found.feature[train], y[train], chosen, seed + 1000)


def _learnt(feature: np.ndarray, y: np.ndarray, layers: tuple[int, ...], seed: int) -> Uncertainty:
    scaler = StandardScaler().fit(feature)
    network = MLPRegressor(
        hidden_layer_sizes=layers,
        alpha=1e-3,
        learning_rate_init=3e-3,
        max_iter=500,
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=25,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(scaler.transform(feature), y)
    return Uncertainty(scaler, network)


def crossfitted(found: Records, folds: list[int] | None = None) -> Float[np.ndarray, " cell"]:
    """u of the cells of each fold, from a network trained without this fold; NaN for folds that are not in `folds`."""
    u = np.full(len(found.error), np.nan)
    for fold in np.unique(found.fold).tolist() if folds is None else folds:
        own = found.fold == fold
        u[own] = fit_uncertainty(found, ~own, _SEED + int(fold))(found.feature[own])
    return u
