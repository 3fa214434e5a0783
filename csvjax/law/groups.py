"""Families, and the training runs inside them, as arrays of a fixed shape.

Models of one family depend on each other and families are independent, so the field is solved family by family.
Families of similar size share a bucket, in which every family has the same number of slots; a slot may be empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from csvjax.types import AnyArray

__all__ = ["Bucket", "Groups", "make_groups"]

_TIDY = 20
_MOST, _BUCKET = 3, 500  # most buckets; compiling one more bucket costs as much as this many slots


class Bucket(NamedTuple):
    """Families with the same number of slots. lm: row of the model in each slot; the number of rows if it is empty.

    run: number of the slot's run within its family; models with the same number are checkpoints of one run.
    """

    lm: Int[AnyArray, "family slot"]
    run: Int[AnyArray, "family slot"]


class Groups(NamedTuple):
    """buckets: all families. slot: position of each model when the slots of all buckets are concatenated."""

    buckets: tuple[Bucket, ...]
    slot: Int[AnyArray, " lm"]


def make_groups(
    family: Sequence[object] | AnyArray, run: Sequence[object] | AnyArray | None = None, tidy: bool = False
) -> Groups:
    """Groups of models by family, and by run within the family. Without `run` each model is its own run.

    Slots are powers of two. There are up to three buckets; families of different sizes share one unless the empty slots
    cost more than a further bucket, whose program must be compiled. tidy: slots are powers of four, and empty families
    are added up to a power of two or a multiple of 20, so that problems of similar size share compiled programs.
    """
    rows: dict[object, list[int]] = {}
    for row, name in enumerate(family):
        rows.setdefault(name, []).append(row)
    empty = len(family)
    needed = Counter(_slots(len(members), tidy) for members in rows.values())
    buckets, slot, offset = [], np.zeros(empty, int), 0
    for sizes in _shared(sorted(needed) or [1], needed, tidy):
        families, size = [members for members in rows.values() if _slots(len(members), tidy) in sizes], sizes[-1]
        count = _count(len(families), tidy)
        lm, number = np.full((count, size), empty), np.tile(np.arange(size), (count, 1))
        for f, members in enumerate(families):
            lm[f, : len(members)] = members
            slot[members] = offset + f * size + np.arange(len(members))
            if run is not None:
                names = [run[row] for row in members]
                number[f, : len(members)] = [names.index(name) for name in names]
        buckets.append(Bucket(lm, number))
        offset += lm.size
    return Groups(tuple(buckets), slot)


def _shared(sizes: Sequence[int], families: Mapping[int, int], tidy: bool) -> Sequence[Sequence[int]]:
    """Which numbers of slots share a bucket: neighbours, such that slots and buckets together cost least."""
    buckets = [
        [sizes[first:last] for first, last in pairwise((0, *cuts, len(sizes)))]
        for further in range(min(_MOST, len(sizes)))
        for cuts in combinations(range(1, len(sizes)), further)
    ]

    def cost(split: Sequence[Sequence[int]]) -> int:
        slots = (_count(sum(families[size] for size in part), tidy) * part[-1] for part in split)
        return sum(slots) + _BUCKET * len(split)

    return min(buckets, key=cost)


def _count(families: int, tidy: bool) -> int:
    if not tidy:
        return families
    few = 1 << (max(families, 1) - 1).bit_length()
    return few if few < _TIDY else -(-families // _TIDY) * _TIDY


def _slots(models: int, tidy: bool) -> int:
    doublings = (models - 1).bit_length()
    return 1 << (doublings + (doublings % 2 if tidy else 0))
