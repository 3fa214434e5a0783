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

    One set of weights is found from the cells of all benchmarks; it then is the prior of each benchmark's own, worth as
    many cells as a fold has of that benchmark: cells of a fold err together, so a benchmark alone says less about its
    strength than its number of cells. Source: Yao, Vehtari, Simpson and Gelman 2018, Bayesian Analysis 13(3), eq. 4.
    """
    pooled = _ascend(log_score[:, held], np.zeros(len(log_score)))
    columns = []
    for scores, mask in zip(np.moveaxis(log_score, 1, 0), held, strict=True):
        columns.append(_ascend(scores[:, mask], pooled * max(mask.sum() / folds, 1.0)))
    return np.stack(columns, axis=1)
