"""Overlapping windows, with which each token of a document longer than the context is scored once."""

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

    Attributes:
        tokens: inputs.
        targets: the token that follows each input.
        scored: whether a target is scored in this window.
        unit: number of the target among all units of the documents, in their order; -1 if it is not scored.
        count: number of units of all documents.
    """

    tokens: Int[np.ndarray, "w t"]
    targets: Int[np.ndarray, "w t"]
    scored: Bool[np.ndarray, "w t"]
    unit: Int[np.ndarray, "w t"]
    count: int


def _starts(inputs: int, context: int, stride: int) -> list[int]:
    """The starts of the windows over `inputs` tokens; the last window ends with the document."""
    last = max(inputs - context, 0)
    return [*range(0, last, stride), last]


def list_windows(
    lengths: Sequence[int], context: int, stride: int | None = None, first_scored: bool = True
) -> tuple[Int[np.ndarray, "w 5"], int]:
    """The windows over documents, and the number of tokens that are scored.

    Args:
        lengths: number of tokens of each document.
        context: number of tokens in a window.
        stride: tokens from one window to the next; None for `context // 2`.
        first_scored: whether the first token of a document is scored; then input 0 is a token before the document.

    Returns: the windows and the number of scored tokens. The columns of a window are its document, its first input, its
    number of inputs, the position in the window of the first target that it scores, and the number of this unit. All
    later targets of the window are scored too.

    Raises: InputError for a stride outside 1 to `context`.
    """
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise InputError(f"expected --stride from 1 to the context of {context} tokens, found {stride}; choose another")
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
    """Windows of `context` tokens, one every `stride` tokens, each within one document.

    A window scores the targets that earlier windows did not reach, so each token has at least `context - stride` tokens
    to its left, or all those of its document.

    Args:
        documents: ids of the tokens of each document.
        context: number of tokens in a window.
        stride: tokens from one window to the next; None for `context // 2`.
        bos: id of a token before each document, with which all tokens are scored; None to leave out the first token of
            each document, which then is not a unit.

    Raises: InputError for a stride outside 1 to `context`.
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
