"""Shared units for models with different tokenizers: spans of bytes, which preserve the loss of a document.

The loss of a token is spread evenly over its bytes, so L(b), the loss of the first b bytes of a document, is piecewise
linear, and the loss of a span from a to b is L(b) - L(a). If a and b are borders of tokens, this is the chain rule;
otherwise a token is shared by bytes. The losses of all spans sum to the loss of the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from csvjax import names
from csvjax.data.losses import LossTable
from csvjax.errors import InputError

__all__ = ["Kind", "common_borders", "fixed_borders", "span_losses", "to_spans", "word_borders"]

Kind = Literal["common", "words", "fixed"]

_WORD = re.compile(r"\s*\S+")


def common_borders(borders: Sequence[Int[np.ndarray, " _border"]]) -> Int[np.ndarray, " border"]:
    """The bytes at which all tokenizers have a border."""
    shared = borders[0]
    for other in borders[1:]:
        shared = np.intersect1d(shared, other)
    return shared


def word_borders(text: str) -> Int[np.ndarray, " border"]:
    """The bytes at which words begin, with the space before them, and the end; final space belongs to the last word."""
    ends = [match.end() for match in _WORD.finditer(text)]
    size = np.cumsum([0, *(len(c.encode()) for c in text)])
    return np.unique(size[[0, *ends[:-1], len(text)]])


def fixed_borders(text: str, size: int) -> Int[np.ndarray, " border"]:
    """Every `size` bytes, and the end. A border may be inside a character."""
    return np.unique(np.append(np.arange(0, len(text.encode()), size), len(text.encode())))


def span_losses(
    loss: Float[np.ndarray, "lm token"],
    start: Int[np.ndarray, " token"],
    size: Int[np.ndarray, " token"],
    borders: Int[np.ndarray, " border"],
) -> Float[np.ndarray, "lm span"]:
    """The losses of spans in nats: L(borders[i + 1]) - L(borders[i]).

    Args:
        loss: losses of the tokens of one document in nats, in order and without gaps [lm, token].
        start: start of each token in bytes [token].
        size: bytes of each token [token].
        borders: borders of the spans in bytes [border].

    Raises: InputError for borders outside the tokens.
    """
    ends = np.append(start, start[-1] + size[-1])
    if borders[0] < ends[0] or borders[-1] > ends[-1]:
        raise InputError(
            f"expected borders within the tokens, from byte {ends[0]} to {ends[-1]}, found {borders[0]} to "
            f"{borders[-1]}; leave out text that was not scored"
        )
    total = np.concatenate([np.zeros((len(loss), 1)), np.cumsum(loss, axis=1, dtype=np.float64)], axis=1)
    # If several tokens end at the same byte, the last one has the loss of all.
    last = np.append(ends[1:] > ends[:-1], True)
    return np.diff(np.stack([np.interp(borders, ends[last], row[last]) for row in total]), axis=1)


def to_spans(tables: Sequence[LossTable], kind: Kind = "common", size: int = 16) -> LossTable:
    """Join tables of the same documents that were scored with different tokenizers.

    The loss of each document does not change. Text that a table does not score (the first token of a document, without
    a beginning of text) is left out for all models, up to the next common border.

    Args:
        tables: the tables.
        kind: "common" for the finest spans that divide no token of any table, "words" for words, "fixed" for spans of
            `size` bytes.
        size: bytes of a fixed span.

    Raises: InputError for tables with different documents or texts, and for a repeated model.
    """
    texts = _shared_texts(tables)
    lms = names.checked([lm for table in tables for lm in table.lms], "lm")
    cut: dict[Kind, Callable[[str, list[np.ndarray]], np.ndarray]] = {
        "common": lambda text, borders: common_borders(borders),
        "words": lambda text, borders: word_borders(text),
        "fixed": lambda text, borders: fixed_borders(text, size),
    }
    domains = dict(zip(tables[0].units["document"], tables[0].units["domain"], strict=True))
    parts: list[np.ndarray] = []
    rows: list[pd.DataFrame] = []
    groups = [table.units.groupby("document", sort=False).indices for table in tables]
    for document, text in texts.items():
        places = [group[document] for group in groups]
        starts = [table.units["start"].to_numpy()[place] for table, place in zip(tables, places, strict=True)]
        sizes = [table.units["bytes"].to_numpy()[place] for table, place in zip(tables, places, strict=True)]
        own = [np.append(start, start[-1] + length[-1]) for start, length in zip(starts, sizes, strict=True)]
        borders = _within(cut[kind](text, own), own)
        if len(borders) < 2:
            continue
        parts.append(
            np.concatenate(
                [
                    span_losses(table.loss[:, place], start, length, borders)
                    for table, place, start, length in zip(tables, places, starts, sizes, strict=True)
                ]
            )
        )
        raw = text.encode()
        rows.append(
            pd.DataFrame(
                {
                    "token": [raw[a:b].decode(errors="replace") for a, b in pairwise(borders)],
                    "document": document,
                    "domain": domains[document],
                    "start": borders[:-1],
                    "bytes": np.diff(borders),
                }
            )
        )
    if not parts:
        raise InputError("expected text that all models score, found none; score the first token too (--first bos)")
    return LossTable(lms, np.concatenate(parts, axis=1), pd.concat(rows, ignore_index=True), texts)


def _within(borders: np.ndarray, own: Sequence[np.ndarray]) -> np.ndarray:
    """The borders within the tokens of all tables, from the first border that all tables share."""
    if all(ends[0] == 0 for ends in own):
        first = 0
    else:
        shared = common_borders(own)
        first = int(shared[0]) if len(shared) else int(own[0][-1])
    kept = borders[borders >= first]
    return np.unique(np.append(first, kept))


def _shared_texts(tables: Sequence[LossTable]) -> dict[str, str]:
    texts = dict(tables[0].texts)
    for number, table in enumerate(tables, 1):
        scored = list(dict.fromkeys(table.units["document"]))
        if set(scored) != set(texts) or dict(table.texts) != texts:
            raise InputError(
                f"expected tables of the same documents with their texts, found different ones in table {number}; "
                "run csvjax losses with the same --text for all"
            )
    return texts
