"""The long table that all readers make: one record for each model, benchmark and metric."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from csvjax.data.raw_table import Cells, RawTable, make_table
from csvjax.errors import InputError

__all__ = ["COLUMNS", "FORMAT", "KEY", "VERSION", "Row", "check_version", "field", "number", "stderr_of", "to_table"]

FORMAT, VERSION, KEY = "csvjax scores", 1, b"csvjax"
"""Format and version of the files of `csvjax import`, and their key in the metadata of parquet."""
COLUMNS = (
    *("lm", "family", "params", "tokens", "flops", "benchmark", "metric", "score", "unit", "scale"),
    *("stderr", "n_items", "floor", "ceiling", "group", "source"),
)
"""Columns of a file that `csvjax import` writes. `unit`: one unit of the score as a fraction; NaN for scores on another
`scale` (`csvjax.data.scales`). `group`: the benchmark of which this one is a part."""
_NUMBERS = ("params", "tokens", "flops", "score", "unit", "stderr", "n_items", "floor", "ceiling")


class Row(TypedDict, total=False):
    """A score with what is known about it; unknown facts have no key."""

    lm: str
    family: str
    params: float
    tokens: float
    flops: float
    benchmark: str
    metric: str
    score: float
    unit: float
    scale: str
    stderr: float
    n_items: float
    floor: float
    ceiling: float
    group: str
    source: str


def to_table(path: Path | str, rows: Iterable[Row], said: str) -> RawTable:
    """The table of these records; `said` is a note for the user.

    Raises: InputError for results without a score.
    """
    found = list(rows)
    if not found:
        raise InputError(f"{path}: expected at least one score, found none; check that this is the right file")
    used = [name for name in COLUMNS if any(name in row for row in found)]
    cells: list[Cells] = []
    for name in used:
        values = [row.get(name) for row in found]
        if name in _NUMBERS:
            cells.append(np.array([math.nan if value is None else value for value in values], dtype=float))
        else:
            cells.append(["" if value is None else str(value).strip() for value in values])
    return make_table(path, used, cells, range(1, len(found) + 1), "result", said=(said,))


def field(path: Path | str, group: Any, key: str, kind: type | tuple[type, ...], what: str) -> Any:
    """The value of a key in a JSON object.

    Raises: InputError that names the file and the key, for a value of another type.
    """
    found = group.get(key) if isinstance(group, Mapping) else None
    if not isinstance(found, kind) or isinstance(found, bool):
        expected = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise InputError(
            f"{path}, {what}: expected {key!r} to be of type {expected}, found {_short(found)}; check that "
            f"the file is as the program wrote it"
        )
    return found


def number(path: Path | str, value: Any, what: str) -> float | None:
    """A number, or None for an unknown one (null, "N/A", NaN).

    Raises: InputError for any other value.
    """
    if value is None or (isinstance(value, str) and value.strip().casefold() in ("", "n/a", "na", "nan", "none", "-")):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{path}, {what}: expected a number, found {_short(value)}; correct the file")
    if (isinstance(value, int) and abs(value) > 1e300) or (isinstance(value, float) and math.isinf(value)):
        raise InputError(f"{path}, {what}: expected a finite number, found {_short(value)}; correct the file")
    return None if math.isnan(value) else float(value)


def stderr_of(path: Path | str, value: Any, what: str) -> float | None:
    """A standard error, or None if it is unknown or not above 0.

    Raises: InputError for a value that is not a number.
    """
    found = number(path, value, what)
    return found if found is not None and found > 0 else None


def _short(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1e300:
        return "a huge number"
    text = repr(value) if not isinstance(value, (dict, list)) else f"a JSON {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}..."


def check_version(path: Path | str, metadata: dict[bytes, bytes] | None) -> None:
    """Check the version of a file of `csvjax import`.

    Raises: InputError for a file that a later csvjax wrote.
    """
    if not metadata or KEY not in metadata:
        return
    try:
        told = json.loads(metadata[KEY])
        version = told.get("version") if told.get("format") == FORMAT else VERSION
    except (ValueError, AttributeError):
        return
    if version != VERSION:
        raise InputError(f"{path}: expected scores of version {VERSION}, found version {version}; update csvjax")
