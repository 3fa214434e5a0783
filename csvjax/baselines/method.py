"""The one interface of everything that predicts scores: fit a view, then predict a view, as a mean and as draws.

    fitted = method.fit(view, key)
    fitted.predict(view)             [row, target]         point prediction
    fitted.draws(view, key, count)   [draw, row, target]   of a new observed score

The contract, which the referee relies on:

- A method sees a `View` and nothing else. What is NaN or "" there is not to be seen; the targets that are there are its
  training data. It may use whatever the view shows of other rows, but `predict` and `draws` of a row depend on that row
  and on the fit alone.
- Scores are fractions. Where a method has no answer (a row without compute, say) its prediction and all its draws are
  NaN; that is counted, and is no failure. If it cannot fit at all it raises an `InputError` that says why; a
  `NotApplicable` if the view has nothing of what it learns from.
- `draws` are draws of what would be observed, noise of models and items included, not of the mean score. They may be
  any exchangeable sample; the referee sees nothing else of a method's uncertainty.
- Same view, same key: same numbers.
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
    """The view has nothing at all of what the method learns from: no losses, no compute."""


@runtime_checkable
class Fitted(Protocol):
    """A method whose parameters are known."""

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """Point prediction of every row and target of `view`; NaN without an answer."""
        ...

    def draws(self, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """`count` predictive draws of an observed score of every row and target; NaN without an answer."""
        ...


@runtime_checkable
class Method(Protocol):
    """A way to predict scores.

    `name`: as tables show it. `source`: paper and equation. `needs`: what it must see of a row to predict it.
    """

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def needs(self) -> frozenset[Need]: ...

    def fit(self, view: View, key: jax.Array) -> Fitted:
        """Fit the targets that `view` shows.

        Raises: InputError if the view lacks what the method learns from.
        """
        ...


def generator(key: jax.Array) -> np.random.Generator:
    """A numpy generator for the parts that numpy and scipy compute."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))
