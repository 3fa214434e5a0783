"""Intervals for methods without published ones: refit to resampled families, and add errors of left-out rows.

    mean[r]  = prediction of the method fitted to families drawn with replacement, r = 1..refits
    score[d] = mean[r(d)] + an error of the method on training rows that were left out of the fit

A row whose family has training rows is predicted by refits that contain the family, with errors of left-out models; a
row of a new family gets errors of left-out families. Rows of one family are not independent, so families are drawn (or
models, if there are fewer than three families): Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 8.
Without the error in the second line an interval would cover only the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from csvjax.baselines.method import NotApplicable, generator
from csvjax.baselines.view import Need, View
from csvjax.errors import InputError

__all__ = ["Law", "Learn", "PointFit", "PointMethod", "Refit"]

Law = Callable[[View], Float[np.ndarray, "row target"]]
"""Predicts the score of every row and target from a view; NaN where the law cannot predict."""
Learn = Callable[[View, jax.Array], Law]
Refit = Callable[[Law, View, jax.Array], Law]
"""A faster `Learn` that may start from the law that was learnt from all training rows."""

_PARTS = 5
_FEWEST_SCORES = 2  # scores that a target must have in a resample, so that it can be fitted
_TRIES = 20


@dataclass(frozen=True)
class PointMethod:
    """A `Method` with point predictions, whose draws come from the bootstrap of families.

    Attributes:
        name: name for tables.
        source: paper and equation.
        needs: what it must see of a row; the views that `learn` and its law get show nothing else.
        learn: fits a law to a view.
        refit: fits a law again, faster; None for `learn`.
        refits: number of resamples.
        amounts: amounts (params, tokens, flops) without which it cannot predict a row.
    """

    name: str
    source: str
    needs: frozenset[Need]
    learn: Learn
    refit: Refit | None = None
    refits: int = 25
    amounts: tuple[str, ...] = ()

    def fit(self, view: View, key: jax.Array) -> PointFit:
        """Fit the training rows of `view`."""
        seen = view.only(self.needs)
        return PointFit(self, seen, self.learn(seen, key))


@dataclass(frozen=True)
class PointFit:
    """A law with the view from which it was learnt."""

    method: PointMethod
    seen: View
    law: Law

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """Scores of every row of `view`, fractions; NaN where the row does not show what the method needs."""
        return self.law(view.only(self.method.needs))

    def draws(self, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """Draws of an observed score, within [0, 1].

        Raises: InputError for fewer than three training rows, and if no refit contains the family of a row.
        """
        rng = generator(key)
        train = np.flatnonzero(self.seen.train)
        if len(train) < 3:
            raise InputError(f"expected at least 3 training rows to resample, found {len(train)}; give more")
        families, member = np.unique(self.seen.family[train], return_inverse=True)
        if len(families) < 3:
            families, member = np.arange(len(train)).astype(str), np.arange(len(train))
        seen = np.isin(view.family, self.seen.family[train]) | (view.family == "")
        means, drawn = self._refits(view.only(self.method.needs), train, member, key, rng, count)
        chosen = rng.integers(len(means), size=(count, len(view.family)))
        for f, family in enumerate(families.tolist()):
            rows = np.flatnonzero(view.family == family)
            good = np.flatnonzero(drawn[:, f])
            if len(rows) and not len(good):
                raise InputError(f"expected a refit that contains family {family!r}, found none; use more refits")
            if len(rows):
                chosen[:, rows] = rng.choice(good, (count, len(rows)))
        mean = means[chosen, np.arange(len(view.family))]
        by_row = self._errors(train, _parts(len(train), rng), key)
        error = _drawn(by_row, mean.shape, rng)
        if not seen.all():
            by_family = self._errors(train, _parts(len(families), rng)[member], key)
            error = np.where(seen[None, :, None], error, _drawn(by_family, mean.shape, rng))
        return np.clip(mean + error, 0.0, 1.0)

    def _refits(
        self, view: View, train: np.ndarray, member: np.ndarray, key: jax.Array, rng: np.random.Generator, count: int
    ) -> tuple[Float[np.ndarray, "refit row target"], Bool[np.ndarray, "refit family"]]:
        """Predictions of every refit, and whether it contained each family."""
        known = ~np.isnan(self.seen.target[train])
        families = int(member.max()) + 1
        means, drawn = [], []
        for r in range(min(self.method.refits, count)):
            for _ in range(_TRIES):
                chosen = rng.integers(families, size=families)
                rows = np.concatenate([np.flatnonzero(member == f) for f in chosen])
                distinct = np.unique(rows)
                if (known[distinct].sum(axis=0) >= _FEWEST_SCORES).all() and len(distinct) > 2:
                    break
            else:
                raise InputError(
                    f"expected scores of every target in one of {_TRIES} resamples of the families, found none; leave "
                    "out targets that few families have"
                )
            law = self._again(self.seen.take(train[rows]), jax.random.fold_in(key, r))
            means.append(law(view))
            drawn.append(np.bincount(chosen, minlength=families) > 0)
        return np.stack(means), np.stack(drawn)

    def _again(self, view: View, key: jax.Array) -> Law:
        refit = self.method.refit
        try:
            return self.method.learn(view, key) if refit is None else refit(self.law, view, key)
        except NotApplicable as error:  # the whole view had the data, so this is a failure
            raise InputError(f"a resample of the training rows is too small: {error}") from error

    def _errors(
        self, train: np.ndarray, part: Int[np.ndarray, " train"], key: jax.Array
    ) -> Float[np.ndarray, "train target"]:
        """Observed minus predicted scores of the training rows, predicted without their part; NaN without a prediction.

        The rows that are left out show the law what any row to predict shows.
        """
        everything = self.seen.take(train)
        error = np.full(everything.target.shape, np.nan)
        for left_out in np.unique(part):
            out = part == left_out
            rest = everything.take(~out)
            if len(rest.target) == 0 or (np.sum(~np.isnan(rest.target), axis=0) < _FEWEST_SCORES).any():
                continue
            hidden = replace(everything, target=np.where(out[:, None], np.nan, everything.target))
            predicted = self._again(rest, key)(hidden.only(self.method.needs))
            error[out] = (everything.target - predicted)[out]
        return error


def _parts(count: int, rng: np.random.Generator) -> Int[np.ndarray, " count"]:
    return rng.permutation(count) % min(_PARTS, count)


def _drawn(error: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Errors drawn with replacement, for each target among its own errors; 0 if it has none."""
    found = np.zeros(shape)
    for b, column in enumerate(error.T):
        known = column[~np.isnan(column)]
        if len(known):
            found[:, :, b] = rng.choice(known, shape[:2])
    return found
