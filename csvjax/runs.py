"""Run folders: what a command found, with the configuration, versions and seed that it was found with.

    config.json           the resolved configuration, versions of the software, when it began and what it took
    predictions.parquet   one row for each predicted cell (see csvjax.prediction.summary), where there were some
    metrics.csv           their figures, one row for each split, law and benchmark
    figures.json          the headline figures
    fit.json and others   the fit, as csvjax.result.files.save_fit writes it; salience.parquet is among them

A folder of this kind is made whole beside its place and then moved there.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from csvjax.atomic import removed_at_the_end, replacing
from csvjax.errors import InputError
from csvjax.evaluate.table import score_table
from csvjax.plain import plain, write_json

__all__ = ["FORMAT", "RunWriter", "begin", "check_out", "claimed", "plain", "read_config", "write_json"]

FORMAT = "csvjax run 1"
_PACKAGES = ("csvjax", "jax", "jaxlib", "flax", "optax", "numpyro", "numpy", "pandas")


@dataclass(frozen=True)
class RunWriter:
    """`folder`: where to write; it becomes the run's folder when all is done."""

    folder: Path
    config: Mapping[str, Any]
    begun: float

    def write(self, predictions: pd.DataFrame, figures: Mapping[str, float | str]) -> pd.DataFrame:
        """Write all files but the fit, which the caller adds itself; returns the metrics."""
        metrics = score_table(predictions)
        predictions.to_parquet(self.folder / "predictions.parquet")
        metrics.to_csv(self.folder / "metrics.csv", index=False, lineterminator="\n")
        write_json(plain(figures), self.folder / "figures.json")
        self.write_config()
        return metrics

    def write_config(self, **more: Any) -> None:
        """Write `config.json`, with `more` of what the run settled on and the seconds that it took until now."""
        seconds = round(time.monotonic() - self.begun, 1)
        write_json(plain({**self.config, **more, "seconds": seconds}), self.folder / "config.json")


@contextmanager
def begin(folder: Path, config: Mapping[str, Any]) -> Iterator[RunWriter]:
    """A writer for the run in `folder`, which is there when the block ends well, and as it was before otherwise.

    Raises: InputError if `folder` is something else than a run, an empty folder or nothing, and if another command
    writes to it.
    """
    place = check_out(folder)
    versions = {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}}
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    with claimed(folder), replacing(place) as part:
        part.mkdir()
        whole = {"format": FORMAT, **config, "versions": versions, "started": started}
        yield RunWriter(part, whole, time.monotonic())


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold `folder` as the only command that writes a run there, by a locked file beside it. A kill frees it.

    Raises: InputError if another command holds it.
    """
    place = folder.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = place.with_name(f".{place.name}.lock")
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.path.samestat(os.fstat(handle), lock.stat()):
                break
        except BlockingIOError:
            os.close(handle)
            raise InputError(
                f"expected a folder for the run that no other command writes to, found {folder} in use; wait until "
                f"that command ends, or choose another --out"
            ) from None
        os.close(handle)  # the command before removed this file between the two lines
    try:
        with removed_at_the_end(lock):
            yield
    finally:
        os.close(handle)


def check_out(folder: Path) -> Path:
    """The absolute path of `folder`, if a run may be written there: nothing but a run is ever replaced.

    Raises: InputError if `folder` is something else than a run, an empty folder or nothing.
    """
    place = folder.resolve()
    if place.exists() and not place.is_dir():
        raise InputError(f"expected a folder for the run, found the file {folder}; choose another --out")
    if place.is_dir() and any(place.iterdir()):
        try:
            read_config(place)
        except InputError:
            raise InputError(
                f"expected an empty folder or an older run to replace, found something else in {folder}; "
                f"choose another --out"
            ) from None
    return place


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of the run in `folder`.

    Raises: InputError if there is no run.
    """
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(
            f"expected the folder of a run that csvjax wrote, found none at {folder}; give the --out of that run"
        )
    return found
