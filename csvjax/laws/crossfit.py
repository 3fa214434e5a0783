"""Fit on the training rows of every fold, predict its test rows: the long table of predictions that is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from csvjax.data.dataset import Dataset
from csvjax.evaluate import metrics, splits
from csvjax.law.units import Units
from csvjax.laws.fit_salience import SalienceFit, Settings, fit_salience
from csvjax.laws.predict import group_salience, predict_cells

__all__ = ["Crossfit", "cells", "crossfit", "unit_salience"]


class Crossfit(NamedTuple):
    """`predictions`: one row for each split, law, benchmark and held-out model. `choices`: what each fit settled on."""

    predictions: pd.DataFrame
    choices: pd.DataFrame


def cells(dataset: Dataset, fit: SalienceFit, rows: np.ndarray, seed: int) -> pd.DataFrame:
    """Predictions of the models `rows` [lm, bool] for every benchmark, beside what was observed.

    Columns: benchmark, lm, family, observed, n_items, floor, mean, median, lower and upper 50, 80 and 90 (of a new
    observation), mean_lower90, mean_upper90 (of the mean score), crps; mean_loss, salient_loss in nats per byte.
    """
    drawn = predict_cells(fit, seed)
    mean, score, psi = (np.asarray(part)[:, :, rows] for part in drawn)
    scores, losses = dataset.measured()
    lms = dataset.lms[rows]
    parts = []
    for b, benchmark in enumerate(fit.benchmarks):
        observed = scores.score[rows, b]
        bounds: dict[str, np.ndarray] = {}
        for level in (50, 80, 90):
            lower, upper = metrics.interval(score[b], level / 100)
            bounds |= {f"lower{level}": lower, f"upper{level}": upper}
        lower, upper = metrics.interval(mean[b], 0.9)
        parts.append(
            pd.DataFrame(
                {
                    "benchmark": benchmark,
                    "lm": lms.index,
                    "family": lms["family"].to_numpy(),
                    "observed": observed,
                    "n_items": scores.n_items[b],
                    "floor": np.nan_to_num(scores.floor[b]),  # the law's own where unknown
                    "mean": score[b].mean(axis=0),
                    "median": np.median(score[b], axis=0),
                    **bounds,
                    "mean_lower90": lower,
                    "mean_upper90": upper,
                    "crps": metrics.crps(observed, score[b]),
                    "mean_loss": losses.mean_loss[rows],
                    "salient_loss": psi[b].mean(axis=0),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def crossfit(
    dataset: Dataset,
    split: str,
    laws: Mapping[str, Settings],
    seed: int = 0,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Crossfit:
    """Every law on every fold of `split` (a text that `parse_split` takes). Strengths are chosen by the same kind of
    split inside the training rows; nothing that is fitted has seen a held-out score.
    """
    predictions, choices = [], []
    for i, fold in enumerate(splits.parse_split(split, dataset.lms).folds):
        units: dict[int, Units] = {}
        for name, settings in laws.items():
            tell(f"{split}: {fold.name}, {name}")
            inner = splits.inner(split, dataset.lms, fold.train).folds if len(settings.strengths) > 1 else ()
            fit = fit_salience(dataset, fold.train, inner, settings, seed, units.get(settings.per_domain))
            units[settings.per_domain] = fit.units
            found = cells(dataset, fit, fold.test, seed + i)
            predictions.append(found.assign(split=split, fold=fold.name, law=name))
            choices.append({"split": split, "fold": fold.name, "law": name, **_choice(fit)})
    return Crossfit(pd.concat(predictions, ignore_index=True), pd.DataFrame(choices))


def _choice(fit: SalienceFit) -> dict[str, object]:
    return {"strength": fit.strength, "status": fit.status}


def unit_salience(dataset: Dataset, fit: SalienceFit) -> pd.DataFrame:
    """Posterior mean salience of every token for every benchmark: columns benchmark, salience and those of the units.

    A token has its group's salience, divided within the group by bytes; it sums to 1 over the tokens of a benchmark.
    """
    parts = []
    losses = dataset.measured()[1]
    base = losses.base_weight
    for benchmark, group in zip(fit.benchmarks, group_salience(fit), strict=True):
        share = group[fit.units.label] * base / fit.units.weight[fit.units.label]
        parts.append(losses.units.assign(benchmark=benchmark, base_weight=base, salience=share))
    return pd.concat(parts, ignore_index=True)
