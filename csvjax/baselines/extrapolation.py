"""Predictions of models that are larger than those that were fitted: how much wider they are than the law says.

    s(r)^2 = 1 + c r^2,     r = log10(size / size of the largest fitted model of the family), 0 for smaller models

Predictive draws move away from their median by the factor s, in logits. This is the spread of a slope on log size that
differs between families, which the law does not have. c is learned inside the training rows: the largest model of each
family is hidden, the law is fitted to the others, and c is the value with the least CRPS of the hidden scores. The
scores of one benchmark depend on each other, so benchmarks are the units: c stays 0 unless it lowers the mean CRPS of
the benchmarks by more than its standard error over them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit, logit

from csvjax.baselines.view import View
from csvjax.intervals import crps

__all__ = ["excess", "growth", "largest_of_families", "widened"]

_STEP = 1.5  # the largest model of a family is hidden if it is so many times larger than the next one
_FEWEST = 8  # families with a model to hide
_GRID = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_EDGE = 1e-4


def _sizes(fitted: View, view: View) -> tuple[Float[np.ndarray, " fitted"], Float[np.ndarray, " row"]]:
    """Training compute of both, or the numbers of parameters if compute is known of fewer fitted models."""
    flops = np.isfinite(fitted.flops).sum() >= np.isfinite(fitted.params).sum()
    return (fitted.flops, view.flops) if flops else (fitted.params, view.params)


def largest_of_families(view: View) -> Bool[np.ndarray, " row"]:
    """The largest training model of each family that has a smaller one; none if these are fewer than eight."""
    found, (size, _) = np.zeros(len(view.family), bool), _sizes(view, view)
    for name in set(view.family[view.train]):
        rows = np.flatnonzero((view.family == name) & view.train & np.isfinite(size))
        rows = rows[np.argsort(size[rows], kind="stable")]
        if len(rows) > 1 and size[rows[-1]] > _STEP * size[rows[-2]]:
            found[rows[-1]] = True
    return found if found.sum() >= _FEWEST else np.zeros_like(found)


def excess(fitted: View, view: View) -> Float[np.ndarray, " row"]:
    """r of each row of `view`: compared with the training rows of `fitted` of its family, or with all of them if it has
    none there; 0 where a size is unknown.
    """
    mine, its = _sizes(fitted, view)
    known = fitted.train & np.isfinite(mine)
    if not known.any():
        return np.zeros(len(its))
    most = {str(name): mine[known & (fitted.family == name)].max() for name in set(fitted.family[known])}
    largest = np.array([most.get(str(name), mine[known].max()) for name in view.family])
    return np.maximum(np.nan_to_num(np.log10(its / largest)), 0.0)


def widened(
    draws: Float[np.ndarray, "draw ..."], r: Float[np.ndarray, "*size"], c: float
) -> Float[np.ndarray, "draw ..."]:
    """Draws of fractions, with the distance of each from the median multiplied by s(r)."""
    if c == 0:
        return draws
    eta = logit(np.clip(draws, _EDGE, 1 - _EDGE))
    middle = np.median(eta, axis=0)
    moved = expit(middle + np.sqrt(1 + c * r**2) * (eta - middle))
    return np.where(r > 0, moved, draws)


def growth(
    draws: Float[np.ndarray, "draw cell"],
    observed: Float[np.ndarray, " cell"],
    r: Float[np.ndarray, " cell"],
    benchmark: Int[np.ndarray, " cell"],
) -> float:
    """c, from predictive draws of hidden scores."""
    by_benchmark = []
    for c in _GRID:
        score = crps(observed, widened(draws, r, c))
        by_benchmark.append([score[benchmark == b].mean() for b in np.unique(benchmark)])
    table = np.array(by_benchmark)
    best = int(table.mean(axis=1).argmin())
    gain = table[0] - table[best]
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
    return _GRID[best] if gain.mean() > error else 0.0
