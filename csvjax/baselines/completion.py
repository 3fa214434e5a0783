"""Completion of a score matrix with gaps: the predictors of BenchPress (arXiv 2606.24020), on arrays.

    z[m, b] = (f(y[m, b]) - mean[b]) / sd[b],   f: logit for a benchmark in fractions, otherwise the identity
    z[m, b] ~ mu + a[m] + c[b] + U[m] . V[b],   ridge penalty 0.1 on a, c, U, V; mean over ten random starts

`bias_als` alternates between models and benchmarks, with all starts in parallel; `soft_impute` repeats a truncated
singular value decomposition (as published, without the shrinkage of the method of this name); `nearest_models` averages
the scores of the nearest models on shared benchmarks. github.com/microsoft/benchpress, commit 108c0997a908.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, logit, ndtr, ndtri

__all__ = [
    "TRANSFORMS",
    "Completion",
    "Factors",
    "Recipe",
    "Scale",
    "bias_als",
    "complete",
    "factor_scores",
    "find_scale",
    "fit_completion",
    "nearest_models",
    "same_rows",
    "soft_impute",
    "transformed",
]

Matrix = Float[np.ndarray, "model benchmark"]
Complete = Callable[[np.ndarray], np.ndarray]
"""Fills the gaps of a standardised matrix."""

_EDGE = 0.005  # before a logit, scores are clipped to [0.005, 0.995]
_FRACTION = -0.01, 1.01  # a benchmark whose scores are all in this range is in fractions
_STARTS, _ROUNDS, _FIRST_SEED, _SMALL = 10, 40, 42, 0.01
_FEWEST_SHARED = 3


def _logit(y: np.ndarray) -> np.ndarray:
    return logit(np.clip(y, _EDGE, 1 - _EDGE))


def _probit(y: np.ndarray) -> np.ndarray:
    return ndtri(np.clip(y, _EDGE, 1 - _EDGE))


TRANSFORMS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "identity": (lambda y: y, lambda z: z),
    "logit": (_logit, expit),
    "probit": (_probit, ndtr),
    "asinh": (lambda y: np.arcsinh(2 * y), lambda z: np.sinh(z) / 2),
    "sqrt": (lambda y: np.sqrt(np.maximum(y, 0.0)), np.square),
}
"""Functions to the scale of the completion and back, for benchmarks in fractions."""


class Scale(NamedTuple):
    """The scale on which a matrix is completed.

    Attributes:
        transform: a name in `TRANSFORMS`, or "quantile".
        fraction: whether scores are fractions [benchmark].
        mean: mean after the transform [benchmark].
        sd: standard deviation after the transform [benchmark].
        shown: the matrix from which the scale, and its quantiles, were computed [model, benchmark].
    """

    transform: str
    fraction: Bool[np.ndarray, " benchmark"]
    mean: Float[np.ndarray, " benchmark"]
    sd: Float[np.ndarray, " benchmark"]
    shown: Matrix


def find_scale(shown: Matrix, transform: str = "logit") -> Scale:
    """The scale of the scores that are shown; the mean of a benchmark without scores is NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # benchmarks without scores
        low, high = np.nanmin(shown, axis=0), np.nanmax(shown, axis=0)
        fraction = (low >= _FRACTION[0]) & (high <= _FRACTION[1])
        none = np.zeros(shown.shape[1])
        z = transformed(Scale(transform, fraction, none, none + 1, shown), shown)
        mean, sd = np.nanmean(z, axis=0), np.nanstd(z, axis=0)
    return Scale(transform, fraction, mean, np.where(sd < 1e-8, 1.0, sd), shown)


def transformed(scale: Scale, y: Matrix) -> Matrix:
    """Scores on the scale of the completion, z; NaN in the gaps."""
    if scale.transform == "quantile":
        z = np.stack([_ranks(known, column) for known, column in zip(scale.shown.T, y.T, strict=True)], axis=1)
    else:
        z = np.where(scale.fraction, TRANSFORMS[scale.transform][0](y), y)
    return (z - scale.mean) / scale.sd


def _back(scale: Scale, z: Matrix) -> Matrix:
    """Scores from z; fractions are clipped to [0, 1]."""
    z = z * scale.sd + scale.mean
    if scale.transform == "quantile":
        y = np.stack([_at_rank(known, column) for known, column in zip(scale.shown.T, z.T, strict=True)], axis=1)
    else:
        with np.errstate(over="ignore"):
            y = np.where(scale.fraction, TRANSFORMS[scale.transform][1](np.where(scale.fraction, z, 0.0)), z)
    return np.where(scale.fraction, np.clip(y, 0.0, 1.0), y)


def _ranks(known: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mid-ranks of y among the known scores of its benchmark, divided by their number + 1."""
    ordered = np.sort(known[~np.isnan(known)])
    if len(ordered) <= 1:
        return y
    rank = (np.searchsorted(ordered, y, "left") + np.searchsorted(ordered, y, "right") + 1) / 2
    return np.where(np.isnan(y), np.nan, rank / (len(ordered) + 1))


def _at_rank(known: np.ndarray, z: np.ndarray) -> np.ndarray:
    ordered = np.sort(known[~np.isnan(known)])
    if len(ordered) <= 1:
        return z
    return np.interp(z * (len(ordered) + 1) - 1, np.arange(len(ordered)), ordered)


class Factors(NamedTuple):
    """The parameters of the benchmarks for every start.

    Attributes:
        mean: mu [start].
        offset: c [start, benchmark].
        loading: V [start, benchmark, rank].
        ridge: the penalty.
    """

    mean: Float[np.ndarray, " start"]
    offset: Float[np.ndarray, "start benchmark"]
    loading: Float[np.ndarray, "start benchmark rank"]
    ridge: float


def bias_als(z: Matrix, rank: int = 2, ridge: float = 0.1, starts: int = _STARTS) -> tuple[Matrix, Factors]:
    """The completed matrix, averaged over all starts, and the factors of the benchmarks, after forty rounds."""
    models, benchmarks = z.shape
    seen = ~np.isnan(z)
    y, w = np.where(seen, z, 0.0), seen.astype(float)
    drawn = [np.random.RandomState(_FIRST_SEED + s) for s in range(starts)]
    u = np.stack([rng.normal(0.0, _SMALL, (models, rank)) for rng in drawn])
    v = np.stack([rng.normal(0.0, _SMALL, (benchmarks, rank)) for rng in drawn])
    mean, a, c = np.full(starts, z[seen].mean()), np.zeros((starts, models)), np.zeros((starts, benchmarks))
    for _ in range(_ROUNDS):
        a, u = _solve(y - w * (mean[:, None, None] + c[:, None, :]), w, v, ridge, a, u)
        residual = y - w * (mean[:, None, None] + a[:, :, None])
        c, v = _solve(residual.transpose(0, 2, 1), w.T, u, ridge, c, v)
        fitted = a[:, :, None] + c[:, None, :] + u @ v.transpose(0, 2, 1)
        mean = np.sum(y - w * fitted, axis=(1, 2)) / w.sum()
    return (mean[:, None, None] + fitted).mean(axis=0), Factors(mean, c, v, ridge)


def _solve(
    residual: np.ndarray, w: np.ndarray, other: np.ndarray, ridge: float, offset: np.ndarray, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Offset and factor of each row by ridge regression on [1, other]; rows without scores keep their values."""
    starts, columns, rank = other.shape
    x = np.concatenate([np.ones((starts, columns, 1)), other], axis=2)
    square = (x[:, :, :, None] * x[:, :, None, :]).reshape(starts, columns, -1)
    gram = (w @ square).reshape(starts, len(w), rank + 1, rank + 1) + ridge * np.eye(rank + 1)
    found = np.linalg.solve(gram, (residual @ x)[..., None])[..., 0]
    empty = w.sum(axis=1) == 0
    return np.where(empty, offset, found[..., 0]), np.where(empty[:, None], factor, found[..., 1:])


def factor_scores(z: Matrix, factors: Factors) -> Matrix:
    """The completed rows of any models, from their own scores and the factors of the benchmarks."""
    seen = ~np.isnan(z)
    w = seen.astype(float)
    y = np.where(seen, z, 0.0) - w * (factors.mean[:, None, None] + factors.offset[:, None, :])
    shape = len(factors.mean), len(z)
    none = np.zeros(shape), np.zeros((*shape, factors.loading.shape[2]))
    a, u = _solve(y, w, factors.loading, factors.ridge, *none)
    fitted = a[:, :, None] + factors.offset[:, None, :] + u @ factors.loading.transpose(0, 2, 1)
    return (factors.mean[:, None, None] + fitted).mean(axis=0)


def soft_impute(z: Matrix, rank: int = 2, rounds: int = 100, tolerance: float = 1e-4) -> Matrix:
    """Replace the gaps of z repeatedly by its best approximation of this rank, starting from the means."""
    seen = ~np.isnan(z)
    filled = np.where(seen, z, 0.0)  # means are 0
    for _ in range(rounds):
        left, size, right = np.linalg.svd(filled, full_matrices=False)
        again = np.where(seen, z, (left[:, :rank] * size[:rank]) @ right[:rank])
        step = np.sqrt(np.mean((again - filled) ** 2)) / (np.sqrt(np.mean(filled**2)) + 1e-12)
        filled = again
        if step < tolerance:
            break
    return filled


def nearest_models(y: Matrix, pool: Float[np.ndarray, "other benchmark"], count: int = 10) -> Matrix:
    """The mean score of the nearest models of `pool` that have the score; if none has it, the mean of all models.

    The distance is the root mean squared difference over at least three shared benchmarks. A model with exactly the
    same scores is taken as the row itself, not as a neighbour.
    """
    everyone = _means(pool)
    found = np.empty(y.shape)
    for i, row in enumerate(y):
        difference = pool - row
        shared = np.sum(~np.isnan(difference), axis=1)
        distance = np.sqrt(np.nansum(difference**2, axis=1) / np.maximum(shared, 1))
        distance[(shared < _FEWEST_SHARED) | same_rows(row, pool)] = np.inf
        nearest = np.argsort(distance, kind="stable")[:count]
        scores = pool[nearest[np.isfinite(distance[nearest])]]
        has = np.sum(~np.isnan(scores), axis=0)
        found[i] = np.where(has > 0, np.nansum(scores, axis=0) / np.maximum(has, 1), everyone)
    return found


def same_rows(row: Float[np.ndarray, " benchmark"], pool: Matrix) -> Bool[np.ndarray, " model"]:
    """The rows of `pool` with exactly the scores of this row."""
    return np.all((pool == row) | (np.isnan(pool) & np.isnan(row)), axis=1)


def _means(pool: Matrix) -> Float[np.ndarray, " benchmark"]:
    has = np.sum(~np.isnan(pool), axis=0)
    return np.where(has > 0, np.nansum(pool, axis=0) / np.maximum(has, 1), np.nan)


@dataclass(frozen=True, eq=False)
class Completion:
    """A completed matrix that predicts rows: `rows(shown)` gives scores on all benchmarks from the known ones."""

    scale: Scale
    rule: Callable[[Matrix], Matrix]

    def rows(self, shown: Matrix) -> Matrix:
        """Expected scores of each row on every benchmark; NaN on benchmarks without training scores."""
        expected = _back(self.scale, self.rule(transformed(self.scale, shown)))
        return np.where(np.isnan(self.scale.mean), np.nan, expected)


class Recipe(NamedTuple):
    """How a matrix is completed.

    Attributes:
        transform: a name in `TRANSFORMS`, or "quantile".
        kind: "als", "svd" or "nearest".
        rank: rank, or number of neighbours for "nearest".
        ridge: penalty of "als".
    """

    transform: str = "logit"
    kind: str = "als"
    rank: int = 2
    ridge: float = 0.1


def fit_completion(shown: Matrix, recipe: Recipe) -> Completion:
    """Complete the matrix by a recipe; `Recipe()` is logit bias ALS of rank 2, the published predictor."""
    scale = find_scale(shown, recipe.transform)
    z = transformed(scale, shown)
    if recipe.kind == "nearest":  # on transformed scores that are not standardised
        unit = scale._replace(mean=np.where(np.isnan(scale.mean), np.nan, 0.0), sd=np.ones(len(scale.sd)))
        return Completion(unit, partial(nearest_models, pool=transformed(unit, shown), count=recipe.rank))
    if recipe.kind == "svd":
        basis = np.linalg.svd(soft_impute(z, recipe.rank), full_matrices=False)[2][: recipe.rank]
        return Completion(scale, partial(_projected, basis=basis))
    return Completion(scale, partial(factor_scores, factors=bias_als(z, recipe.rank, recipe.ridge)[1]))


def _projected(z: Matrix, basis: Float[np.ndarray, "rank benchmark"]) -> Matrix:
    """The rows completed with a fixed basis: the limit of repeated projections of their gaps."""
    seen = ~np.isnan(z)
    found = np.empty(z.shape)
    for i, row in enumerate(z):
        b = basis[:, seen[i]]
        found[i] = np.linalg.lstsq(b.T, row[seen[i]], rcond=None)[0] @ basis if seen[i].any() else 0.0
    return found


def complete(shown: Matrix, transform: str = "logit", method: Complete | None = None) -> Matrix:
    """The completed matrix, in the units of the scores; a benchmark without scores stays NaN.

    Default: logit bias ALS of rank 2, the published predictor of BenchPress.
    """
    scale = find_scale(shown, transform)
    z = transformed(scale, shown)
    filled = bias_als(z)[0] if method is None else method(z)
    return np.where(np.isnan(shown), _back(scale, filled), shown)
