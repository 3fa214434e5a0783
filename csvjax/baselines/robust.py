"""Fits a logistic curve for each target, with a smooth absolute loss.

    mu[m, b] = floor[b] + (ceiling[b] - floor[b]) sigmoid(x[m] . weight[:, b] + intercept[b])
    loss     = mean over known cells of  e^2 / (2 beta) if |e| < beta else |e| - beta / 2,   e = mu - y, beta = 0.01

The logistic link of Maia Polo et al. 2024 (arXiv 2412.06540) and the loss of their code. They use Adam and stop early;
here L-BFGS reaches the optimum, first with a larger beta.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import expit, logit
from threadpoolctl import ThreadpoolController

__all__ = ["BETA", "Curves", "Objective", "descend", "evaluate", "fit_again", "fit_each", "logits", "ridge", "smooth"]

BETA = 0.01
_CLIP = 0.02  # for the starting logits, scores are kept this far from floor and ceiling
_RIDGE = 1e-3


@runtime_checkable
class Objective(Protocol):
    """A loss with its gradient."""

    def __call__(self, p: np.ndarray, beta: float) -> tuple[float, np.ndarray]: ...


class Curves(NamedTuple):
    """The parameters: `weight` [feature, target]; `intercept`, `floor` and `ceiling` [target]."""

    weight: Float[np.ndarray, "feature target"]
    intercept: Float[np.ndarray, " target"]
    floor: Float[np.ndarray, " target"]
    ceiling: Float[np.ndarray, " target"]


def evaluate(curves: Curves, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row target"]:
    """mu of every row and target; NaN where a feature is NaN."""
    span = curves.ceiling - curves.floor
    return curves.floor + span * expit(x @ curves.weight + curves.intercept)


def fit_each(
    x: Float[np.ndarray, "row feature"],
    y: Float[np.ndarray, "row target"],
    floor: Float[np.ndarray, " target"],
    ceiling: Float[np.ndarray, " target"],
    learn_floor: bool = False,
) -> Curves:
    """Fit each target to the rows in which it is known.

    Args:
        x: features [row, feature].
        y: scores, fractions, NaN where unknown [row, target].
        floor: floors [target].
        ceiling: ceilings [target].
        learn_floor: fit the floor too, from two starts: the given floor, and one just below the lowest score.
    """
    found = []
    for b in range(y.shape[1]):
        seen = ~np.isnan(y[:, b])
        starts = (floor[b], 0.95 * max(float(y[seen, b].min()), 0.01)) if learn_floor else (floor[b],)
        fits = [_fit_one(x[seen], y[seen, b], start, ceiling[b], learn_floor) for start in starts]
        found.append(min(fits, key=lambda fit: fit[0])[1:])
    weight, intercept, floors = (np.stack(part, axis=-1) for part in zip(*found, strict=True))
    return Curves(weight, intercept, floors, ceiling)


def fit_again(
    curves: Curves, x: Float[np.ndarray, "row feature"], y: Float[np.ndarray, "row target"], learn_floor: bool = False
) -> Curves:
    """Fit other rows as `fit_each` does, starting from `curves`, with fewer steps."""
    found = []
    for b in range(y.shape[1]):
        seen = ~np.isnan(y[:, b])
        p = np.append(curves.weight[:, b], curves.intercept[b])
        place = np.append(p, _logit_of(curves.floor[b])) if learn_floor else p
        fit = _fit_from(x[seen], y[seen, b], curves.floor[b], curves.ceiling[b], learn_floor, place, ((BETA, 200),))
        found.append(fit[1:])
    weight, intercept, floors = (np.stack(part, axis=-1) for part in zip(*found, strict=True))
    return Curves(weight, intercept, floors, curves.ceiling)


def _fit_one(x: np.ndarray, y: np.ndarray, floor: float, ceiling: float, learn: bool) -> tuple:
    p = ridge(np.column_stack([x, np.ones(len(x))]), logits(y[:, None], floor, ceiling))[:, 0]
    place = np.append(p, _logit_of(floor)) if learn else p
    return _fit_from(x, y, floor, ceiling, learn, place, ((10 * BETA, 3000), (BETA, 3000)))


def _fit_from(
    x: np.ndarray,
    y: np.ndarray,
    floor: float,
    ceiling: float,
    learn: bool,
    place: np.ndarray,
    path: tuple[tuple[float, int], ...],
) -> tuple:
    """Loss, weight, intercept and floor of one target."""
    ones = np.column_stack([x, np.ones(len(x))])

    def objective(p: np.ndarray, beta: float) -> tuple[float, np.ndarray]:
        low = expit(p[-1]) if learn else floor
        share = expit(ones @ p[: ones.shape[1]])
        value, slope = smooth(low + (ceiling - low) * share - y, beta)
        gradient = ones.T @ (slope * (ceiling - low) * share * (1 - share))
        if learn:
            gradient = np.append(gradient, np.sum(slope * (1 - share)) * low * (1 - low))
        return value / len(y), gradient / len(y)

    loss, p = descend(objective, place, path)
    return loss, p[: x.shape[1]], p[x.shape[1]], expit(p[-1]) if learn else floor


def _logit_of(floor: float) -> float:
    return float(logit(np.clip(floor, 1e-5, 1 - 1e-5)))


def smooth(error: np.ndarray, beta: float) -> tuple[float, np.ndarray]:
    """Sum of the loss over all cells, and its slope in each cell."""
    size = np.abs(error)
    value = np.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta).sum()
    return float(value), np.clip(error / beta, -1.0, 1.0)


def descend(objective: Objective, start: np.ndarray, path: tuple[tuple[float, int], ...]) -> tuple[float, np.ndarray]:
    """Loss and position of the optimum that L-BFGS reaches from `start`, along a path of (beta, step limit)."""
    p, loss = start, np.inf
    # Matrices have a hundred rows; several threads would wait for each other and take ten times the CPU time of one.
    with _blas().limit(limits=1, user_api="blas"):
        for beta, steps in path:
            options: Any = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-8}
            found = minimize(partial(objective, beta=beta), p, jac=True, method="L-BFGS-B", options=options)
            p, loss = found.x, float(found.fun)
    return loss, p


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def logits(y: np.ndarray, floor: np.ndarray | float, ceiling: np.ndarray | float) -> np.ndarray:
    """Logits of scores between floor and ceiling, clipped away from both."""
    return logit(np.clip((y - floor) / (ceiling - floor), _CLIP, 1 - _CLIP))


def ridge(ones: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients of a regression with a small ridge penalty."""
    return np.linalg.solve(ones.T @ ones + _RIDGE * np.eye(ones.shape[1]), ones.T @ y)
