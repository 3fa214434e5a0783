"""The interface of all methods that predict scores: fit a view, then predict the rows of a view.

    fitted = method.fit(view, key)
    fitted.predict(view)             [row, target]         point prediction
    fitted.draws(view, key, count)   [draw, row, target]   of a new observed score

The contract, which the referee relies on:

- A method sees only a `View`. NaN and "" in it are hidden values; the targets that it shows are the training data. In
  `fit` a method may use everything in the view, but `predict` and `draws` for a row depend only on this row and the
  fit.
- Scores are fractions. If a method cannot predict a row (one without compute, for example), its prediction and all its
  draws are NaN; this is counted, but it is not a failure. A method that cannot be fitted raises an `InputError` with
  the reason, and a `NotApplicable` if the view has none of the data that the method learns from.
- `draws` are draws of an observed score, with the noise of models and items, not of the mean score. They may be any
  exchangeable sample; the referee judges the uncertainty of a method by them alone.
- The same view and the same key give the same numbers.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float

from csvjax.baselines.view import Need, View
from csvjax.errors import InputError

__all__ = ["Fitted", "Method", "NotApplicable", "generator"]


class NotApplicable(InputError):
    """The view has none of the data that the method learns from, such as losses or compute."""


@runtime_checkable
class Fitted(Protocol):
    """A fitted method."""

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """Point prediction for every row and target, a fraction; NaN where the method cannot predict."""
        ...

    def draws(self, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """`count` draws of an observed score for every row and target; NaN where the method cannot predict."""
        ...


@runtime_checkable
class Method(Protocol):
    """A method that predicts scores.

    Attributes:
        name: name for tables.
        source: paper and equation.
        needs: what it must see of a row to predict it.
    """

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def needs(self) -> frozenset[Need]: ...

    def fit(self, view: View, key: jax.Array) -> Fitted:
        """Fit the targets that `view` shows.

        Raises: InputError if the view does not have the data that the method learns from.
        """
        ...


def generator(key: jax.Array) -> np.random.Generator:
    """A NumPy generator from a JAX key, for code that uses NumPy and SciPy."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))
