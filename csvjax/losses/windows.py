"""Overlapping windows: how documents longer than a model's context are scored, each token once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from csvjax.errors import InputError

__all__ = ["Windows", "plan_windows"]


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


def plan_windows(
    documents: Sequence[Sequence[int] | np.ndarray], context: int, stride: int | None = None, bos: int | None = None
) -> Windows:
    """Windows of `context` tokens, a new one every `stride` (default `context // 2`), none across two documents.

    A window scores the targets that no window before it reached, so a token has at least `context - stride` tokens on
    its left, or all that its document has. With `bos`, the token of that id stands before each document and every token
    is scored; without, the first token of a document has nothing to be predicted from and is no unit.
    Raises InputError for a stride outside 1..context.
    """
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise InputError(f"expected a stride from 1 to the context of {context} tokens, found {stride}")
    rows: list[tuple[np.ndarray, int, int]] = []  # inputs and last target, position of the first scored, its unit
    count = 0
    for document in documents:
        ids = np.asarray(document, np.int32)
        sequence = ids if bos is None else np.concatenate([np.asarray([bos], np.int32), ids])
        inputs = len(sequence) - 1
        done = 0
        for start in _starts(inputs, context, stride) if inputs > 0 else []:
            rows.append((sequence[start : start + context + 1], done - start, count + done))
            done = min(start + context, inputs)
        count += done
    shape = (len(rows), context)
    tokens, targets = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    unit = np.full(shape, -1, np.int64)
    for w, (sequence, first, first_unit) in enumerate(rows):
        length = len(sequence) - 1
        tokens[w, :length], targets[w, :length] = sequence[:-1], sequence[1:]
        unit[w, first:length] = np.arange(first_unit, first_unit + length - first)
    return Windows(tokens, targets, unit >= 0, unit, count)
