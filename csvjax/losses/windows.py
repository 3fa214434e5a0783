"""Overlapping windows: how documents longer than a model's context are scored, each token once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from csvjax.errors import InputError

__all__ = ["Windows", "list_windows", "plan_windows"]


@dataclass(frozen=True)
class Windows:
    """What the model reads and what is scored, padded on the right to one length.

    `targets[w, t]` follows `tokens[w, t]`. Where `scored`, it is unit `unit[w, t]` of the `count` units of all
    documents in their order; elsewhere `unit` is -1. Attention that looks only left never sees the padding.
    """

    tokens: Int[np.ndarray, "w t"]
    targets: Int[np.ndarray, "w t"]
    scored: Bool[np.ndarray, "w t"]
    unit: Int[np.ndarray, "w t"]
    count: int


def _starts(inputs: int, context: int, stride: int) -> list[int]:
    """First positions of the windows over `inputs` tokens; the last window ends with the document."""
    last = max(inputs - context, 0)
    return [*range(0, last, stride), last]


def list_windows(
    lengths: Sequence[int], context: int, stride: int | None = None, first_scored: bool = True
) -> tuple[Int[np.ndarray, "w 5"], int]:
    """The windows over documents of so many tokens, and how many tokens are scored in all.

    A window is a row: its document, the place of its first input, its number of inputs, the place in the window of the
    first target that it scores, and the unit that this target is; it scores all from there to its end. Where the first
    token of a document is scored, a token before it is the document's input 0. `context`, `stride`: see `plan_windows`.
    Raises: InputError for a stride outside 1..context.
    """
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise InputError(f"expected a stride from 1 to the context of {context} tokens, found {stride}")
    rows: list[tuple[int, int, int, int, int]] = []
    count = 0
    for document, length in enumerate(lengths):
        inputs = length if first_scored else length - 1
        done = 0
        for start in _starts(inputs, context, stride) if inputs > 0 else []:
            end = min(start + context, inputs)
            rows.append((document, start, end - start, done - start, count + done))
            done = end
        count += done
    return np.array(rows, np.int64).reshape(-1, 5), count


def plan_windows(
    documents: Sequence[Sequence[int] | np.ndarray], context: int, stride: int | None = None, bos: int | None = None
) -> Windows:
    """Windows of `context` tokens, a new one every `stride` (default `context // 2`), none across two documents.

    A window scores the targets that no window before it reached, so a token has at least `context - stride` tokens on
    its left, or all that its document has. With `bos`, the token of that id stands before each document and every token
    is scored; without, the first token of a document has nothing to be predicted from and is no unit.
    Raises InputError for a stride outside 1..context.
    """
    table, count = list_windows([len(d) for d in documents], context, stride, bos is not None)
    shape = (len(table), context)
    tokens, targets = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    unit = np.full(shape, -1, np.int64)
    before = [] if bos is None else [bos]
    for w, (document, start, length, first, first_unit) in enumerate(table.tolist()):
        sequence = np.concatenate([before, documents[document]])[start : start + length + 1]
        tokens[w, :length], targets[w, :length] = sequence[:-1], sequence[1:]
        unit[w, first:length] = np.arange(first_unit, first_unit + length - first)
    return Windows(tokens, targets, unit >= 0, unit, count)
