"""Principal components of a score table with gaps: imputation and projection of Ruan et al. 2024 (arXiv 2405.10938).

    B_m = Gamma S_m,   Gamma orthonormal (eq. 5): principal components, centred but not standardised

Gaps are filled first, by repeated projection on the first component of the *standardised* table. Everything is fitted
to the training rows; other rows are projected with the result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["Components", "Imputation", "components", "imputation", "impute", "project"]

_ROUNDS = 1000
_TOLERANCE = 1e-12  # of a standardised score


class Components(NamedTuple):
    """`centre` [benchmark] and orthonormal `axes` [component, benchmark] with positive largest loadings."""

    centre: Float[np.ndarray, " benchmark"]
    axes: Float[np.ndarray, "component benchmark"]


def components(table: Float[np.ndarray, "row benchmark"], count: int) -> Components:
    """The first `count` principal components of a table without gaps, centred but not standardised.

    The largest loading of each axis is made positive, so that a fit from one start always starts at the same point.
    """
    centre = table.mean(axis=0)
    _, _, axes = np.linalg.svd(table - centre, full_matrices=False)
    axes = axes[:count]
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    return Components(centre, axes * np.sign(largest)[:, None])


def project(basis: Components, table: Float[np.ndarray, "row benchmark"]) -> Float[np.ndarray, "row component"]:
    """S = (B - centre) Gamma; NaN in a row with a gap."""
    return (table - basis.centre) @ basis.axes.T


class Imputation(NamedTuple):
    """Mean and deviation [benchmark] of the training rows, and the component of their standardised, completed table."""

    mean: Float[np.ndarray, " benchmark"]
    deviation: Float[np.ndarray, " benchmark"]
    basis: Components


def imputation(table: Float[np.ndarray, "row benchmark"], rank: int = 1) -> Imputation:
    """Fit the imputation to a training table with gaps."""
    mean, deviation = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    filled, gaps = _begin(table, mean, deviation)
    for _ in range(_ROUNDS):
        basis = components(filled, rank)
        if _refine(filled, gaps, basis):
            break
    return Imputation(mean, deviation, basis)


def impute(fitted: Imputation, table: Float[np.ndarray, "row benchmark"]) -> Float[np.ndarray, "row benchmark"]:
    """The table with filled gaps, clipped to [0, 1].

    The training table is filled by the same rule, which ends at the fixed point of its imputation.
    """
    filled, gaps = _begin(table, fitted.mean, fitted.deviation)
    for _ in range(_ROUNDS):
        if _refine(filled, gaps, fitted.basis):
            break
    return np.clip(filled * fitted.deviation + fitted.mean, 0.0, 1.0)


def _begin(table: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    standardised = (table - mean) / deviation
    gaps = np.isnan(standardised)
    return np.where(gaps, 0.0, standardised), gaps


def _refine(filled: np.ndarray, gaps: np.ndarray, basis: Components) -> bool:
    """Replace the gaps of `filled` in place by their projection; True if nothing changed."""
    again = (basis.centre + (filled - basis.centre) @ basis.axes.T @ basis.axes)[gaps]
    step = np.abs(again - filled[gaps]).max(initial=0.0)
    filled[gaps] = again
    return bool(step < _TOLERANCE)
