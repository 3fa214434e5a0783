"""Methods that complete the score matrix. Its columns are targets and other benchmarks; gaps are predicted.

A row may show some of its targets and hide others (`hide` with a mask of cells). Logit bias ALS has its published
intervals (`uncertainty`), calibrated on known cells that are hidden for this purpose. Soft-impute and nearest models
have no published intervals; they get their errors on such cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Float

from csvjax.baselines.completion import Completion, Matrix, Recipe, find_scale, fit_completion
from csvjax.baselines.method import NotApplicable, generator
from csvjax.baselines.uncertainty import Support, Uncertainty, crossfitted, fit_support, fit_uncertainty, records
from csvjax.baselines.view import Need, View

__all__ = ["MatrixMethod", "logit_als", "nearest_models", "soft_impute"]

_FOLDS = 3
_SOURCE = "Zeng and Papailiopoulos 2026, arXiv 2606.24020"


@dataclass(frozen=True)
class MatrixMethod:
    """A method that completes the matrix. `network`: whether a network scales its errors for each cell."""

    name: str
    recipe: Recipe
    network: bool = False
    source: str = _SOURCE
    needs: frozenset[Need] = frozenset({"scores"})

    def fit(self, view: View, key: jax.Array) -> MatrixFit:
        """Complete the matrix of the view.

        Raises: NotApplicable if no row has both known scores and gaps.
        """
        shown = _matrix(view.only(self.needs))
        gaps = np.isnan(shown)
        if (gaps.any(axis=1) == gaps.all(axis=1)).all():
            raise NotApplicable(
                "expected rows with scores on some benchmarks and gaps on others, found none; give more benchmarks"
            )
        scale = find_scale(shown)
        points = np.where(scale.fraction, 100.0, 1.0)
        folds = _hidden(shown, generator(key))
        if self.network:
            found = records(shown, points, folds)
            ratio = found.error / crossfitted(found)
            support = fit_support(shown, points)
            uncertainty = fit_uncertainty(found, np.ones(len(found.error), bool))
            return MatrixFit(self, support.point, points, np.sort(ratio), support, uncertainty)
        errors = []
        for hidden in folds:
            part = np.where(hidden, np.nan, shown)
            error = ((shown - fit_completion(part, self.recipe).rows(part)) * points)[hidden]
            errors.append(error[~np.isnan(error)])
        return MatrixFit(self, fit_completion(shown, self.recipe), points, np.sort(np.concatenate(errors)))


@dataclass(frozen=True, eq=False)
class MatrixFit:
    """The fitted method. `ratio`: sorted errors of hidden cells in points, divided by their uncertainty if known."""

    method: MatrixMethod
    completion: Completion
    points: Float[np.ndarray, " benchmark"]
    ratio: Float[np.ndarray, " cell"]
    support: Support | None = None
    uncertainty: Uncertainty | None = None

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """Expected scores of each row from its known scores; NaN for a target without training scores."""
        return self.completion.rows(_matrix(view.only(self.method.needs)))[:, : view.target.shape[1]]

    def draws(self, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """The prediction plus errors of hidden cells, scaled by the uncertainty of the cell.

        The signs of the errors are drawn at random, because the published intervals are symmetric.
        """
        shown, targets = _matrix(view.only(self.method.needs)), view.target.shape[1]
        point = self.completion.rows(shown)[:, :targets]
        unit = np.ones(point.shape)
        if self.support is not None and self.uncertainty is not None:
            feature = self.support.features(shown)[:, :targets]
            unit = self.uncertainty(feature.reshape(-1, feature.shape[2])).reshape(point.shape)
        # All rows use the same quantiles, so that a row does not depend on the other rows.
        place = (np.arange(count) + 0.5) / count
        size = np.quantile(np.concatenate([self.ratio, -self.ratio]), generator(key).permutation(place))
        drawn = point + size[:, None, None] * (unit / self.points[:targets])
        return np.where(self.points[:targets] == 100, np.clip(drawn, 0.0, 1.0), drawn)


def _matrix(view: View) -> Matrix:
    return np.hstack([view.target, view.score])


def _hidden(shown: Matrix, rng: np.random.Generator) -> list[Bool[np.ndarray, "model benchmark"]]:
    """Hide each third of the scores of each row once; every benchmark keeps at least one score."""
    part = np.full(shown.shape, -1)
    for row, known in zip(part, ~np.isnan(shown), strict=True):
        row[known] = rng.permutation(int(known.sum())) % _FOLDS
    folds = [part == f for f in range(_FOLDS)]
    for hidden in folds:
        hidden[:, np.isnan(np.where(hidden, np.nan, shown)).all(axis=0)] = False
    return folds


def logit_als() -> MatrixMethod:
    """Logit bias ALS of rank 2, with conformal intervals scaled by a learnt uncertainty."""
    return MatrixMethod("logit bias ALS", Recipe(), network=True)


def soft_impute() -> MatrixMethod:
    """Repeated truncated singular value decompositions of rank 2, on logits."""
    return MatrixMethod("soft-impute", Recipe("logit", "svd"))


def nearest_models() -> MatrixMethod:
    """The mean of the five nearest models, on scores."""
    return MatrixMethod("nearest models", Recipe("identity", "nearest", 5))
