"""Saves a dataset in a folder of files that other tools can read: `lms.csv`, `scores.csv` and `losses.zarr.zip`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from csvjax.atomic import replacing
from csvjax.data.columns import covariates, find_columns, lm_names
from csvjax.data.dataset import Dataset, align
from csvjax.data.raw import read_raw
from csvjax.data.raw_table import RawTable
from csvjax.data.read_losses import read_losses, write_losses
from csvjax.data.read_scores import read_scores
from csvjax.errors import InputError

__all__ = ["FILES", "load_dataset", "read_lms", "save_dataset"]

LMS, SCORES, LOSSES = FILES = ("lms.csv", "scores.csv", "losses.zarr.zip")
_ROLES = ("family", "params", "tokens", "flops")


def load_dataset(folder: str | os.PathLike[str], losses: bool = True) -> Dataset:
    """Load a dataset that `save_dataset` wrote.

    Args:
        folder: the folder.
        losses: whether the dataset must have losses.

    Raises: InputError if a file is missing or damaged, or if the files have different models.
    """
    place = Path(folder)
    for name in FILES if losses else (LMS, SCORES):
        if not (place / name).is_file():
            raise InputError(
                f"expected a folder with the files {', '.join(FILES)}, found no {name} in {place}; "
                f"check the path, or write the dataset again"
            )
    scores, _ = read_scores(place / SCORES)
    found = read_losses(place / LOSSES) if losses or (place / LOSSES).is_file() else None
    return align(read_lms(place / LMS), scores, found)


def read_lms(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table of models: index `lm`, columns `family`, `params`, `tokens`, `flops` and all other columns.

    A model without a family is a family of its own. Other columns become whole numbers, numbers or text, the first of
    these that fits all cells; `run` is a name and therefore always text.

    Raises: InputError for a table that cannot be read, a repeated model, and amounts that are not above 0.
    """
    raw = read_raw(path)
    columns = find_columns(raw, dict.fromkeys(("lm", *_ROLES)))
    lms = lm_names(raw, str(columns["lm"]), once=True)
    frame = covariates(raw, lms, columns, dict.fromkeys(_ROLES))
    for name in raw.columns:
        if name not in columns.values():
            frame[name] = _column(raw, name)
    return frame


def _column(raw: RawTable, name: str) -> np.ndarray | list[str]:
    if name != "run":
        try:
            values = raw.numbers(name)
        except InputError:
            return list(raw.text(name))
        return values.astype(np.int64) if (values % 1 == 0).all() else values
    return list(raw.text(name))


def save_dataset(
    dataset: Dataset, folder: str | os.PathLike[str], dtype: Literal["float16", "float32", "float64"] = "float32"
) -> None:
    """Save a dataset for `load_dataset`. Each file is complete or as it was before.

    Args:
        dataset: the dataset, with or without losses.
        folder: the folder.
        dtype: type of the stored losses. float16 changes a loss below 16 nats by at most 1/256 nat.

    Raises: InputError for a dataset without scores.
    """
    place = Path(folder)
    scores, losses = dataset.scores, dataset.losses
    if scores is None:
        raise InputError("expected a dataset with scores, found one without; pass scores to align")
    cells = [
        (lm, benchmark, scores.score[m, b], scores.n_items[b], scores.floor[b], scores.ceiling[b])
        for m, lm in enumerate(scores.lms)
        for b, benchmark in enumerate(scores.benchmarks)
    ]
    rows = pd.DataFrame(cells, columns=["lm", "benchmark", "score", "n_items", "floor", "ceiling"])
    if not scores.bounded.all():
        rows["scale"] = [scale.code for scale in scores.scales] * len(scores.lms)
    _write_csv(rows, place / SCORES)
    _write_csv(dataset.lms.reset_index(), place / LMS)
    if losses is None:
        (place / LOSSES).unlink(missing_ok=True)
    else:
        write_losses(losses, place / LOSSES, dtype)


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    with replacing(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n")
