"""`csvjax.predict`: predictions for scores that a fit has not seen, and for new models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import jax
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from csvjax import intervals, names
from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable, check_units
from csvjax.data.scales import Scale
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.law.evidence import OF_ROWS, evidence_of, join_families, names_of_groups
from csvjax.law.model import Evidence
from csvjax.law.predictive import draw_pieces
from csvjax.precision import float64
from csvjax.result.result import Result, finite_draws

__all__ = [
    "Drawn",
    "IntervalKind",
    "Prediction",
    "bounds",
    "draw_fitted",
    "draw_new",
    "mean_of",
    "new_models",
    "new_table",
    "predict",
    "summary",
    "unseen",
]

IntervalKind = Literal["equal-tailed", "highest-density"]

_LMS = 50  # models in one batch, so that memory does not grow with their number and one shape is compiled


class Drawn(NamedTuple):
    """Draws of predicted scores: fractions, or in the unit of the benchmark.

    Attributes:
        mean: the mean score of models with the same capabilities [draw, lm, benchmark].
        score: a score that is observed for this model, with its residual and item noise [draw, lm, benchmark].
    """

    mean: Float[np.ndarray, "draw lm benchmark"]
    score: Float[np.ndarray, "draw lm benchmark"]


def bounds(draws: np.ndarray, level: float, kind: IntervalKind) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends, each [...], of the interval of probability `level` of draws [draw, ...]."""
    return (intervals.interval if kind == "equal-tailed" else intervals.highest_density)(draws, level)


@float64
def draw_fitted(fit: Result, seed: int | None = None) -> Drawn:
    """Draws for every score of the dataset of a fit, given the scores that the fit saw, in float32.

    Args:
        fit: a result of `csvjax.fit`.
        seed: seed of the draws; None for the seed of the fit.
    """
    if seed is None or seed == fit.seed:
        return Drawn(fit.cells.mean, fit.cells.score)
    drawn = _piecewise(fit, fit.evidence, np.arange(len(fit.dataset.lms)), seed)
    return finite_draws(drawn, drawn.mean)


@float64
def draw_new(fit: Result, new: Dataset, seed: int = 0) -> Drawn:
    """Draws for new models, given what `new` knows of each model and what the fit knows of its family."""
    parts = [drawn for _, drawn in _draw_parts(fit, new, seed)]
    drawn = Drawn(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))
    return finite_draws(drawn, drawn.mean)


@float64
def new_table(
    fit: Result,
    models: Dataset | pd.DataFrame | ScoreTable | LossTable,
    *,
    seed: int = 0,
    kind: IntervalKind = "equal-tailed",
) -> pd.DataFrame:
    """`predict(fit, models).table()` in the memory that the draws of 50 models need."""
    new = new_models(fit, models)
    assert new.scores is not None
    parts = []
    for at, drawn in _draw_parts(fit, new, seed):
        lms = new.lms.iloc[at]
        cells = np.ones((len(at), len(fit.benchmarks)), bool)
        scores = new.scores.select(lms=list(lms.index))
        parts.append(summary(finite_draws(drawn, drawn.mean), cells, lms, scores, kind))
    whole = pd.concat(parts, ignore_index=True)
    order = pd.Index(fit.benchmarks).get_indexer(pd.Index(whole["benchmark"]))
    return whole.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _draw_parts(fit: Result, new: Dataset, seed: int) -> Iterator[tuple[Int[np.ndarray, " lm"], Drawn]]:
    """Positions of new models, at most 50, and their draws."""
    evidence, groups = _new_evidence(fit, new), names_of_groups(fit.dataset.lms, fit.law)
    theirs = names_of_groups(new.lms, fit.law)
    for first in range(0, len(new.lms), _LMS):
        at = np.arange(first, min(first + _LMS, len(new.lms)))
        its = [theirs[0][i] for i in at], None if theirs[1] is None else [theirs[1][i] for i in at]
        beside, rows = join_families(fit.evidence, groups, _rows(evidence, at), its)
        yield at, _piecewise(fit, beside, rows, seed)


def _piecewise(fit: Result, e: Evidence, rows: Int[np.ndarray, " lm"], seed: int) -> Drawn:
    key = jax.random.key(seed)
    pieces = draw_pieces(fit.density, fit.law.tail, e, fit.draws(), key)
    parts = [[np.asarray(a, np.float32)[:, rows] for a in (piece.mean, piece.score)] for piece in pieces]
    return Drawn(*map(np.concatenate, zip(*parts, strict=True)))


def _rows(e: Evidence, at: np.ndarray) -> Evidence:
    return e._replace(**{name: getattr(e, name)[at] for name in OF_ROWS})


def summary(
    drawn: Drawn,
    cells: Bool[np.ndarray, "lm benchmark"],
    lms: pd.DataFrame,
    scores: ScoreTable,
    kind: IntervalKind = "equal-tailed",
) -> pd.DataFrame:
    """A table of predictions with one row for each of the `cells`.

    Args:
        drawn: the draws.
        cells: the scores to put into the table.
        lms: the models.
        scores: observed scores, NaN where unknown.
        kind: kind of the intervals.

    Returns: a frame with the columns benchmark, lm, family, observed, n_items, floor; mean and median of the predicted
    score; lower50, upper50, lower80, upper80, lower90, upper90 of a new observation; mean_lower90 and mean_upper90 of
    the mean score; crps; and unit, the unit of all of these.
    """
    parts = []
    for b, benchmark in enumerate(scores.benchmarks):
        at = np.flatnonzero(cells[:, b])
        mean, score = drawn.mean[:, at, b].astype(float), drawn.score[:, at, b].astype(float)
        scale = scores.scales[b]
        observed = scores.score[at, b]
        ends = {}
        for level in (50, 80, 90):
            ends[f"lower{level}"], ends[f"upper{level}"] = bounds(score, level / 100, kind)
        ends["mean_lower90"], ends["mean_upper90"] = bounds(mean, 0.9, kind)
        row = {
            "benchmark": benchmark,
            "lm": lms.index[at],
            "family": lms["family"].to_numpy()[at],
            "observed": observed,
            "n_items": scores.n_items[b],
            "floor": scores.floor[b],
            "mean": mean_of(score, scale),
            "median": np.median(score, axis=0),
            **ends,
            "crps": intervals.crps(observed, score),
            "unit": scale.word,
        }
        parts.append(pd.DataFrame(row))
    return pd.concat(parts, ignore_index=True)


def mean_of(draws: Float[np.ndarray, "draw ..."], scale: Scale) -> Float[np.ndarray, ...]:
    """The mean of the draws. On a logarithmic scale the geometric mean, because few draws would dominate the other."""
    if scale.link == "log":
        return np.exp(np.log(np.maximum(draws, np.finfo(float).tiny)).mean(axis=0))
    return draws.mean(axis=0)


def unseen(fit: Result, seed: int = 0, kind: IntervalKind = "equal-tailed") -> pd.DataFrame:
    """Predictions of every score in the dataset of the fit that it has not seen, with the columns of `summary`."""
    assert fit.dataset.scores is not None
    cells = ~np.asarray(fit.evidence.seen) & ~fit.left_out
    return summary(draw_fitted(fit, seed), cells, fit.dataset.lms, fit.dataset.scores, kind)


def predict(
    fit: Result,
    models: Dataset | pd.DataFrame | ScoreTable | LossTable | None = None,
    *,
    seed: int = 0,
    kind: IntervalKind = "equal-tailed",
) -> Prediction:
    """Predict scores.

    Args:
        fit: a result of `csvjax.fit`.
        models: new models with what is known of them: a `Dataset`, a frame with any of the columns family, run, params,
            tokens, flops and other covariates (index: names), scores on some benchmarks of the fit, or losses on its
            text. A model of a family of the fit gets the effects of that family. None (the default) predicts the
            scores of the fit's own dataset that it has not seen.
        seed: seed of the draws.
        kind: kind of the intervals, "equal-tailed" or "highest-density".

    Returns: a `Prediction` with draws and a table.

    Raises: InputError for models that the fit has, benchmarks that it does not have, and losses on another text.
    """
    if models is None:
        assert fit.dataset.scores is not None
        cells = ~np.asarray(fit.evidence.seen) & ~fit.left_out
        return Prediction(draw_fitted(fit, seed), cells, fit.dataset.lms, fit.dataset.scores, kind)
    new = new_models(fit, models)
    every = np.ones((len(new.lms), len(fit.benchmarks)), bool)
    assert new.scores is not None
    return Prediction(draw_new(fit, new, seed), every, new.lms, new.scores, kind)


class Prediction(NamedTuple):
    """Predicted scores.

    Attributes:
        drawn: draws of the mean score and of an observed score.
        cells: the scores that were asked for.
        lms: the models.
        scores: observed scores, NaN where unknown.
        kind: kind of the intervals in the table.
    """

    drawn: Drawn
    cells: Bool[np.ndarray, "lm benchmark"]
    lms: pd.DataFrame
    scores: ScoreTable
    kind: IntervalKind

    def table(self) -> pd.DataFrame:
        """One row for each model and benchmark, with the columns of `summary`."""
        return summary(self.drawn, self.cells, self.lms, self.scores, self.kind)

    def _repr_html_(self) -> str:
        from csvjax.result.html import prediction_html

        return prediction_html(self.table())


def new_models(fit: Result, models: Dataset | pd.DataFrame | ScoreTable | LossTable) -> Dataset:
    """A dataset of new models with scores on all benchmarks of the fit, NaN where they are not known.

    Raises: InputError for models that the fit has, benchmarks that it does not have, and losses on another text.
    """
    if isinstance(models, ScoreTable):
        models = align(scores=models)
    elif isinstance(models, LossTable):
        models = align(losses=models)
    elif isinstance(models, pd.DataFrame):
        models = align(_completed(models))
    if known := [name for name in models.lms.index if name in set(fit.dataset.lms.index)]:
        raise InputError(
            f"expected models that the fit does not have, found {names.some(known)}; leave them out or rename them"
        )
    if models.losses is not None:
        if fit.known.units is None:
            raise InputError("the fit has no losses, but the new models have some; leave out the losses")
        assert fit.dataset.losses is not None
        check_units(fit.dataset.losses, models.losses)
    old = fit.dataset.scores
    assert old is not None
    score = np.full((len(models.lms), len(old.benchmarks)), np.nan)
    if models.scores is not None:
        at = names.positions(models.scores.benchmarks, old.benchmarks, "benchmark")
        _check_scales(models.scores, [old.scales[b] for b in at])
        score[:, at] = models.scores.score
    table = replace(old, lms=tuple(models.lms.index), score=score)
    lms = models.lms
    for column in sorted({base.column for base in fit.known.columns.bases.values()} - set(lms.columns)):
        lms = lms.assign(**{column: np.nan})
    return Dataset(lms, table, models.losses)


def _check_scales(scores: ScoreTable, expected: Sequence[Scale]) -> None:
    for name, found, scale, column in zip(scores.benchmarks, scores.scales, expected, scores.score.T, strict=True):
        if found != scale and not np.isnan(column).all():
            raise InputError(
                f"expected scores on {name!r} in the unit of the fit, {scale.word}, found {found.word}; read the table "
                f"with that unit"
            )


def _completed(models: pd.DataFrame) -> pd.DataFrame:
    """A frame of models with the columns that every dataset has; without a family each model is a family of its own."""
    missing = {name: np.nan for name in ("params", "tokens", "flops") if name not in models.columns}
    family = {} if "family" in models.columns else {"family": [str(name) for name in models.index]}
    return models.assign(**missing, **family)


def _new_evidence(fit: Result, new: Dataset) -> Evidence:
    assert new.scores is not None
    return evidence_of(new, np.isfinite(new.scores.score), fit.law, fit.known)
