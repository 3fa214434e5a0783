"""Stacking: the weights are those of the mixture that predicts best, and are partially pooled."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from csvjax.laws.fit_stacking import stacking_weights


def _scores(seed: int, benchmarks: int = 4, cells: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(-2.0, 1.0, (3, benchmarks, cells))


def test_weights_maximise_the_penalised_log_score() -> None:
    scores = _scores(0)
    held = np.ones(scores.shape[1:], bool)
    found = stacking_weights(scores, held, folds=6)
    np.testing.assert_allclose(found.sum(axis=0), 1.0)

    def best(own: np.ndarray, prior: np.ndarray) -> np.ndarray:
        def loss(free: np.ndarray) -> float:
            w = softmax(np.append(free, 0.0))
            return -float(logsumexp(own + np.log(w)[:, None], axis=0).sum() + prior @ np.log(w))

        return softmax(np.append(minimize(loss, np.zeros(2), tol=1e-10).x, 0.0))

    alone = np.mean([best(scores[:, b], np.zeros(3)) for b in range(4)], axis=0)
    for b in range(4):
        np.testing.assert_allclose(found[:, b], best(scores[:, b], 10 * alone), atol=2e-3)


def test_cells_that_are_not_held_out_say_nothing() -> None:
    scores = _scores(1)
    held = np.random.default_rng(2).random(scores.shape[1:]) < 0.5
    other = np.where(held, scores, 1e3 * scores)
    np.testing.assert_array_equal(stacking_weights(scores, held, 5), stacking_weights(other, held, 5))


def test_a_benchmark_without_cells_has_the_mean_of_the_others() -> None:
    scores = _scores(3)
    held = np.ones(scores.shape[1:], bool)
    held[2] = False
    found = stacking_weights(scores, held, 5)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=0), 1.0)


def test_one_benchmark_does_not_rule_the_others() -> None:
    """A benchmark that gains hugely from one strength leaves another, as good with each, near the middle."""
    scores = np.zeros((2, 2, 50))
    scores[1, 0] = 30.0
    weights = stacking_weights(scores, np.ones((2, 50), bool), 5)
    assert weights[1, 0] > 0.95
    assert 0.4 < weights[1, 1] < 0.9
