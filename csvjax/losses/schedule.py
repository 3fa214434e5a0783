"""The order of the work: chunks that are cut into batches together, and a pipeline that keeps devices busy."""

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

_BATCHES = 48  # in a group at least: one with empty rows leaves 98 % full
_AHEAD = 2  # batches that are on their way to the devices while one is computed

Score = Callable[[np.ndarray, np.ndarray], jax.Array]


@dataclass(frozen=True)
class Group:
    """The units from `start` to before `end`, and which of the chunks there are to be done: (number, start, end)."""

    start: int
    end: int
    todo: tuple[tuple[int, int, int], ...]


def group_chunks(bounds: Int[np.ndarray, " border"], todo: Int[np.ndarray, " chunk"], tokens: int) -> list[Group]:
    """The groups with something to do, of chunks with these bounds and batches of so many tokens.

    Batches are full whatever the chunk is, as they are cut from whole groups. Which chunks are a group does not depend
    on what is to be done: a chunk that is computed again is in the batches it was in, and has the same bytes.
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
    """A group that is being computed: losses as they come, and the chunks that wait for some."""

    def __init__(self, group: Group):
        self.start = group.start
        self.todo = list(group.todo)
        self.losses = np.full(group.end - group.start, np.nan, np.float32)
        self.missing = np.zeros(len(self.losses), bool)
        for _, start, end in group.todo:
            self.missing[start - self.start : end - self.start] = True

    def wants(self, batch: Batch) -> bool:
        """A resumed group leaves out what only chunks that are there already ask for."""
        return any(self.missing[place : place + end - first].any() for _, first, end, place in batch.rows.tolist())

    def take(self, batch: Batch, found: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Keep the losses of a batch; give the chunks that they complete."""
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
    """The losses of each chunk that is to be done, as (its number, its losses), as soon as it is complete.

    Batches are sent ahead and losses fetched behind, so devices compute while the host prepares and stores.
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
                found.copy_to_host_async()  # the copy starts when the batch is done, not when the host asks
            waiting.append((state, batch, found))
            while len(waiting) > _AHEAD:
                yield from take()
    while waiting:
        yield from take()
