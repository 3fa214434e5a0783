"""Which models belong together: families, and the training runs inside them, as arrays of a fixed shape.

Models of one family depend on each other and families do not, so the field is solved family by family. Families of like
size share a bucket, in which every family has the same number of slots; an empty slot names no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from csvjax.types import AnyArray

__all__ = ["Bucket", "Groups", "make_groups"]

_TIDY, _ONE_BUCKET = 20, 1000


class Bucket(NamedTuple):
    """Families with as many slots each. lm: row of the model in a slot; the number of rows where a slot is empty.

    run: number of the slot's run within its family; models with the same number are checkpoints of one run.
    """

    lm: Int[AnyArray, "family slot"]
    run: Int[AnyArray, "family slot"]


class Groups(NamedTuple):
    """buckets: all families. slot: where each model stands when the slots of all buckets follow one another."""

    buckets: tuple[Bucket, ...]
    slot: Int[AnyArray, " lm"]


def make_groups(
    family: Sequence[object] | AnyArray, run: Sequence[object] | AnyArray | None = None, tidy: bool = False
) -> Groups:
    """Groups of models by their family, and by their run within the family. Without `run` each model is its own run.

    Slots are powers of two. Small tables have one bucket, since every further one costs as much compilation. tidy: one
    bucket, its slots a power of four and its families filled up to a multiple of 20 with empty ones, so that problems
    of like size share what was compiled.
    """
    rows: dict[object, list[int]] = {}
    for row, name in enumerate(family):
        rows.setdefault(name, []).append(row)
    empty = len(family)
    needed = {_slots(len(members), tidy) for members in rows.values()}
    together = tidy or len(rows) * max(needed, default=1) <= _ONE_BUCKET
    sizes = [max(needed, default=1)] if together else sorted(needed)
    buckets, slot, offset = [], np.zeros(empty, int), 0
    for size in sizes:
        families = [members for members in rows.values() if together or _slots(len(members), tidy) == size]
        count = -(-max(len(families), 1) // _TIDY) * _TIDY if tidy else len(families)
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


def _slots(models: int, tidy: bool) -> int:
    doublings = (models - 1).bit_length()
    return 1 << (doublings + (doublings % 2 if tidy else 0))
