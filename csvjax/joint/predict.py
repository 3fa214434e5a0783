"""What a fit of the joint law says of cells that it has not seen, and of models that came after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float

from csvjax import names
from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable, check_units
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.evaluate import metrics
from csvjax.law.units import pool
from csvjax.laws.fit_joint import FittedJoint, solved
from csvjax.laws.joint_evidence import COVARIATES, covariate_scale, log_amount
from csvjax.laws.joint_model import JointEvidence
from csvjax.laws.joint_predictive import JointPredictive, predict_joint, predict_new
from csvjax.precision import float64

__all__ = [
    "Drawn",
    "IntervalKind",
    "bounds",
    "draw_fitted",
    "draw_new",
    "new_evidence",
    "predict_lms",
    "summary",
    "unseen",
]

IntervalKind = Literal["equal-tailed", "highest-density"]

_DRAWS, _LMS = 200, 50  # in one piece: memory does not grow with their number, and one shape is compiled once


class Drawn(NamedTuple):
    """Draws of the mean score of models with such capabilities, and of a score observed for this model; fractions."""

    mean: Float[np.ndarray, "draw lm benchmark"]
    score: Float[np.ndarray, "draw lm benchmark"]


def bounds(draws: np.ndarray, level: float, kind: IntervalKind) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the interval of probability `level`; [draw, ...] -> two of [...]."""
    return (metrics.interval if kind == "equal-tailed" else metrics.highest_density)(draws, level)


@float64
def draw_fitted(fit: FittedJoint, seed: int = 0) -> Drawn:
    """Draws for every cell of the fit's dataset given the scores that it saw, in float32."""
    drawn = _piecewise(fit, seed, lambda x, key: predict_joint(fit.density, fit.evidence, x, key))
    return solved(drawn, drawn.mean)


@float64
def draw_new(fit: FittedJoint, new: JointEvidence, seed: int = 0, alike: bool = False) -> Drawn:
    """Draws for models that the fit does not have, each from what `new` shows of it, and from its family in the fit.

    alike: all models have the same random numbers, so that they differ by what is known of them alone.
    """
    count = len(new.score)
    lanes = []
    for first in range(0, count, _LMS):
        filled = np.minimum(np.arange(first, first + _LMS), count - 1)
        some, stream = _rows(new, filled), np.zeros(_LMS, np.int64) if alike else filled.astype(np.int64)

        def one(x: np.ndarray, key: Array, some: JointEvidence = some, stream: np.ndarray = stream) -> JointPredictive:
            return predict_new(fit.density, fit.evidence, some, x, key, stream)

        drawn = _piecewise(fit, seed, one)
        lanes.append([part[:, : count - first] for part in drawn])
    drawn = Drawn(*(np.concatenate(part, axis=1) for part in zip(*lanes, strict=True)))
    return solved(drawn, drawn.mean)


def _piecewise(fit: FittedJoint, seed: int, one: Callable[[np.ndarray, Array], JointPredictive]) -> Drawn:
    x = fit.draws()
    parts = []
    for start in range(0, len(x), _DRAWS):
        piece = np.resize(x[start : start + _DRAWS], (_DRAWS, x.shape[1]))
        found = one(piece, jax.random.fold_in(jax.random.key(seed), start))
        parts.append([part[: len(x) - start] for part in _kept(found)])
    return Drawn(*map(np.concatenate, zip(*parts, strict=True)))


def _kept(found: JointPredictive) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(found.mean, np.float32), np.asarray(found.score, np.float32)


def _rows(e: JointEvidence, at: np.ndarray) -> JointEvidence:
    each = ("score", "seen", "weight", "covariate", "known", "family", "loss")
    return e._replace(**{name: getattr(e, name)[at] for name in each})


def summary(
    drawn: Drawn,
    cells: Bool[np.ndarray, "lm benchmark"],
    lms: pd.DataFrame,
    scores: ScoreTable,
    kind: IntervalKind = "equal-tailed",
) -> pd.DataFrame:
    """One row for each of the `cells`, benchmark by benchmark.

    Columns: benchmark, lm, family, observed, n_items, floor; mean, median; lower and upper 50, 80 and 90 of a new
    observation, mean_lower90 and mean_upper90 of the mean score; crps.
    """
    parts = []
    for b, benchmark in enumerate(scores.benchmarks):
        at = np.flatnonzero(cells[:, b])
        mean, score = drawn.mean[:, at, b].astype(float), drawn.score[:, at, b].astype(float)
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
            "mean": score.mean(axis=0),
            "median": np.median(score, axis=0),
            **ends,
            "crps": metrics.crps(observed, score),
        }
        parts.append(pd.DataFrame(row))
    return pd.concat(parts, ignore_index=True)


def unseen(fit: FittedJoint, seed: int = 0, kind: IntervalKind = "equal-tailed") -> pd.DataFrame:
    """Predictions of every score of the fit's own dataset that it was not given; columns as `summary` gives them."""
    assert fit.dataset.scores is not None
    cells = ~np.asarray(fit.evidence.seen) & ~fit.left_out
    return summary(draw_fitted(fit, seed), cells, fit.dataset.lms, fit.dataset.scores, kind)


def predict_lms(
    fit: FittedJoint,
    lms: pd.DataFrame | None = None,
    scores: ScoreTable | None = None,
    losses: LossTable | None = None,
    seed: int = 0,
    kind: IntervalKind = "equal-tailed",
) -> pd.DataFrame:
    """Predictions of every benchmark for models that the fit does not have, from whatever is given of them.

    lms: families and amounts, as in a `Dataset`. scores: some of the benchmarks of the fit. losses: on its text. A
    family that the fit knows by name lends its effects; columns as `summary` gives them, `observed` where a score was
    given.

    Raises: InputError if nothing is given, for models that the fit has, benchmarks that it does not have, and losses on
    another text.
    """
    data = align(lms, scores, losses)
    if known := [name for name in data.lms.index if name in set(fit.dataset.lms.index)]:
        raise InputError(
            f"expected models that the fit does not have, found {names.some(known)}; leave them out, or rename them"
        )
    evidence, table = new_evidence(fit, data)
    every = np.ones(table.score.shape, bool)
    return summary(draw_new(fit, evidence, seed), every, data.lms, table, kind)


def new_evidence(fit: FittedJoint, data: Dataset) -> tuple[JointEvidence, ScoreTable]:
    """Evidence of new models on the scales of the fit; their scores on all of its benchmarks, NaN where not given."""
    old = fit.dataset.scores
    assert old is not None
    count = len(data.lms)
    score = np.full((count, len(old.benchmarks)), np.nan)
    if data.scores is not None:
        score[:, names.positions(data.scores.benchmarks, old.benchmarks, "benchmark")] = data.scores.score
    amounts = {name: data.lms[name].to_numpy(float) for name in COVARIATES}
    scales = covariate_scale(fit.dataset, fit.settings.covariates)
    columns = [(log_amount(amounts, name) - centre) / scale for name, (centre, scale) in scales]
    x = np.stack(columns, axis=1) if columns else np.zeros((count, 0))
    index = {name: i for i, name in enumerate(fit.families)}
    new = fit.evidence._replace(
        score=np.nan_to_num(score),
        seen=np.isfinite(score),
        weight=np.ones(count),
        covariate=np.nan_to_num(x),
        known=np.isfinite(x),
        family=np.array([index.get(name, len(index) + i) for i, name in enumerate(data.lms["family"])], int),
        loss=_loss(fit, data.losses, count),
    )
    table = ScoreTable(tuple(data.lms.index), old.benchmarks, score, old.n_items, old.floor, old.ceiling)
    return new, table


def _loss(fit: FittedJoint, losses: LossTable | None, count: int) -> np.ndarray:
    if fit.units is None:
        if losses is not None:
            raise InputError("expected no losses for a fit that was made without, found some; leave them out")
        return np.zeros((count, 0))
    if losses is None:
        raise InputError("expected losses of the new models, as the fit was made with losses, found none; give them")
    assert fit.dataset.losses is not None
    check_units(fit.dataset.losses, losses)
    per_byte = losses.loss.astype(float) / losses.units["bytes"].to_numpy(float)
    return pool(per_byte, fit.dataset.losses.base_weight, fit.units.label, len(fit.units.weight))[0]
