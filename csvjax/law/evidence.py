"""From a Dataset to the arrays that the law sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from csvjax.data.bounds import Bounds, find_bounds
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.law.covariates import Columns, encode, find_columns
from csvjax.law.groups import make_groups
from csvjax.law.links import Standard, standard_of, standardised
from csvjax.law.model import Evidence, Law
from csvjax.law.units import Units, features_of, group_units, pool

__all__ = [
    "FREE_UNITS",
    "OF_ROWS",
    "Known",
    "evidence_of",
    "join_families",
    "make_evidence",
    "names_of_groups",
    "pad_rows",
]

FREE_UNITS = 64
"""If a text has at most this many units, z is free on each of them."""


class Known(NamedTuple):
    """What a fit learns from its dataset before it uses a score, such as the scales that later models are put on too.

    columns: of the covariates. units: losses in groups of tokens. bounds: floors, ceilings, units of the benchmarks and
    what was assumed about them. standard: standardisation of scores without bounds. features: of z. scale: standard
    deviation of the mean loss. reference_loss, reference_design: losses and covariates of the models with known losses.
    """

    columns: Columns
    units: Units | None
    bounds: Bounds
    standard: Standard
    features: Float[np.ndarray, "unit feature"]
    scale: float
    reference_loss: Float[np.ndarray, "reference unit"]
    reference_design: Float[np.ndarray, "reference column"]


def make_evidence(
    dataset: Dataset, seen: Bool[np.ndarray, "lm benchmark"], law: Law, seed: int = 0
) -> tuple[Evidence, Known]:
    """Evidence that contains the scores in `seen`; all other scores are set to zero before any computation.

    Covariates are standardised over all models that have a value. Groups of tokens, features and the scale of losses
    are computed from the models that have at least one seen score.

    Raises: InputError for a dataset without scores, a mask of the wrong shape, and covariates that cannot be used.
    """
    scores = dataset.scores
    if scores is None:
        raise InputError("expected a dataset with scores, found one without; pass scores to align")
    if seen.shape != scores.score.shape:
        raise InputError(f"expected a mask of shape {scores.score.shape}, found {seen.shape}; pass [lm, benchmark]")
    mask = seen & np.isfinite(scores.score)
    for b in np.flatnonzero(~scores.bounded & ~mask.any(axis=0)):
        raise InputError(
            f"expected at least one score to fit on {scores.benchmarks[b]!r}, which is in {scores.scales[b].word}, "
            f"found none; leave the benchmark out, or hold out fewer scores"
        )
    bounds, standard = find_bounds(scores, mask), standard_of(scores.score, mask, scores.scales)
    columns = find_columns(dataset.lms, law.covariates)
    known = _known_losses(dataset, mask, law, seed, columns, bounds, standard)
    return evidence_of(dataset, mask, law, known), known


def _known_losses(
    dataset: Dataset, mask: np.ndarray, law: Law, seed: int, columns: Columns, bounds: Bounds, standard: Standard
) -> Known:
    x = encode(dataset.lms, columns)[0]
    design = np.hstack([np.ones((len(x), 1)), x])
    if dataset.losses is None:
        none = np.zeros((0, 0))
        return Known(columns, None, bounds, standard, np.zeros((0, 1)), 1.0, none, np.zeros((0, design.shape[1])))
    has = dataset.has_losses
    train = mask.any(axis=1) & has
    if not train.any():
        raise InputError("expected losses of models that have scores, found none; add the losses of some of them")
    units = group_units(dataset.losses.select(list(dataset.lms.index[has])), train[has], law.per_domain, seed=seed)
    mean = units.loss[train[has]] @ units.weight
    if len(units.weight) <= FREE_UNITS:
        features = np.eye(len(units.weight))
    else:
        features = features_of(units.loss[train[has]], units.weight, law.features) / np.sqrt(law.features)
    scale = float(np.maximum(mean.std(), 1e-9))
    return Known(columns, units, bounds, standard, features, scale, units.loss, design[has])


def _runs(lms: pd.DataFrame) -> list[str]:
    """The run of each model: column `run` (checkpoints of one training run share a name), otherwise its own run."""
    own = lms.index.to_series().map("\0{}".format)
    return [str(run) for run in lms["run"].fillna(own)] if "run" in lms.columns else list(own)


def evidence_of(dataset: Dataset, mask: Bool[np.ndarray, "lm benchmark"], law: Law, known: Known) -> Evidence:
    """The evidence of `dataset`, which may have other models than the fit that `known` comes from."""
    scores, bounds, lms = dataset.scores, known.bounds, len(dataset.lms)
    assert scores is not None
    x, missing = encode(dataset.lms, known.columns)
    loss, has, log_base = np.zeros((lms, 0)), np.ones(lms, bool), np.zeros(0)
    if known.units is not None:
        loss, has = np.zeros((lms, len(known.units.weight))), dataset.has_losses
        if has.any():
            assert dataset.losses is not None
            per_byte = dataset.losses.loss[has].astype(float) / dataset.losses.units["bytes"].to_numpy(float)
            loss[has] = pool(per_byte, dataset.losses.base_weight, known.units.label, loss.shape[1])[0]
        log_base = np.log(np.maximum(known.units.weight, 1e-300))
    return Evidence(
        score=np.where(mask, standardised(known.standard, scores.score), 0.0).astype(float),
        seen=mask,
        weight=np.ones(lms),
        n_items=scores.n_items.astype(float),
        floor=bounds.floor,
        floor_most=bounds.floor_most,
        floor_near=bounds.floor_near,
        ceiling=bounds.ceiling,
        flat=bounds.flat,
        standard=known.standard,
        covariate=x,
        missing=missing,
        groups=make_groups(*names_of_groups(dataset.lms, law)),
        loss=loss,
        has_loss=has,
        log_base=log_base,
        features=known.features,
        scale=np.asarray(known.scale),
        reference_loss=known.reference_loss,
        reference_design=known.reference_design,
        design=np.hstack([np.ones((lms, 1)), x]),
        lacking=np.zeros(0 if has.all() else 1),
    )


def names_of_groups(lms: pd.DataFrame, law: Law) -> tuple[list[str], list[str] | None]:
    """Family and run of each model, if the law has such effects; without effects each model is its own family."""
    run = _runs(lms) if "run" in law.effects else None
    family = [str(name) for name in lms["family"]] if "family" in law.effects else run
    return (list(map(str, lms.index)) if family is None else family), run


def join_families(
    fitted: Evidence,
    groups: tuple[list[str], list[str] | None],
    new: Evidence,
    its: tuple[list[str], list[str] | None],
    tidy: bool = False,
) -> tuple[Evidence, Int[np.ndarray, " lm"]]:
    """Evidence in which each new model is placed in the family of its fitted models, without the other new models.

    Families are independent given the parameters, so each new model is predicted as if it were the only new one.
    groups, its: families and runs of the fitted and of the new models. tidy: as in `pad_rows`. Also returns the rows
    of the new models.
    """
    members: dict[str, list[int]] = {}
    for row, name in enumerate(groups[0]):
        members.setdefault(name, []).append(row)
    rows, family, run, at = [], [], [], []
    count = len(fitted.score)
    for i, name in enumerate(its[0]):
        block = [*members.get(name, []), count + i]
        rows += block
        family += [i] * len(block)
        if groups[1] is not None and its[1] is not None:
            run += [(i, groups[1][row]) for row in block[:-1]] + [(i, its[1][i])]
        at.append(len(rows) - 1)
    unknown = max(fitted.missing.shape[2], new.missing.shape[2])

    def padded(missing: np.ndarray) -> np.ndarray:
        return np.pad(missing, ((0, 0), (0, 0), (0, unknown - missing.shape[2])))

    old = fitted._replace(missing=padded(np.asarray(fitted.missing)))
    late = new._replace(missing=padded(np.asarray(new.missing)))
    by_row: dict[str, Any] = {name: np.concatenate([getattr(old, name), getattr(late, name)])[rows] for name in OF_ROWS}
    has = by_row["has_loss"]
    whole = new._replace(lacking=np.zeros(0 if has.all() else 1), **by_row)
    if tidy:
        return pad_rows(whole, family, run or None), np.array(at)
    return whole._replace(groups=make_groups(family, run or None)), np.array(at)


def pad_rows(e: Evidence, family: Sequence[object], run: Sequence[object] | None, rows: int = 50) -> Evidence:
    """The same evidence, padded with empty models to a multiple of `rows` and with tidy groups, so that problems of
    similar size share compiled programs.
    """
    more = -len(e.score) % rows
    by_row: dict[str, Any] = {}
    for name in OF_ROWS:
        value = np.asarray(getattr(e, name))
        by_row[name] = np.pad(value, ((0, more), *((0, 0) for _ in value.shape[1:])))
    by_row["has_loss"][len(e.score) :] = True
    alone = [(None, i) for i in range(more)]
    groups = make_groups([*family, *alone], None if run is None else [*run, *alone], tidy=True)
    return e._replace(groups=groups, **by_row)


OF_ROWS = ("score", "seen", "weight", "covariate", "missing", "loss", "has_loss", "design")
