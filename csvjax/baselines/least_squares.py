"""Fits a sigmoid of a linear combination by least squares from one start, as in observational scaling laws.

    E = b + (1 - b) sigmoid(w . x + c),   0 <= b <= widest floor

Ruan et al. 2024 (arXiv 2405.10938), eqs. 3, 6 and 7, with h = 1 - b.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import Bounds, least_squares, minimize
from scipy.special import expit

__all__ = ["Sigmoid", "Solver", "evaluate", "fit_sigmoid"]

Solver = Literal["quasi-newton", "trust-region"]

_START = 0.03  # start of every weight; intercept and floor start at 0


class Sigmoid(NamedTuple):
    """The parameters: `weight` w [feature], `intercept` c, `floor` b."""

    weight: Float[np.ndarray, " feature"]
    intercept: float
    floor: float


def evaluate(law: Sigmoid, x: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, " row"]:
    """b + (1 - b) sigmoid(w . x + c) of each row; NaN where a feature is NaN."""
    return law.floor + (1 - law.floor) * expit(x @ law.weight + law.intercept)


def fit_sigmoid(
    x: Float[np.ndarray, "row feature"],
    y: Float[np.ndarray, " row"],
    widest_floor: float = 0.0,
    solver: Solver = "quasi-newton",
) -> Sigmoid:
    """Fit the sigmoid by least squares.

    Args:
        x: features without gaps [row, feature].
        y: scores without gaps, fractions [row].
        widest_floor: largest value of the floor b; 0 for no floor.
        solver: "quasi-newton" is BFGS (L-BFGS-B with a floor) on half the sum of squares with gradients by finite
            differences. It stops when the largest component of the gradient is below 1e-5, which is before the optimum
            if scores hardly vary; the published errors depend on this, so the solver is part of the method.
            "trust-region" is trust-region reflective least squares, which reaches the optimum.
    """
    ones = np.column_stack([np.ones(len(x)), x])
    start = np.concatenate([[0.0], np.full(x.shape[1], _START), [0.0] if widest_floor else []])
    upper = np.full(len(start), np.inf)
    lower = -upper
    if widest_floor:
        lower[-1], upper[-1] = 0.0, widest_floor

    def unpack(p: np.ndarray) -> Sigmoid:
        coefficients, floor = (p[:-1], float(p[-1])) if widest_floor else (p, 0.0)
        return Sigmoid(coefficients[1:], float(coefficients[0]), floor)

    def residual(p: np.ndarray) -> np.ndarray:
        coefficients, floor = (p[:-1], p[-1]) if widest_floor else (p, 0.0)
        with np.errstate(over="ignore"):
            return floor + (1 - floor) / (1 + np.exp(-(ones @ coefficients))) - y

    if solver == "trust-region":
        return unpack(least_squares(residual, start, bounds=(lower, upper), max_nfev=10_000).x)

    def loss(p: np.ndarray) -> float:
        return 0.5 * float(np.sum(residual(p) ** 2))

    if widest_floor:
        return unpack(minimize(loss, start, method="L-BFGS-B", bounds=Bounds(lower, upper)).x)
    return unpack(minimize(loss, start, method="BFGS").x)
