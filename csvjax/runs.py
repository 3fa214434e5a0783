"""Run folders: the results of a command, with its configuration, software versions and seed.

    config.json           the configuration with all defaults, software versions, start time and seconds
    predictions.parquet   one row for each predicted score (see csvjax.prediction.summary), if there are any
    metrics.csv           metrics of the predictions, one row for each split, law and benchmark
    figures.json          the main results
    fit.json and others   the fit, as csvjax.result.files.save_fit writes it, with salience.parquet

A run is written to a temporary folder and renamed when it is complete. One at an address of an object store is written
to a temporary folder too, and uploaded.
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
from csvjax.object_runs import check_address, uploaded
from csvjax.objects import address, refuse_remote
from csvjax.plain import plain, write_json

__all__ = ["FORMAT", "RunWriter", "begin", "check_out", "check_run", "claimed", "plain", "read_config", "write_json"]

FORMAT = "csvjax run 1"
_PACKAGES = ("csvjax", "jax", "jaxlib", "flax", "optax", "numpyro", "numpy", "pandas")


@dataclass(frozen=True)
class RunWriter:
    """Writes a run into the temporary `folder`, which becomes the folder of the run at the end."""

    folder: Path
    config: Mapping[str, Any]
    begun: float

    def write(self, predictions: pd.DataFrame, figures: Mapping[str, float | str]) -> pd.DataFrame:
        """Write all files except the fit, which the caller writes. Returns the metrics."""
        metrics = score_table(predictions)
        predictions.to_parquet(self.folder / "predictions.parquet")
        metrics.to_csv(self.folder / "metrics.csv", index=False, lineterminator="\n")
        write_json(plain(figures), self.folder / "figures.json")
        self.write_config()
        return metrics

    def write_config(self, **more: Any) -> None:
        """Write `config.json` with the settings `more` and the seconds since the start."""
        seconds = round(time.monotonic() - self.begun, 1)
        write_json(plain({**self.config, **more, "seconds": seconds}), self.folder / "config.json")


@contextmanager
def begin(folder: Path, config: Mapping[str, Any]) -> Iterator[RunWriter]:
    """A writer for the run in `folder`. After an error in the block the folder is as it was before.

    Args:
        folder: the folder, or an address in an object store.
        config: the configuration.

    Raises: InputError if `folder` is a file or holds anything but a run, and if another command is writing to it.
    """
    versions = {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}}
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    whole = {"format": FORMAT, **config, "versions": versions, "started": started}
    if (url := address(folder)) is not None:
        with uploaded(url) as part:
            yield RunWriter(part, whole, time.monotonic())
        return
    place = check_out(folder)
    with claimed(folder), replacing(place) as part:
        part.mkdir()
        yield RunWriter(part, whole, time.monotonic())


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock `folder`, so that no other command writes a run there. The lock ends with the process.

    Raises: InputError if another command holds the lock.
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
                f"expected a folder that no other command is writing to, found {folder} in use; wait until that "
                f"command ends, or choose another --out"
            ) from None
        os.close(handle)  # the previous command removed the file between open and lock
    try:
        with removed_at_the_end(lock):
            yield
    finally:
        os.close(handle)


def check_run(folder: Path) -> None:
    """Check that `begin` may write a run to a folder or an address, before the work begins. Raises: as `begin`."""
    if (url := address(folder)) is not None:
        check_address(url)
    else:
        check_out(folder)


def check_out(folder: Path) -> Path:
    """The absolute path of `folder`, after checking that a run may be written there. Only runs are ever replaced.

    Raises: InputError if `folder` is a file or holds anything but a run.
    """
    refuse_remote(folder, "the folder of a run")
    place = folder.resolve()
    if place.exists() and not place.is_dir():
        raise InputError(f"expected a folder for the run, found the file {folder}; choose another --out")
    if place.is_dir() and any(place.iterdir()):
        try:
            read_config(place)
        except InputError:
            raise InputError(
                f"expected an empty folder or an older run to replace, found other files in {folder}; "
                f"choose another --out"
            ) from None
    return place


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of the run in `folder`.

    Raises: InputError if the folder holds no run.
    """
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(
            f"expected the folder of a run of csvjax, found none at {folder}; give the folder that was --out of the run"
        )
    return found
