"""Simple guesses from the family: its mean score, or the score of its largest known model.

A family without training rows gets the average of the guesses for the known families.
"""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.view import View

__all__ = ["family_mean", "last_of_family"]


def family_mean() -> PointMethod:
    """The method that predicts the mean of the training rows of the family."""
    return PointMethod("mean of the family", "no model", frozenset({"family"}), partial(_learn, last=False))


def last_of_family() -> PointMethod:
    """The method that predicts the score of the training row of the family with the most training compute.

    Compute is FLOPs if known for all rows of the family, otherwise parameters. Without either, the mean is used.
    """
    return PointMethod("last known model of the family", "no model", frozenset({"family"}), partial(_learn, last=True))


def _learn(view: View, key: jax.Array, last: bool) -> Law:
    guess = {}
    for family in sorted(set(view.family[view.train].tolist())):
        rows = view.take(view.train & (view.family == family))
        amount = _compute(rows) if last else np.zeros(len(rows.family))
        guess[family] = np.array([_at_largest(y, amount) for y in rows.target.T])
    everyone = np.nanmean(list(guess.values()), axis=0)
    filled = {family: np.where(np.isnan(value), everyone, value) for family, value in guess.items()}
    return partial(_predict, filled, everyone)


def _compute(rows: View) -> Float[np.ndarray, " row"]:
    for amount in (rows.flops, rows.params):
        if not np.isnan(amount).any():
            return amount
    return np.zeros(len(rows.family))


def _at_largest(y: np.ndarray, amount: np.ndarray) -> float:
    """Mean score of the rows with the largest amount among rows with a score; NaN without scores."""
    known = ~np.isnan(y)
    if not known.any():
        return float("nan")
    return float(y[known & (amount == amount[known].max())].mean())


def _predict(guess: dict[str, np.ndarray], everyone: np.ndarray, view: View) -> Float[np.ndarray, "row target"]:
    return np.stack([guess.get(str(family), everyone) for family in view.family])
