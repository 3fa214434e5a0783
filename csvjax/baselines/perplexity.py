"""Perplexity correlations: weights texts by rank correlations, then fits a sigmoid of the weighted loss.

    estimate[u] = mean over pairs of models of sign(y_g - y_k) (F_u(x_g) - F_u(x_k)),   x = - loss per byte of text u
    w = argmax <estimate, w>   subject to   sum w = 1,   0 <= w[u] <= tau[u]
    score = b + a / (1 + exp(-k (w . x - x0)))

Thrush et al. 2024 (arXiv 2409.05816). The estimator is "sign_cdf": F_u are the ranks among the training models, and the
estimate is the w of a single-index model up to scale. Its linear projection to the capped simplex does not depend on
the scale. tau[u] is the share of bytes of a text divided by the share of the text that may have weight, for which we
use 1/2.
"""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.index_curve import IndexCurve, apply_curves, fit_curves, loss_per_byte
from csvjax.baselines.view import View
from csvjax.errors import InputError

__all__ = ["pair_estimate", "perplexity_correlations", "to_capped_simplex"]


def perplexity_correlations(chosen: float = 0.5) -> PointMethod:
    """The method. `chosen` is the smallest share of the text, in bytes, that has weight."""
    return PointMethod(
        name="perplexity correlations",
        source="Thrush et al. 2024, arXiv 2409.05816, sign_cdf, linear projection",
        needs=frozenset({"losses"}),
        learn=partial(_learn, chosen=chosen),
        refit=partial(_refit, chosen=chosen),
    )


def pair_estimate(x: Float[np.ndarray, "lm unit"], y: Float[np.ndarray, " lm"]) -> Float[np.ndarray, " unit"]:
    """Mean over ordered pairs of different models of sign(y_g - y_k) (F(x_g) - F(x_k)), with F = rank / M.

    The sum over pairs is one over models: sum_gk sign(y_g - y_k) (F_g - F_k) = 2 sum_g F_g sum_k sign(y_g - y_k).
    """
    count = len(y)
    share = rankdata(x, axis=0) / count
    ahead = 2 * rankdata(y) - count - 1  # models below minus models above
    return 2 * (ahead @ share) / (count * (count - 1))


def to_capped_simplex(
    estimate: Float[np.ndarray, " unit"], cap: Float[np.ndarray, " unit"]
) -> Float[np.ndarray, " unit"]:
    """argmax <estimate, w> with 0 <= w <= cap and sum w = 1: the largest estimates get their caps.

    Raises: InputError if the caps sum to less than 1.
    """
    if cap.sum() < 1 - 1e-9:
        raise InputError(
            f"expected caps that sum to at least 1, found {cap.sum():g}; choose a smaller share of the text"
        )
    order = np.argsort(-estimate, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(cap[order])[:-1]])
    weight = np.empty_like(cap)
    weight[order] = np.clip(1 - before, 0.0, cap[order])
    return weight


def _learn(view: View, key: jax.Array, chosen: float) -> Law:
    weight = _weights(view, chosen)
    return partial(_predict, weight, fit_curves(view, _index(view, weight)))


def _refit(law: Law, view: View, key: jax.Array, chosen: float) -> Law:
    assert isinstance(law, partial)
    weight = _weights(view, chosen)
    return partial(_predict, weight, fit_curves(view, _index(view, weight), law.args[1]))


def _weights(view: View, chosen: float) -> Float[np.ndarray, "unit target"]:
    whole = ~np.isnan(loss_per_byte(view))
    weights = []
    for y in view.target.T:
        known = whole & ~np.isnan(y)
        if known.sum() < 2:
            raise InputError(
                f"expected at least two training rows with losses and a score, found {known.sum()}; give more models"
            )
        estimate = pair_estimate(-view.loss[known] / view.size, y[known])
        weights.append(to_capped_simplex(estimate, view.size / view.size.sum() / chosen))
    return np.stack(weights, axis=1)


def _index(view: View, weight: Float[np.ndarray, "unit target"]) -> Float[np.ndarray, "row target"]:
    return -view.loss / view.size @ weight


def _predict(
    weight: Float[np.ndarray, "unit target"], curves: list[IndexCurve], view: View
) -> Float[np.ndarray, "row target"]:
    return apply_curves(curves, _index(view, weight))
