"""Reads details of lighteval (`details_TASK_DATE.parquet`): one answer in each row, with its metrics.

The files lie in `details/MODEL/DATE/`. The metrics are in a column `metrics`, `metric` in later versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from csvjax.data.readers.lighteval import task_name
from csvjax.data.readers.schema import Row, number
from csvjax.errors import InputError

__all__ = ["FILES", "NAME", "matches", "rows"]

NAME = "details of lighteval"
FILES = "details_*.parquet"

_FILE = re.compile(r"details_(?P<task>.+)_\d{4}-\d{2}-\d{2}T[\d\-:.]+\.parquet")
_COLUMNS = ("metrics", "metric")


def matches(path: Path | str, frame: pd.DataFrame) -> bool:
    if not isinstance(path, Path) or _FILE.fullmatch(path.name) is None:
        return False
    column = _metrics(frame)
    return column is not None and len(frame) > 0 and isinstance(frame[column].iloc[0], Mapping)


def _metrics(frame: pd.DataFrame) -> str | None:
    return next((name for name in _COLUMNS if name in frame.columns), None)


def rows(path: Path, frame: pd.DataFrame) -> Iterator[Row]:
    """A row for each metric, with the mean over the answers.

    Raises: InputError for a file outside of a folder `details`, and for a metric that is not a number.
    """
    match, column = _FILE.fullmatch(path.name), _metrics(frame)
    assert match is not None
    assert column is not None
    folders = path.absolute().parts
    if "details" not in folders[:-2]:
        raise InputError(
            f"{path}: expected the file in a folder details/MODEL/DATE, as lighteval writes it, found none that is "
            f"called details; put it there, because the file does not name the model"
        )
    start = len(folders) - 1 - folders[::-1].index("details")
    lm = "/".join(folders[start + 1 : -2])
    each = [value if isinstance(value, Mapping) else {} for value in frame[column]]
    for name in dict.fromkeys(str(key) for metrics in each for key in metrics):
        if name.endswith("_stderr"):
            continue
        told = [metrics.get(name) for metrics in each]
        if any(isinstance(value, (list, dict, np.ndarray)) for value in told):
            continue
        found = [number(path, float(v) if isinstance(v, (bool, np.generic)) else v, f"row {at}, {name!r}")
                 for at, v in enumerate(told, 1)]  # fmt: skip
        known = [value for value in found if value is not None]
        if known:
            yield {
                "lm": lm,
                "benchmark": task_name(match["task"]),
                "metric": name,
                "score": float(np.mean(known)),
                "n_items": float(len(known)),
                "source": path.name,
            }
