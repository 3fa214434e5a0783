"""Fingerprints of the data of a run, which show whether two runs have the same data."""

from __future__ import annotations

import hashlib

import numpy as np

from csvjax.data.dataset import Dataset

__all__ = ["fingerprints"]

_LETTERS = 16


def fingerprints(dataset: Dataset) -> list[tuple[str, str]]:
    """For models, scores and losses: the name, and the size with the first 16 hexadecimal digits of the SHA-256.

    They are computed from values in float64 and names, so file formats and the order of columns do not matter.
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
