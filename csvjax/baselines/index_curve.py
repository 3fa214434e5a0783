"""Predicts each target from one number for each model (an index), by a sigmoid with free asymptotes.

    score = b + a / (1 + exp(-k (x - x0))),   0 <= a <= 1, 0 <= b <= 1

Least squares, as in step two of Bhagia et al. 2024 (arXiv 2412.04403); also used for the mean loss.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.special import expit

from csvjax.baselines.method import NotApplicable
from csvjax.baselines.view import View
from csvjax.errors import InputError

__all__ = ["IndexCurve", "apply_curves", "fit_curve", "fit_curves", "loss_per_byte"]


class IndexCurve(NamedTuple):
    """The parameters of one curve.

    Attributes:
        height: a.
        slope: k, below 0 if scores fall with x.
        middle: x0.
        base: b.
    """

    height: float
    slope: float
    middle: float
    base: float


def fit_curves(
    view: View, index: Float[np.ndarray, "row target"], begin: list[IndexCurve] | None = None
) -> list[IndexCurve]:
    """Fit a curve for each target to the rows in which target and index are known.

    Args:
        view: the data.
        index: the index of each row for each target.
        begin: starting points, one for each target; None for the default starts.

    Raises: InputError for fewer than two such rows.
    """
    found = []
    for target, (x, y) in enumerate(zip(index.T, view.target.T, strict=True)):
        known = ~np.isnan(y) & ~np.isnan(x)
        if known.sum() < 2:
            raise InputError(
                f"expected at least two training rows with losses and a score, found {known.sum()}; give more models"
            )
        found.append(fit_curve(x[known], y[known], None if begin is None else begin[target]))
    return found


def apply_curves(curves: list[IndexCurve], index: Float[np.ndarray, "row target"]) -> Float[np.ndarray, "row target"]:
    """Scores for this index; NaN where the index is NaN."""
    height, slope, middle, base = np.array(curves).T
    return base + height * expit(slope * (index - middle))


def fit_curve(
    index: Float[np.ndarray, " row"], y: Float[np.ndarray, " row"], begin: IndexCurve | None = None
) -> IndexCurve:
    """Fit one curve from `begin`, or take the best fit from three starts.

    One start has its asymptotes at the extremes of y; the others rise towards a score of 1 that no row has.
    """
    centre, scale = index.mean(), index.std() or 1.0
    x = (index - centre) / scale
    sign = 1.0 if np.cov(x, y)[0, 1] > 0 else -1.0

    def residual(p: np.ndarray) -> np.ndarray:
        return p[0] * expit(p[1] * (x - p[2])) + p[3] - y

    def jacobian(p: np.ndarray) -> np.ndarray:
        share = expit(p[1] * (x - p[2]))
        steep = p[0] * share * (1 - share)
        return np.stack([share, steep * (x - p[2]), -steep * p[1], np.ones(len(x))], axis=1)

    low, high = (float(np.clip(v, 0.001, 0.95)) for v in (y.min(), y.max()))
    starts = [
        (max(high - low, 0.05), 2 * sign, 0.0, low),
        (0.75, sign, 1.5 * sign, low),
        (1 - low, sign, 3.0 * sign, low),
    ]
    if begin is not None:
        inside = np.clip([begin.height, begin.base], 1e-6, 1 - 1e-6)
        starts = [(float(inside[0]), begin.slope * scale, (begin.middle - centre) / scale, float(inside[1]))]
    bounds = ([0, -np.inf, -np.inf, 0], [1, np.inf, np.inf, 1])
    fits = [least_squares(residual, start, jacobian, bounds=bounds, max_nfev=300) for start in starts]
    height, slope, middle, base = min(fits, key=lambda fit: fit.cost).x.tolist()
    return IndexCurve(height, slope / scale, centre + scale * middle, base)


def loss_per_byte(view: View) -> Float[np.ndarray, " row"]:
    """Mean loss of every row in nats per byte, over all units; NaN if the loss on a unit is unknown.

    Raises: NotApplicable for a view without losses.
    """
    if not view.loss.shape[1]:
        raise NotApplicable("expected token losses, found none; give losses as well as scores")
    return view.loss.sum(axis=1) / view.size.sum()
