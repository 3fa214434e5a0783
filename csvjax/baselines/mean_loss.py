"""Predicts each target by a sigmoid of the mean loss, the reference for methods that weight tokens.

    score = b + a / (1 + exp(-k (L - L0))),   L in nats per byte

The link of Ge et al. 2025 (arXiv 2506.13216) with equal weights. Gadre et al. 2024 (arXiv 2403.08540) map the mean loss
to an error with an exponential instead.
"""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.index_curve import IndexCurve, apply_curves, fit_curves, loss_per_byte
from csvjax.baselines.view import View

__all__ = ["mean_loss"]


def mean_loss() -> PointMethod:
    """The method, with the mean loss over all units in nats per byte."""
    return PointMethod(
        "mean loss", "Ge et al. 2025, arXiv 2506.13216, equal weights", frozenset({"losses"}), _learn, _refit
    )


def _learn(view: View, key: jax.Array) -> Law:
    return partial(_predict, fit_curves(view, _index(view)))


def _refit(law: Law, view: View, key: jax.Array) -> Law:
    assert isinstance(law, partial)
    return partial(_predict, fit_curves(view, _index(view), law.args[0]))


def _index(view: View) -> Float[np.ndarray, "row target"]:
    return np.repeat(loss_per_byte(view)[:, None], view.target.shape[1], axis=1)


def _predict(curves: list[IndexCurve], view: View) -> Float[np.ndarray, "row target"]:
    return apply_curves(curves, _index(view))
