"""Fingerprints of the data that a run was made from, so that two runs can be told to be of the same data."""

from __future__ import annotations

import hashlib

import numpy as np

from csvjax.data.dataset import Dataset

__all__ = ["fingerprints"]

_LETTERS = 16


def fingerprints(dataset: Dataset) -> list[tuple[str, str]]:
    """(part of the data, its size and the first 16 hexadecimal digits of its SHA-256), of models, scores and losses.

    Of the values in float64 and the names, so that the format of a file and the order of its columns do not matter.
    """
    lms = dataset.lms.reindex(columns=sorted(dataset.lms.columns))
    found = [("models", f"{len(lms)} with {', '.join(lms.columns)}", _digest(lms.to_csv().encode()))]
    if dataset.scores is not None:
        score = np.asarray(dataset.scores.score, np.float64)
        names = "\0".join((*dataset.scores.lms, *dataset.scores.benchmarks)).encode()
        known = int(np.isfinite(score).sum())
        found.append(("scores", f"{known} of {score.shape[1]} benchmarks", _digest(names, score)))
    if dataset.losses is not None:
        loss = np.asarray(dataset.losses.loss, np.float64)
        names = "\0".join((*dataset.losses.lms, *dataset.losses.units["token"].astype(str))).encode("utf-8", "replace")
        found.append(("losses", f"{loss.shape[1]} units of text", _digest(names, loss)))
    return [(part, f"{size}, sha256 {digest}") for part, size, digest in found]


def _digest(*parts: bytes | np.ndarray) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:_LETTERS]
