"""Windows as batches of few shapes: each of a power of two of tokens, and of about as many tokens in all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

__all__ = ["Batch", "Shapes", "cut_batches"]

_SHORTEST = 64


@dataclass(frozen=True)
class Shapes:
    """Batches of about `tokens` tokens, in windows of `context` at most, whose rows are a multiple of `rows`."""

    context: int
    tokens: int
    rows: int = 1

    @property
    def lengths(self) -> tuple[int, ...]:
        """64, 128, ... up to the context: at most half of a window is padding, and few programs are compiled."""
        found = []
        length = _SHORTEST
        while length < self.context:
            found.append(length)
            length *= 2
        return (*found, self.context)

    def height(self, length: int) -> int:
        """Windows of `length` in one batch."""
        return -(-max(1, self.tokens // length) // self.rows) * self.rows


@dataclass(frozen=True, eq=False)
class Batch:
    """`tokens` and `targets`, padded on the right and below. A row of `rows` is (row of the batch, first position that
    counts, position past the last, place of the first one's loss)."""

    tokens: Int[np.ndarray, "b t"]
    targets: Int[np.ndarray, "b t"]
    rows: Int[np.ndarray, "w 4"]

    def scatter(self, found: np.ndarray, losses: np.ndarray) -> None:
        """Write what counts of the losses [b, t] of this batch to their places."""
        for row, first, end, place in self.rows.tolist():
            losses[place : place + end - first] = found[row, first:end]


def cut_batches(
    documents: Sequence[np.ndarray],
    windows: Int[np.ndarray, "w 5"],
    first: int | None,
    bounds: tuple[int, int],
    shapes: Shapes,
) -> Iterator[Batch]:
    """Batches of the windows (see `list_windows`) that score some of the units from bounds[0] to before bounds[1].

    What fills no batch of its length joins the next longer one, so at most one batch has empty rows. The batches
    depend on nothing outside the bounds: the same chunk gives the same losses to the last bit, whoever asks when.
    """
    scored_end = windows[:, 4] + windows[:, 2] - windows[:, 3]
    inside = windows[(windows[:, 4] < bounds[1]) & (scored_end > bounds[0])]
    lengths = shapes.lengths
    bucket = np.searchsorted(lengths, inside[:, 2])
    waiting: list[np.ndarray] = []
    for i, length in enumerate(lengths):
        waiting += list(inside[bucket == i])
        height = shapes.height(length)
        while len(waiting) >= height or (waiting and not (bucket > i).any()):
            yield _batch(documents, waiting[:height], first, bounds, (height, length))
            waiting = waiting[height:]


def _batch(
    documents: Sequence[np.ndarray],
    windows: Sequence[np.ndarray],
    before: int | None,
    bounds: tuple[int, int],
    shape: tuple[int, int],
) -> Batch:
    tokens, targets = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    rows = []
    for r, (document, start, length, first, unit) in enumerate(np.stack(windows).tolist()):
        ids = documents[document]
        if before is not None:  # it is input 0
            ids = ids[max(0, start - 1) : start + length]
            ids = np.concatenate([[before], ids]) if start == 0 else ids
        else:
            ids = ids[start : start + length + 1]
        tokens[r, :length], targets[r, :length] = ids[:-1], ids[1:]
        left, right = max(bounds[0] - unit, 0), min(bounds[1] - unit, length - first)
        rows.append((r, first + left, first + right, unit + left - bounds[0]))
    return Batch(tokens, targets, np.array(rows, np.int64).reshape(-1, 4))
