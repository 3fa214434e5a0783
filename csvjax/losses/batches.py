"""Cuts windows into batches with few shapes and about the same number of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

__all__ = ["Batch", "Shapes", "choose_shapes", "cut_batches"]

_SHORTEST = 64
_WORTH = 16  # batches of padding that a further shape must save, which is about the time to compile it


@dataclass(frozen=True)
class Shapes:
    """The shapes of batches, see `choose_shapes`.

    Attributes:
        context: longest length of a row.
        tokens: approximate number of tokens in a batch.
        rows: the number of rows is a multiple of this.
        shorter: other lengths of rows.
    """

    context: int
    tokens: int
    rows: int = 1
    shorter: tuple[int, ...] = ()

    @property
    def lengths(self) -> tuple[int, ...]:
        return (*self.shorter, self.context)

    def height(self, length: int) -> int:
        """Number of windows of this length in a batch."""
        return -(-max(1, self.tokens // length) // self.rows) * self.rows


def choose_shapes(lengths: Int[np.ndarray, " w"], context: int, tokens: int, rows: int = 1) -> Shapes:
    """The shapes for windows of these lengths: the context, and powers of two from 64 on that save enough padding.

    Each length is another program to compile, so most texts have one length. The shapes depend only on the whole text,
    so a resumed store has the same shapes.
    """
    shorter: list[int] = []
    longer = context
    for length in (2**i for i in range(30, 5, -1) if _SHORTEST <= 2**i < context):
        if int((lengths <= length).sum()) * (longer - length) >= _WORTH * tokens:
            shorter.insert(0, length)
            longer = length
    return Shapes(context, tokens, rows, tuple(shorter))


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch, padded on the right and below.

    Attributes:
        tokens: inputs.
        targets: the token after each input.
        rows: row of the batch, first position whose loss counts, position after the last one, and the place of the
            first of these losses.
    """

    tokens: Int[np.ndarray, "b t"]
    targets: Int[np.ndarray, "b t"]
    rows: Int[np.ndarray, "w 4"]

    def scatter(self, found: np.ndarray, losses: np.ndarray) -> None:
        """Copy the losses of this batch [b, t] that count to their places."""
        for row, first, end, place in self.rows.tolist():
            losses[place : place + end - first] = found[row, first:end]


def cut_batches(
    documents: Sequence[np.ndarray],
    windows: Int[np.ndarray, "w 5"],
    first: int | None,
    bounds: tuple[int, int],
    shapes: Shapes,
) -> Iterator[Batch]:
    """Batches of the windows (see `list_windows`) that score units from bounds[0] to before bounds[1].

    A batch is yielded as soon as it is full, so units are scored nearly in their order. Remaining windows of one length
    join the next longer length, so at most one batch has empty rows. The batches depend only on what is within the
    bounds, so the same bounds always give the same losses, to the last bit.
    """
    scored_end = windows[:, 4] + windows[:, 2] - windows[:, 3]
    inside = windows[np.searchsorted(scored_end, bounds[0], "right") : np.searchsorted(windows[:, 4], bounds[1])]
    if not len(inside):
        return
    lengths = shapes.lengths
    bucket = np.searchsorted(lengths, inside[:, 2])
    waiting: list[list[np.ndarray]] = [[] for _ in lengths]
    for i, window in zip(bucket.tolist(), inside, strict=True):
        waiting[i].append(window)
        shape = shapes.height(lengths[i]), lengths[i]
        if len(waiting[i]) == shape[0]:
            yield _batch(documents, waiting[i], first, bounds, shape)
            waiting[i] = []
    left: list[np.ndarray] = []
    for i, length in enumerate(lengths[: bucket.max() + 1]):
        left += waiting[i]
        shape = shapes.height(length), length
        while len(left) >= shape[0] or (left and i == bucket.max()):
            yield _batch(documents, left[: shape[0]], first, bounds, shape)
            left = left[shape[0] :]


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
        if before is not None:  # this token is input 0
            ids = ids[max(0, start - 1) : start + length]
            ids = np.concatenate([[before], ids]) if start == 0 else ids
        else:
            ids = ids[start : start + length + 1]
        tokens[r, :length], targets[r, :length] = ids[:-1], ids[1:]
        left, right = max(bounds[0] - unit, 0), min(bounds[1] - unit, length - first)
        rows.append((r, first + left, first + right, unit + left - bounds[0]))
    return Batch(tokens, targets, np.array(rows, np.int64).reshape(-1, 4))
