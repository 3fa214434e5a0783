"""Reads logs of Inspect: `.json`, or `.eval`, a zip archive whose `header.json` has the same fields without samples."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data import records
from csvjax.data.readers.schema import Row, field, number, stderr_of
from csvjax.errors import InputError

__all__ = ["NAME", "header", "is_log", "matches", "rows"]

NAME = "a log of Inspect"

_HEADER = "header.json"
_HEADER_LIMIT = 64 << 20  # bytes of an unpacked header
_NO_SCORE = frozenset({"stderr", "std", "var"})


def is_log(data: bytes) -> bool:
    """Whether a zip archive is a log of Inspect, finished or not."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return bool({_HEADER, "_journal/start.json"} & set(archive.namelist()))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False


def header(path: Path, data: bytes) -> Any:
    """The header of a log in a zip archive.

    Raises: InputError for an unfinished log, and for a header that cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if _HEADER not in archive.namelist():
                raise InputError(
                    f"{path}: expected a finished log, found one without results; run the evaluation to its end"
                )
            if archive.getinfo(_HEADER).file_size > _HEADER_LIMIT:
                raise InputError(
                    f"{path}, {_HEADER}: expected at most {_HEADER_LIMIT >> 20} MiB, found more; convert it to JSON"
                )
            text = archive.read(_HEADER).decode("utf-8")
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"{path}: expected a whole log of Inspect, found one that cannot be read ({error}); convert it with "
            f"inspect log convert --to json"
        ) from None
    return records.load_json(f"{path}, {_HEADER}", text)


def matches(loaded: Any) -> bool:
    about = loaded.get("eval") if isinstance(loaded, Mapping) else None
    return isinstance(about, Mapping) and "task" in about and "model" in about and "status" in loaded


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """A row for each metric of each scorer. Metrics of further scorers have the name of the scorer in their name.

    Raises: InputError for a log whose status is not success, and for content that Inspect does not write.
    """
    if loaded["status"] != "success":
        raise InputError(
            f"{path}: expected a log with the status 'success', found {loaded['status']!r}; run it again, or "
            f"remove the file"
        )
    about = field(path, loaded, "eval", dict, "top of the file")
    row: Row = {
        "lm": field(path, about, "model", str, "eval"),
        "benchmark": field(path, about, "task", str, "eval").rpartition("/")[2],
        "source": path.name,
    }
    results = field(path, loaded, "results", dict, "top of the file")
    config = about.get("config")
    epochs = number(path, config.get("epochs"), "eval.config.epochs") if isinstance(config, Mapping) else None
    done = number(path, results.get("completed_samples"), "results.completed_samples")
    items = done / (epochs or 1) if done else None
    if items is not None and items >= 1:
        row["n_items"] = float(round(items))
    for at, score in enumerate(field(path, results, "scores", list, "results")):
        where = f"results.scores[{at}]"
        metrics = field(path, score, "metrics", dict, where)
        stderr = metrics.get("stderr")
        for key in metrics:
            if key in _NO_SCORE:
                continue
            value = number(path, field(path, metrics, key, dict, f"{where}.metrics").get("value"), f"{where}, {key}")
            if value is None:
                continue
            name = key if at == 0 else f"{key},{score.get('name') or at}"
            found: Row = {**row, "score": value, "metric": name}
            if isinstance(stderr, Mapping) and key in ("accuracy", "mean"):
                error = stderr_of(path, stderr.get("value"), f"{where}, stderr")
                if error is not None:
                    found["stderr"] = error
            yield found
