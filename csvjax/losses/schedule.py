"""The order of the work: groups of chunks that are cut into batches together, and a pipeline for the devices."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Int

from csvjax.lms.devices import gather
from csvjax.losses.batches import Batch

__all__ = ["Group", "Score", "chunk_losses", "group_chunks"]

_BATCHES = 48  # smallest number of batches in a group; with one partly empty batch, 98 % of the rows are used
_AHEAD = 2  # batches that are sent ahead while one is computed

Score = Callable[[np.ndarray, np.ndarray], jax.Array]


@dataclass(frozen=True)
class Group:
    """The units from `start` to before `end`; `todo` lists the chunks to compute: (number, start, end)."""

    start: int
    end: int
    todo: tuple[tuple[int, int, int], ...]


def group_chunks(bounds: Int[np.ndarray, " border"], todo: Int[np.ndarray, " chunk"], tokens: int) -> list[Group]:
    """The groups with chunks to compute, for chunks with these bounds and batches of `tokens` tokens.

    Batches are cut from whole groups, so they are full for every size of chunks. The groups do not depend on which
    chunks are to be computed: a chunk that is computed again is in the same batches and has the same bytes.
    """
    size = max(1, -(-_BATCHES * tokens // max(1, int(bounds[1] - bounds[0]))))
    groups = []
    for number in np.unique(todo // size).tolist():
        parts = todo[todo // size == number].tolist()
        end = min((number + 1) * size, len(bounds) - 1)
        wanted = tuple((c, int(bounds[c]), int(bounds[c + 1])) for c in parts)
        groups.append(Group(int(bounds[number * size]), int(bounds[end]), wanted))
    return groups


class _Open:
    """A group that is being computed, with its losses so far and its unfinished chunks."""

    def __init__(self, group: Group):
        self.start = group.start
        self.todo = list(group.todo)
        self.losses = np.full(group.end - group.start, np.nan, np.float32)
        self.missing = np.zeros(len(self.losses), bool)
        for _, start, end in group.todo:
            self.missing[start - self.start : end - self.start] = True

    def wants(self, batch: Batch) -> bool:
        """Whether a batch has losses that are missing; a resumed group skips other batches."""
        return any(self.missing[place : place + end - first].any() for _, first, end, place in batch.rows.tolist())

    def take(self, batch: Batch, found: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Store the losses of a batch, and yield the chunks that are now complete."""
        batch.scatter(found, self.losses)
        for _, first, end, place in batch.rows.tolist():
            self.missing[place : place + end - first] = False
        touched = self.start + int(batch.rows[:, 3].min())
        for chunk in [chunk for chunk in self.todo if chunk[2] > touched]:
            number, start, end = chunk
            part = slice(start - self.start, end - self.start)
            if not self.missing[part].any():
                self.todo.remove(chunk)
                yield number, self.losses[part].copy()


def chunk_losses(
    score: Score, work: Iterable[tuple[Group, Iterator[Batch]]]
) -> Iterator[tuple[int, Float[np.ndarray, " token"]]]:
    """Number and losses of each chunk to compute, as soon as it is complete.

    Batches are sent ahead and losses fetched later, so that devices compute while the host prepares and stores.
    """
    waiting: deque[tuple[_Open, Batch, jax.Array]] = deque()

    def take() -> Iterator[tuple[int, np.ndarray]]:
        group, batch, found = waiting.popleft()
        yield from group.take(batch, gather(found))

    for group, batches in work:
        state = _Open(group)
        for batch in filter(state.wants, batches):
            found = score(batch.tokens, batch.targets)
            if found.is_fully_addressable:
                found.copy_to_host_async()  # the copy starts when the batch is done, not when the host needs it
            waiting.append((state, batch, found))
            while len(waiting) > _AHEAD:
                yield from take()
    while waiting:
        yield from take()
