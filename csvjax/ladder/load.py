"""Loads the ladder that comes with csvjax: losses and scores of language models that the project trained."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from csvjax import names
from csvjax.data.dataset import Dataset
from csvjax.data.files import FILES, LMS, load_dataset, save_dataset
from csvjax.data.raw import read_raw
from csvjax.errors import InputError

__all__ = ["load_ladder", "save_ladder"]

_PACKAGED = Path(__file__).parent / "files"
_TEXT = ("family", "size", "run")
_COLUMNS = [*_TEXT, "step", "params", "tokens", "flops"]


def load_ladder(folder: str | os.PathLike[str] | None = None) -> Dataset:
    """Load the ladder of the package, or the one that `save_ladder` wrote to `folder`.

    `lms` has the columns family (the mixture), size, run (str), step (int), params, tokens and flops (float).

    Raises: InputError if a file is missing or damaged, or if the files have different models.
    """
    place = _PACKAGED if folder is None else Path(folder)
    for name in FILES:
        if not (place / name).is_file():
            remedy = "install csvjax again" if folder is None else "write the ladder with save_ladder"
            raise InputError(f"expected the files of a ladder in {place}, found no {name}; {remedy}")
    dataset = load_dataset(place)
    raw = read_raw(place / LMS)
    lms = dataset.lms.assign(**{name: raw.text(name) for name in _TEXT}, step=raw.numbers("step"))
    for row in np.flatnonzero(~(lms["step"].to_numpy() % 1 == 0))[:1]:
        raw.fail(int(row), "step", "a whole number", "write the step of the checkpoint")
    return replace(dataset, lms=lms[_COLUMNS].astype({"step": np.int64, **dict.fromkeys(_TEXT, str)}))


def save_ladder(
    dataset: Dataset, folder: str | os.PathLike[str], dtype: Literal["float16", "float32", "float64"] = "float16"
) -> None:
    """Save a ladder for `load_ladder`, as `save_dataset` does, with the columns of a ladder only.

    Raises: InputError for a dataset without scores, losses, or a column of a ladder.
    """
    for column in _COLUMNS:
        if column not in dataset.lms.columns:
            raise InputError(
                f"expected a ladder whose lms have the columns {', '.join(_COLUMNS)}, found none named {column!r}: "
                f"{names.hint(column, map(str, dataset.lms.columns))}; add it"
            )
    dataset.measured()  # a ladder has scores and losses
    save_dataset(replace(dataset, lms=dataset.lms[_COLUMNS]), folder, dtype)
