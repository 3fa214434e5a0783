"""Predictions of what a fit has not seen: blank or held-out scores, and language models that came after it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from csvjax import names
from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable, check_units
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.law.units import pool
from csvjax.laws.crossfit import cells
from csvjax.laws.fit_salience import SalienceFit
from csvjax.laws.nested_noise import Nested

__all__ = ["predict_new", "unseen_cells"]


def unseen_cells(fit: SalienceFit, dataset: Dataset, seed: int = 0) -> pd.DataFrame:
    """Predictions of every score of the fit's own `dataset` that it has not seen; columns as `cells` gives them."""
    seen = np.asarray(fit.evidence.seen)
    rows = np.asarray(~seen.all(axis=0))
    return cells(dataset, fit, rows, seed)[~seen[:, rows].ravel()].reset_index(drop=True)


def predict_new(
    fit: SalienceFit, dataset: Dataset, new: LossTable, lms: pd.DataFrame | None = None, seed: int = 0
) -> pd.DataFrame:
    """Predictions of every benchmark for the models of `new`, which the fit to `dataset` does not have.

    `lms`: what is known of the new models, as in a `Dataset`; without it each is a family of its own. A family or run
    that the fit knows by name lends its effect; any other has an effect of its own, of which nothing is known. Columns
    as `cells` gives them.

    Raises: InputError if a new model is in the fit already, if the losses are not of the units of the fit, and if
    `lms` and `new` are about different models.
    """
    old = dataset.measured()[1]
    if known := [name for name in new.lms if name in set(old.lms)]:
        raise InputError(
            f"expected losses of models that the fit does not have, found {names.some(known)}; leave them out"
        )
    check_units(old, new)
    extended = _extended(dataset, align(lms, losses=new))
    rows = np.arange(len(extended.lms)) >= len(old.lms)
    return cells(extended, _with_rows(fit, extended, rows), rows, seed)


def _extended(dataset: Dataset, new: Dataset) -> Dataset:
    """The dataset with the new models after its own; they have no scores."""
    scores, losses = dataset.measured()
    found = new.losses
    assert found is not None
    order = (*losses.lms, *found.lms)
    blank = np.full((len(found.lms), len(scores.benchmarks)), np.nan)
    return Dataset(
        pd.concat([dataset.lms, new.lms]),
        ScoreTable(
            order, scores.benchmarks, np.vstack([scores.score, blank]), scores.n_items, scores.floor, scores.ceiling
        ),
        LossTable(order, np.vstack([losses.loss, found.loss]), losses.units, losses.texts),
    )


def _with_rows(fit: SalienceFit, extended: Dataset, rows: np.ndarray) -> SalienceFit:
    """The fit with the new rows in its evidence, which are not seen; the fitted rows stay as they were."""
    table = extended.measured()[1]
    per_byte = table.loss[rows].astype(float) / table.units["bytes"].to_numpy(float)
    added, _ = pool(per_byte, table.base_weight, fit.units.label, len(fit.units.weight))
    loss = np.vstack([fit.units.loss, added])
    old, named = fit.evidence.groups, fit.groups.nested(extended)
    groups = Nested(
        np.append(old.family, np.asarray(named.family)[rows]),
        np.append(old.run, np.asarray(named.run)[rows]),
        old.family_of_run,
        old.families,
    )
    e, count = fit.evidence, int(rows.sum())
    evidence = e._replace(
        loss=loss,
        groups=groups,
        score=np.pad(e.score, ((0, 0), (0, count))),
        n_items=np.pad(e.n_items, ((0, 0), (0, count)), mode="edge"),
        seen=np.pad(e.seen, ((0, 0), (0, count))),
    )
    return fit._replace(evidence=evidence, units=fit.units._replace(loss=loss))
