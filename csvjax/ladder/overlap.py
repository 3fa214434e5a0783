"""Finds text that two corpora share, by rolling hashes of all windows of 50 bytes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["drop_repeats", "remove_overlap", "window_hashes"]

WINDOW = 50  # bytes
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 2**64)


def window_hashes(text: str, window: int = WINDOW) -> np.ndarray:
    """Hash of each window of `window` bytes, [max(bytes - window + 1, 0)]: sum_j (byte[i + j] + 1) base^j mod 2^64."""
    data = np.frombuffer(text.encode(), np.uint8).astype(np.uint64) + np.uint64(1)
    if len(data) < window:
        return np.empty(0, np.uint64)
    with np.errstate(over="ignore"):
        power = np.cumprod(np.full(len(data), _BASE, np.uint64))
        inverse = np.cumprod(np.full(len(data), _INVERSE, np.uint64))
        prefix = np.concatenate([np.zeros(1, np.uint64), np.cumsum(data * power)])
        return (prefix[window:] - prefix[:-window]) * inverse[: len(data) - window + 1]


def remove_overlap(text: str, held_out: np.ndarray, window: int = WINDOW) -> str:
    """The text without lines that touch a window whose hash is in `held_out`, which is sorted.

    Removing lines creates new windows, so the search is repeated until nothing is found.
    """
    while True:
        hashes = window_hashes(text, window)
        at = np.searchsorted(held_out, hashes)
        hits = np.flatnonzero(held_out[np.minimum(at, len(held_out) - 1)] == hashes) if len(held_out) else at[:0]
        if not len(hits):
            return text
        raw = text.encode()
        starts = np.flatnonzero(np.frombuffer(b"\n" + raw, np.uint8) == ord("\n"))
        first = np.searchsorted(starts, hits, side="right") - 1
        last = np.searchsorted(starts, hits + window - 1, side="right") - 1
        touched = np.zeros(len(starts) + 1, np.int64)
        np.add.at(touched, first, 1)
        np.add.at(touched, last + 1, -1)
        lines = raw.split(b"\n")
        keep = np.cumsum(touched)[: len(lines)] == 0
        text = b"\n".join(line for line, k in zip(lines, keep, strict=True) if k).decode()


def drop_repeats(texts: Iterable[str]) -> list[str]:
    """Each text without repeated paragraphs of at least 50 characters, which it or an earlier text already has."""
    seen: set[int] = set()
    kept = []
    for text in texts:
        paragraphs = []
        for paragraph in text.split("\n\n"):
            mark = hash(paragraph.strip())
            if len(paragraph) >= WINDOW and mark in seen:
                continue
            seen.add(mark)
            paragraphs.append(paragraph)
        kept.append("\n\n".join(paragraphs))
    return kept
