"""Readers of what evaluation programs write: each turns a file or a folder into a long table of scores.

A reader is a module with `NAME`, the name of the program; `matches(loaded)`, whether a JSON value is of its kind; and
`rows(path, loaded)`, the scores as records of `csvjax.data.readers.schema`. Readers are strict: what does not have the
form that the program writes is an InputError with the file and the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csvjax.data import records
from csvjax.data.raw_table import RawTable
from csvjax.data.readers import benchpress, evalplus, every_eval, helm, leaderboard, lighteval, lm_harness, opencompass
from csvjax.data.readers.schema import Row, to_table
from csvjax.errors import InputError

__all__ = ["of_json", "of_table", "read_folder"]

_OF_JSON = (
    lighteval,
    lm_harness,
    every_eval,
    evalplus,
    benchpress,
)  # lighteval before the harness, whose form it shares
_MOST_FILES = 20_000


def of_json(path: Path, loaded: Any) -> RawTable:
    """The table of a loaded JSON file: the results of a known program, or a list of records.

    Raises: InputError for JSON of another form.
    """
    for reader in _OF_JSON:
        if reader.matches(loaded):
            return to_table(path, reader.rows(path, loaded), f"read as {reader.NAME}")
    if isinstance(loaded, list) and loaded and all(isinstance(record, dict) for record in loaded):
        return records.from_records(path, loaded)
    if isinstance(loaded, dict) and loaded and all(isinstance(value, list) for value in loaded.values()):
        lengths = {len(value) for value in loaded.values()}
        if len(lengths) == 1 and lengths != {0}:
            return records.from_records(
                path, [dict(zip(loaded, row, strict=True)) for row in zip(*loaded.values(), strict=True)]
            )
    if isinstance(loaded, dict) and loaded and all(isinstance(value, dict) for value in loaded.values()):
        return records.from_records(path, [{"lm": name, **value} for name, value in loaded.items()])
    known = ", ".join(reader.NAME for reader in _OF_JSON)
    found = f"a JSON {type(loaded).__name__}" + (
        f" with the keys {', '.join(list(loaded)[:5])}" if isinstance(loaded, dict) else ""
    )
    raise InputError(
        f"{path}: expected {known}, or a list of records with one for each model, found {found}; "
        f"write the scores as a table"
    )


def of_table(raw: RawTable) -> RawTable:
    """The table in the form that the rest of csvjax reads, if it is an export of a known program; else as it is."""
    for reader in (leaderboard, opencompass):
        if reader.matches(raw):
            return reader.read(raw)
    return raw


def read_folder(folder: Path) -> RawTable | None:
    """All results of known programs in a folder and below it; None where there are none.

    Raises: InputError for a file of a known program that is damaged.
    """
    if (folder / "lms.csv").is_file() and (folder / "scores.csv").is_file():
        raise InputError(f"{folder} is a dataset that csvjax wrote, expected a table of scores; give it with --data")
    rows: list[Row] = list(helm.rows(folder))
    names = [helm.NAME] if rows else []
    for count, path in enumerate(sorted(folder.rglob("*.json"))):
        if count >= _MOST_FILES:
            raise InputError(f"{folder}: expected at most {_MOST_FILES} JSON files, found more; give a folder of fewer")
        if not path.is_file() or path.name in helm.FILES or path.stat().st_size > 256 << 20:
            continue
        try:
            loaded = records.load_json(path, path.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError:
            continue
        except InputError:
            if path.name.startswith("results"):
                raise
            continue
        reader = next((reader for reader in _OF_JSON if reader.matches(loaded)), None)
        if reader is not None:
            rows += reader.rows(path, loaded)
            names.append(reader.NAME)
    return to_table(folder, rows, f"read as {', '.join(dict.fromkeys(names))}") if rows else None


def names_of_readers() -> Sequence[str]:
    """The programs whose results are read."""
    return [reader.NAME for reader in (*_OF_JSON, helm, leaderboard, opencompass)]
