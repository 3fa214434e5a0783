"""Readers for the results of evaluation programs. Each makes a long table of scores from a file or a folder.

A reader is a module with `NAME`, the name of the program; `matches(loaded)`, whether a JSON value was written by the
program; and `rows(path, loaded)`, the scores as records of `csvjax.data.readers.schema`. Readers are strict: content
that the program does not write is an InputError that names the file and the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from csvjax import names
from csvjax.data import objects, records
from csvjax.data.raw_table import RawTable
from csvjax.data.readers import (
    aider,
    benchpress,
    epoch,
    evalplus,
    every_eval,
    helm,
    inspect_ai,
    leaderboard,
    lighteval,
    lighteval_details,
    lm_harness,
    lm_samples,
    open_lm,
    opencompass,
    wandb,
)
from csvjax.data.readers.inspect_ai import header, is_log
from csvjax.data.readers.schema import Row, to_table
from csvjax.errors import InputError

__all__ = ["header", "is_log", "of_frame", "of_json", "of_table", "read_folder"]

_OF_JSON = (
    lighteval,  # before the harness, because it has the same form
    lm_harness,
    every_eval,
    inspect_ai,  # before EvalPlus, whose results have the same key
    evalplus,
    benchpress,
    open_lm,
    aider,
    lm_samples,
)
_OF_TABLES = (leaderboard, opencompass, epoch, wandb)
_FILE_LIMIT = 20_000
_SAMPLES = ("samples_", "details_")  # beginnings of the names of files with single answers


def of_json(path: Path, loaded: Any) -> RawTable:
    """The table in a loaded JSON file: the results of a known program, or a list of records.

    Raises: InputError for JSON of another form.
    """
    for reader in _OF_JSON:
        if reader.matches(loaded):
            return to_table(path, reader.rows(path, loaded), f"read as {reader.NAME}")
    if isinstance(loaded, list) and loaded and all(isinstance(record, dict) for record in loaded):
        return records.from_records(path, loaded)
    if isinstance(loaded, dict) and objects.is_split(loaded):
        return records.from_records(path, objects.of_split(loaded))
    if isinstance(loaded, dict) and loaded and all(isinstance(value, list) for value in loaded.values()):
        lengths = {len(value) for value in loaded.values()}
        if len(lengths) == 1 and lengths != {0}:
            return records.from_records(
                path, [dict(zip(loaded, row, strict=True)) for row in zip(*loaded.values(), strict=True)]
            )
    if isinstance(loaded, dict) and loaded and all(isinstance(value, dict) for value in loaded.values()):
        found, said = objects.of_objects(path, loaded)
        return records.from_records(path, found, said=said)
    known = ", ".join(reader.NAME for reader in _OF_JSON)
    what = f"a JSON {type(loaded).__name__}" + (
        f" with the keys {', '.join(map(str, list(loaded)[:5]))}" if isinstance(loaded, dict) else ""
    )
    raise InputError(
        f"{path}: expected {known}, or a list of records with one for each model, found {what}; "
        f"write the scores as a table, for example CSV"
    )


def of_frame(path: Path, frame: pd.DataFrame) -> RawTable:
    """The table in the frame of a parquet file: the results of a known program, or the frame itself."""
    if lighteval_details.matches(path, frame):
        return to_table(path, lighteval_details.rows(path, frame), f"read as {lighteval_details.NAME}")
    return records.from_frame(path, frame)


def of_table(raw: RawTable) -> RawTable:
    """The table, converted if it is an export of a known program."""
    for reader in _OF_TABLES:
        if reader.matches(raw):
            return reader.read(raw)
    return raw


def read_folder(folder: Path) -> RawTable | None:
    """All results of known programs in a folder and its subfolders; None if there are none.

    Raises: InputError for a file of a known program that is damaged.
    """
    if (folder / "lms.csv").is_file() and (folder / "scores.csv").is_file():
        raise InputError(f"{folder} is a dataset that csvjax wrote, not a table of scores; give it with --data")
    rows: list[Row] = list(helm.rows(folder))
    programs = [helm.NAME] if rows else []
    suffixes = {".json", ".eval", ".jsonl"}
    for count, path in enumerate(sorted(path for path in folder.rglob("*") if path.suffix in suffixes)):
        if count >= _FILE_LIMIT:
            raise InputError(f"{folder}: expected at most {_FILE_LIMIT} JSON files, found more; give a smaller folder")
        if not path.is_file() or path.name in helm.FILES or path.stat().st_size > 256 << 20:
            continue
        try:
            loaded = _load(path)
        except UnicodeDecodeError:
            continue
        except InputError:
            if path.name.startswith(("results", "samples_")) or path.suffix == ".eval":
                raise
            continue
        reader = next((reader for reader in _OF_JSON if reader.matches(loaded)), None)
        if reader is not None:
            rows += reader.rows(path, loaded)
            programs.append(reader.NAME)
    for path in sorted(folder.rglob(lighteval_details.FILES)):
        frame = records.load_parquet(path, path.read_bytes())
        if lighteval_details.matches(path, frame):
            rows += lighteval_details.rows(path, frame)
            programs.append(lighteval_details.NAME)
    rows, said = _last_runs(_with_samples(rows))
    if not rows:
        return None
    table = to_table(folder, rows, f"read as {', '.join(dict.fromkeys(programs))}")
    return replace(table, said=(*table.said, *said))


def _load(path: Path) -> Any:
    if path.suffix == ".eval":
        return inspect_ai.header(path, path.read_bytes())
    text = path.read_text(encoding="utf-8-sig")
    return records.load_json_lines(path, text) if path.suffix == ".jsonl" else records.load_json(path, text)


def _with_samples(rows: Sequence[Row]) -> list[Row]:
    """The rows, in which a score that is in both results and samples counts once, with the samples' number of items."""
    of_samples = {_key(row): row for row in rows if row.get("source", "").startswith(_SAMPLES)}
    told = {_key(row) for row in rows if not row.get("source", "").startswith(_SAMPLES)}
    found = []
    for row in rows:
        samples = of_samples.get(_key(row))
        if samples is row and _key(row) in told:
            continue
        if samples is not None and samples is not row and "n_items" in samples:
            row = {"n_items": samples["n_items"], **row}  # the row of the results, with the number of items
        found.append(row)
    return found


def _last_runs(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows, in which the file whose name sorts last counts where several have the same score.

    Programs write the time into the names of their files, so this is the last run.
    """
    last: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        before = last.get(_key(row))
        if before is None or row.get("source", "") >= before.get("source", ""):
            last[_key(row)] = row
    if len(last) == len(rows):
        return list(rows), []
    twice = dict.fromkeys(row["lm"] for row in rows if last[_key(row)] is not row)
    told = f"where a model has several results, the file whose name sorts last counts: {names.some(twice)}"
    return list(last.values()), [told]


def _key(row: Row) -> tuple[str, str, str]:
    return row["lm"], row["benchmark"], row.get("metric", "")


def names_of_readers() -> Sequence[str]:
    """The programs whose results are read."""
    return [reader.NAME for reader in (*_OF_JSON, helm, *_OF_TABLES)]
