"""Floors and ceilings of benchmarks: given, known from the name of the benchmark, or left for the law to infer.

If no floor is given, the chance level of a known benchmark (`csvjax/data/benchmarks.toml`) is used; the floor of an
unknown benchmark is inferred. Scores may contradict a floor: their mean over models lies below it by more than the
noise of the items explains, or a single score does by five standard errors. Then the floor is inferred, at or below the
given value. `told` has a sentence for each of these assumptions.

A benchmark whose scores are all the same, and neither guessing nor perfect, depends on nothing that the table shows:
it is `flat`, and the law has nothing to infer a floor or a ceiling from: they are taken as 0 and 1. Scores at a bound
say less, because models that only guess, or solve all items, may still differ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from csvjax.data.registry import known
from csvjax.data.scores import ScoreTable

__all__ = ["Bounds", "chance_of", "find_bounds"]

_HIGHEST = 0.5  # upper limit of an unknown floor
_ITEMS = 200.0  # assumed number of items, if unknown, to judge whether scores lie below the floor
_SINGLE, _MEAN = 5.0, 3.0  # standard errors
_FEWEST = 3  # scores that have to be the same


class Bounds(NamedTuple):
    """What is known about floors and ceilings before a fit.

    Attributes:
        floor: a fraction; NaN if the law infers it; 0 for scores without bounds [benchmark].
        floor_most: upper limit of an inferred floor [benchmark].
        floor_near: whether an inferred floor is expected near its upper limit [benchmark].
        ceiling: a fraction; NaN if the law infers it; 1 for scores without bounds [benchmark].
        flat: whether all scores are the same, strictly between floor and ceiling [benchmark].
        told: a sentence for each assumption.
    """

    floor: Float[np.ndarray, " benchmark"]
    floor_most: Float[np.ndarray, " benchmark"]
    floor_near: Bool[np.ndarray, " benchmark"]
    ceiling: Float[np.ndarray, " benchmark"]
    flat: Bool[np.ndarray, " benchmark"]
    told: tuple[str, ...]


def find_bounds(scores: ScoreTable, seen: Bool[np.ndarray, "lm benchmark"]) -> Bounds:
    """Floors and ceilings from the table, the names of the benchmarks, and the scores that the fit has `seen`."""
    floor, ceiling = scores.floor.astype(float).copy(), scores.ceiling.astype(float).copy()
    limit = np.where(np.isnan(ceiling), 1.0, ceiling)
    highest, near, told = np.minimum(_HIGHEST, limit), np.zeros(len(floor), bool), []
    by_name, inferred, flat = [], [], np.zeros(len(floor), bool)
    for b, name in enumerate(scores.benchmarks):
        score = scores.score[seen[:, b], b]
        same = len(score) >= _FEWEST and np.ptp(score) == 0
        if not scores.scales[b].bounded:
            flat[b] = same
            floor[b], ceiling[b] = 0.0, 1.0  # not used, but nothing is left to infer
            continue
        given = not np.isnan(floor[b])
        if not given and (chance := chance_of(name)) is not None and chance < limit[b]:
            floor[b] = chance
            by_name.append(f"{name} {chance:g}")
        if same and np.nan_to_num(floor[b]) < score[0] < limit[b]:
            flat[b], floor[b], ceiling[b] = True, np.nan_to_num(floor[b]), limit[b]
        elif np.isnan(floor[b]):
            inferred.append(name)
        elif _below(score, floor[b], scores.n_items[b]):
            low = score.min()
            word = "the given floor" if given else "its chance level"
            told.append(
                f"scores of {name} lie below {word} {floor[b]:g} (the lowest is {low:.3g}), so its floor is inferred, "
                f"at most {floor[b]:g}"
            )
            floor[b], highest[b], near[b] = np.nan, floor[b], True
    if by_name:
        told.append(f"floors assumed from the names of benchmarks: {', '.join(by_name)}")
    if inferred:
        told.append(f"floors inferred, between 0 and {_HIGHEST:g}: {', '.join(inferred)}")
    if flat.any():
        names = ", ".join(str(name) for name, each in zip(scores.benchmarks, flat, strict=True) if each)
        told.append(f"the same score expected of every model, because all that were fitted are equal: {names}")
    return Bounds(floor, highest, near, ceiling, flat, tuple(told))


def _below(score: np.ndarray, floor: float, n_items: float) -> bool:
    """Whether scores lie below the floor by more than the noise of the items explains."""
    if floor <= 0 or not len(score):
        return False
    error = np.sqrt(floor * (1 - floor) / (_ITEMS if np.isnan(n_items) else n_items))
    return bool(score.min() < floor - _SINGLE * error or score.mean() < floor - _MEAN * error / np.sqrt(len(score)))


def chance_of(name: str) -> float | None:
    """The score of random guessing on the benchmark with this name; None if it is unknown."""
    found = known(name)
    return None if found is None else found.chance
