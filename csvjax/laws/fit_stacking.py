"""Averages over prior strengths: how much each counts, from how well it predicted cells it had not seen."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["stacking_weights"]


def _ascend(score: np.ndarray, prior: np.ndarray, steps: int = 500) -> np.ndarray:
    """Expectation maximisation of sum_c log(sum_k w[k] exp(score[k, c])) + sum_k prior[k] log w[k]."""
    likelihood = np.exp(score - score.max(axis=0, initial=-np.inf))
    w = np.full(len(score), 1 / len(score))
    for _ in range(steps):
        share = w[:, None] * likelihood
        w = (share / share.sum(axis=0)).sum(axis=1) + prior
        w = w / w.sum()
    return w


def stacking_weights(
    log_score: Float[np.ndarray, "strength benchmark lm"], held: Bool[np.ndarray, "benchmark lm"], folds: int
) -> Float[np.ndarray, "strength benchmark"]:
    """Weights of a mixture of predictive distributions that maximise its log score on the held-out cells.

    Each benchmark's weights are found twice: alone, then with the mean of all benchmarks' lonely weights as a prior
    worth as many cells as a fold has of that benchmark. Cells of a fold err together, so a benchmark says less about
    its strength than its number of cells; and a mean of weights, unlike weights found from all cells at once, is not
    ruled by the one benchmark that gains most. Source: Yao, Vehtari, Simpson and Gelman 2018, Bayesian Analysis 13(3),
    eq. 4; partial pooling after Yao, Pirs, Vehtari and Gelman 2022, Bayesian Analysis 17(4).
    """
    cells = [scores[:, mask] for scores, mask in zip(np.moveaxis(log_score, 1, 0), held, strict=True)]
    equal = np.full(len(log_score), 1e-6)  # breaks the tie where a benchmark has no cell, and moves nothing elsewhere
    alone = [_ascend(own, equal) for own in cells if own.shape[1]] or [_ascend(cells[0], equal)]
    pooled = np.mean(alone, axis=0)
    return np.stack([_ascend(own, pooled * max(own.shape[1] / folds, 1.0)) for own in cells], axis=1)
