"""The one interface of the competing methods: fit a view, predict a view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from csvjax.laws.baselines.view import Need, View

__all__ = ["Fitted", "Law", "Method", "generator"]

Law = Callable[[View], Float[np.ndarray, "row target"]]
"""From what may be seen of the rows to the mean score of every row and target; NaN where the law has no answer."""


@dataclass(frozen=True)
class Method:
    """A method of the literature.

    `name`; `source`: paper and equation, or where the numbers are from. `needs`: what it may see of a row to predict;
    everything else is blanked before `learn` and the law that it returns see a view.
    """

    name: str
    source: str
    needs: frozenset[Need]
    learn: Callable[[View, jax.Array], Law]

    def fit(self, view: View, key: jax.Array) -> Fitted:
        """Fit the training rows of `view`."""
        return Fitted(self, self.learn(view.only(self.needs), key))


@dataclass(frozen=True)
class Fitted:
    """A method whose parameters are known."""

    method: Method
    law: Law

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """Mean scores of every row of `view`, as fractions; NaN where the method lacks what it needs."""
        return self.law(view.only(self.method.needs))


def generator(key: jax.Array) -> np.random.Generator:
    """A numpy generator for the parts that numpy and scipy compute."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))
