"""Intervals for methods that publish none, as the field makes them: refit to resampled families, add unseen errors.

    mean[r]  = prediction of the method fitted to families drawn with replacement, r = 1..refits
    score[d] = mean[r(d)] + an error that the method made on training rows when it was fitted without them

A row whose family has training rows is predicted from refits that contain the family, and gets an error made with
single models left out; a row of an unseen family gets an error made with families left out. Rows of one family are no
independent evidence, which is why families are drawn (models, where there are fewer than three families): Efron and
Tibshirani 1993, An Introduction to the Bootstrap, chapter 8. Without the second line an interval covers the mean only.
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
"""From what may be seen of the rows to the score of every row and target; NaN where the law has no answer."""
Learn = Callable[[View, jax.Array], Law]
Refit = Callable[[Law, View, jax.Array], Law]
"""A quicker `Learn` that may begin at the law that was learnt from all training rows."""

_PARTS = 5
_FEWEST_SCORES = 2  # of a target, for a resample or a rest to be fitted
_TRIES = 20


@dataclass(frozen=True)
class PointMethod:
    """A `Method` that gives points; its draws are those of the family bootstrap.

    `learn` and the law that it returns see views without what `needs` does not name. `refits`: how many resamples.
    `amounts`: the kinds of compute (params, tokens, flops) without which it has no answer for a row.
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
    """A law, and the view that it was learnt from."""

    method: PointMethod
    seen: View
    law: Law

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """Scores of every row of `view`, as fractions; NaN where the method lacks what it needs."""
        return self.law(view.only(self.method.needs))

    def draws(self, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """Draws of an observed score, within [0, 1].

        Raises: InputError for fewer than three training rows, and where no refit contained the family of a row.
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
                raise InputError(f"expected a refit that contains family {family!r}, found none; ask for more refits")
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
        """Predictions of every refit, and the families that it contained."""
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
                    "expected scores of every target in a resample of the families, found none in "
                    f"{_TRIES} of them; drop targets that few families have"
                )
            law = self._again(self.seen.take(train[rows]), jax.random.fold_in(key, r))
            means.append(law(view))
            drawn.append(np.bincount(chosen, minlength=families) > 0)
        return np.stack(means), np.stack(drawn)

    def _again(self, view: View, key: jax.Array) -> Law:
        refit = self.method.refit
        try:
            return self.method.learn(view, key) if refit is None else refit(self.law, view, key)
        except NotApplicable as error:  # a part of the view lacks what the whole of it had: a failure
            raise InputError(f"a resample of the training rows is too small: {error}") from error

    def _errors(
        self, train: np.ndarray, part: Int[np.ndarray, " train"], key: jax.Array
    ) -> Float[np.ndarray, "train target"]:
        """Observed minus predicted of the training rows, each without its part; NaN where nothing was predicted.

        Of the rows left out the law sees what it sees of any row to predict.
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
    """Errors drawn with replacement, for every target among its own; none where none is known."""
    found = np.zeros(shape)
    for b, column in enumerate(error.T):
        known = column[~np.isnan(column)]
        if len(known):
            found[:, :, b] = rng.choice(known, shape[:2])
    return found
