"""The ladder that comes with csvjax: language models that the project trained itself, their losses and their scores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from csvjax import names
from csvjax.atomic import replacing
from csvjax.dataset import Dataset, align
from csvjax.errors import InputError
from csvjax.losses.read import read_losses, write_losses
from csvjax.scores.columns import lm_names
from csvjax.scores.raw import read_raw
from csvjax.scores.read import read_scores

__all__ = ["load_ladder", "save_ladder"]

_PACKAGED = Path(__file__).parent / "data" / "ladder"
_LOSSES, _SCORES, _LMS = "losses.zarr.zip", "scores.csv", "lms.csv"
_TEXT = ("family", "size", "run")
_NUMBERS = ("step", "params", "tokens", "flops")


def load_ladder(folder: str | os.PathLike[str] | None = None) -> Dataset:
    """The ladder of the package, or the one that `save_ladder` wrote to `folder`.

    `lms` has the columns family (the mixture), size, run (str), step (int), params, tokens and flops (float).

    Raises: InputError if a file is absent or damaged, or if the files are about different models.
    """
    place = _PACKAGED if folder is None else Path(folder)
    for name in (_LMS, _SCORES, _LOSSES):
        if not (place / name).is_file():
            remedy = "install csvjax again" if folder is None else "write the ladder with save_ladder"
            raise InputError(f"expected the ladder's files in {place}, found no {name}; {remedy}")
    scores, _ = read_scores(place / _SCORES)
    return align(_read_lms(place / _LMS), scores, read_losses(place / _LOSSES))


def _read_lms(path: Path) -> pd.DataFrame:
    raw = read_raw(path)
    index = pd.Index(lm_names(raw, "lm", once=True), name="lm", dtype=str)
    columns: dict[str, object] = {name: raw.text(name) for name in _TEXT} | {n: raw.numbers(n) for n in _NUMBERS}
    frame = pd.DataFrame(columns, index)
    for row in np.flatnonzero(~(frame["step"].to_numpy() % 1 == 0))[:1]:
        raw.fail(int(row), "step", "a whole number", "write the step of the checkpoint")
    return frame.astype({"step": np.int64, **dict.fromkeys(_TEXT, str)})


def save_ladder(
    dataset: Dataset, folder: str | os.PathLike[str], dtype: Literal["float16", "float32", "float64"] = "float16"
) -> None:
    """Write for `load_ladder`: `lms.csv`, `scores.csv` (a row for each model and benchmark) and `losses.zarr.zip`.

    `dtype`: how losses are stored; float16 moves a loss below 16 nats by 1/256 at most. A file is whole or as before.

    Raises: InputError for a dataset without scores, losses, or one of the columns of a ladder.
    """
    place = Path(folder)
    if dataset.scores is None or dataset.losses is None:
        raise InputError("expected a ladder with scores and losses, found one without; give both to align")
    for column in (*_TEXT, *_NUMBERS):
        if column not in dataset.lms.columns:
            raise InputError(
                f"expected a ladder whose lms have the columns {', '.join((*_TEXT, *_NUMBERS))}, found none named "
                f"{column!r}: {names.hint(column, map(str, dataset.lms.columns))}; add it"
            )
    scores = dataset.scores
    cells = [
        (lm, benchmark, scores.score[m, b], scores.n_items[b], scores.floor[b], scores.ceiling[b])
        for m, lm in enumerate(scores.lms)
        for b, benchmark in enumerate(scores.benchmarks)
    ]
    rows = pd.DataFrame(cells, columns=["lm", "benchmark", "score", "n_items", "floor", "ceiling"])
    _write_csv(rows, place / _SCORES)
    _write_csv(dataset.lms[[*_TEXT, *_NUMBERS]].reset_index(), place / _LMS)
    write_losses(dataset.losses, place / _LOSSES, dtype)


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    with replacing(path) as part:
        frame.to_csv(part, index=False, lineterminator="\n")
