"""Floors and ceilings of benchmarks: what was given, what a name says, and what is left for the law to infer.

A floor that nobody gave is that of guessing where the benchmark's name is known (`csvjax/data/benchmarks.toml`), and is
inferred otherwise. A floor that the scores contradict, because their mean over models lies below it by more than their
items explain, or a single one by five standard errors, is inferred below what was given. `told` says all of this.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from csvjax.data.registry import known
from csvjax.data.scores import ScoreTable

__all__ = ["Bounds", "chance_of", "find_bounds"]

_HIGHEST = 0.5  # that an unknown floor may be
_ITEMS = 200.0  # of a benchmark that nothing is known of, to judge whether scores lie below its floor
_SINGLE, _MEAN = 5.0, 3.0  # standard errors


class Bounds(NamedTuple):
    """floor, ceiling: NaN where the law infers them; 0 and 1 for scores without bounds. floor_most, floor_near: where
    it looks for an unknown floor (see `csvjax.law.model.Evidence`). told: a sentence for everything that was assumed.
    """

    floor: Float[np.ndarray, " benchmark"]
    floor_most: Float[np.ndarray, " benchmark"]
    floor_near: Bool[np.ndarray, " benchmark"]
    ceiling: Float[np.ndarray, " benchmark"]
    told: tuple[str, ...]


def find_bounds(scores: ScoreTable, seen: Bool[np.ndarray, "lm benchmark"]) -> Bounds:
    """What is known of floors and ceilings, from the table, the names and the scores `seen`."""
    floor, ceiling = scores.floor.astype(float).copy(), scores.ceiling.astype(float).copy()
    least = np.where(np.isnan(ceiling), 1.0, ceiling)
    most, near, told = np.minimum(_HIGHEST, least), np.zeros(len(floor), bool), []
    by_name, inferred = [], []
    for b, name in enumerate(scores.benchmarks):
        if not scores.scales[b].bounded:
            floor[b], ceiling[b] = 0.0, 1.0  # of no use: nothing is left to infer
            continue
        given = not np.isnan(floor[b])
        if not given and (chance := chance_of(name)) is not None and chance < least[b]:
            floor[b] = chance
            by_name.append(f"{name} {chance:g}")
        if np.isnan(floor[b]):
            inferred.append(name)
        elif _below(scores.score[seen[:, b], b], floor[b], scores.n_items[b]):
            low = scores.score[seen[:, b], b].min()
            word = "given for" if given else "of guessing on"
            told.append(
                f"scores lie below the floor {floor[b]:g} {word} {name} (the least is {low:.3g}): its floor is "
                f"inferred, at most {floor[b]:g}"
            )
            floor[b], most[b], near[b] = np.nan, floor[b], True
    if by_name:
        told.append(f"floors assumed by name: {', '.join(by_name)}")
    if inferred:
        told.append(f"floors inferred, between 0 and {_HIGHEST:g}: {', '.join(inferred)}")
    return Bounds(floor, most, near, ceiling, tuple(told))


def _below(score: np.ndarray, floor: float, n_items: float) -> bool:
    """Whether items alone do not explain that scores lie below the floor."""
    if floor <= 0 or not len(score):
        return False
    error = np.sqrt(floor * (1 - floor) / (_ITEMS if np.isnan(n_items) else n_items))
    return bool(score.min() < floor - _SINGLE * error or score.mean() < floor - _MEAN * error / np.sqrt(len(score)))


def chance_of(name: str) -> float | None:
    """Score of guessing on a benchmark of this name; None where it is not known."""
    found = known(name)
    return None if found is None else found.chance
