"""From a Dataset to the arrays that the salience law sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.law.units import Units, features_of
from csvjax.laws.nested_noise import Nested
from csvjax.laws.salience_law import Evidence

__all__ = ["GroupNames", "evidence", "group_names"]


@dataclass(frozen=True)
class GroupNames:
    """Families and runs that have an effect of their own; every other family or run is the one after the last."""

    families: tuple[str, ...]
    runs: tuple[str, ...]
    family_of_run: tuple[int, ...]

    def nested(self, dataset: Dataset) -> Nested:
        """Numbers of every model's family and run."""
        family = _numbers(list(dataset.lms["family"]), self.families)
        run = _numbers(_runs(dataset), self.runs)
        return Nested(family, run, np.array(self.family_of_run), np.zeros(len(self.families) + 1))


def _numbers(names: Sequence[str], among: tuple[str, ...]) -> np.ndarray:
    index = {name: i for i, name in enumerate(among)}
    return np.array([index.get(name, len(among)) for name in names])


def _runs(dataset: Dataset) -> list[str]:
    """The run of each model: column `run`, where the checkpoints of one training run share a name; else its own."""
    own = dataset.lms.index.to_series()
    return [str(run) for run in dataset.lms["run"].fillna(own)] if "run" in dataset.lms.columns else list(own)


def group_names(dataset: Dataset) -> GroupNames:
    """The families and runs of a dataset.

    Raises: InputError if a run has models of two families.
    """
    families = tuple(dict.fromkeys(dataset.lms["family"]))
    home: dict[str, str] = {}
    for run, family in zip(_runs(dataset), dataset.lms["family"], strict=True):
        if home.setdefault(run, family) != family:
            raise InputError(
                f"expected every run inside one family, found run '{run}' in '{home[run]}' and '{family}'; rename it"
            )
    return GroupNames(families, tuple(home), (*(families.index(f) for f in home.values()), len(families)))


def evidence(dataset: Dataset, units: Units, groups: Nested, train: Bool[np.ndarray, " lm"], features: int) -> Evidence:
    """Evidence of all benchmarks with strength 0: `score`, `n_items`, `seen` [benchmark, lm] and `floor`, `strength`
    [benchmark]; the rest is shared.

    Only training rows shape the features and the scale, and only their scores are in it: a held-out score is replaced
    by zero before anything sees it.
    """
    scores = dataset.measured()[0]
    seen = train[None, :] & np.isfinite(scores.score.T)
    mean = units.loss[train] @ units.weight
    return Evidence(
        loss=units.loss,
        log_base=np.log(np.maximum(units.weight, 1e-300)),
        features=features_of(units.loss[train], units.weight, features),
        strength=np.zeros(len(seen)),
        centre=mean.mean(),
        scale=np.maximum(mean.std(), 1e-9),
        groups=groups,
        score=np.where(seen, scores.score.T, 0.0),
        n_items=np.broadcast_to(scores.n_items[:, None], seen.shape).astype(float),
        seen=seen,
        floor=np.nan_to_num(scores.floor).astype(float),  # where unknown a floor of 0
    )
