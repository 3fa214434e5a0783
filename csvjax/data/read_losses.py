"""Reads and writes losses: Zarr groups in the format of `csvjax.data.loss_format`, and wide tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import zarr
from zarr.abc.store import Store
from zarr.storage import LocalStore, ZipStore

from csvjax.atomic import replacing
from csvjax.data.columns import lm_names, spelled_as
from csvjax.data.loss_format import FORMAT, VERSION, create_array, decode_units, encode_units, merge_empty
from csvjax.data.losses import LossTable
from csvjax.data.raw import read_raw
from csvjax.data.raw_table import RawTable
from csvjax.errors import ArgumentError, InputError, Remedy
from csvjax.objects import address, open_bucket, refuse_remote, zarr_place

__all__ = ["read_losses", "read_runs", "write_losses"]

_DTYPES = ("float16", "float32", "float64")


def write_losses(
    table: LossTable,
    path: str | os.PathLike[str],
    dtype: Literal["float16", "float32", "float64"] = "float32",
    runs: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write a loss table as a Zarr group, and replace an existing one.

    Only the five columns of `units` that every loss table has are stored. If the process is killed, the path holds the
    whole new table or what it held before.

    Args:
        table: the losses.
        path: a folder that ends in .zarr or a file that ends in .zarr.zip.
        dtype: type of the stored losses. float16 changes a loss below 16 nats by at most 1/256 nat.
        runs: run and step of models that are checkpoints of a run, as `read_runs` gives them.

    Raises: InputError for another ending or type, for losses that the type cannot hold, and for a folder that is no
    Zarr group.
    """
    refuse_remote(path, "a table of losses")
    path = Path(path)
    if not path.name.endswith((".zarr", ".zarr.zip")):
        raise InputError(
            f"expected a path that ends in .zarr (a folder) or .zarr.zip (a file), found {path}; rename it"
        )
    if dtype not in _DTYPES:
        raise InputError(f"expected dtype to be one of {', '.join(_DTYPES)}, found {dtype!r}; choose one of them")
    if path.name.endswith(".zip") and path.is_dir():
        raise InputError(f"expected a file or nothing at {path}, found a folder; choose another path")
    if path.name.endswith(".zarr") and path.exists() and not (path / "zarr.json").is_file():
        raise InputError(f"expected a Zarr group or nothing at {path}, found other files; choose another path")
    with np.errstate(over="ignore"):
        loss = table.loss.astype(dtype)
    if (~np.isfinite(loss) & np.isfinite(table.loss)).any():  # NaN: the losses of a model were not measured
        raise InputError(
            f"expected losses that {dtype} can hold, found {table.loss.max():g} nats; choose dtype='float32'"
        )
    arrays, named = encode_units(table.units, table.texts)
    attributes = {"format": FORMAT, "version": VERSION, "lms": list(table.lms), **named}
    if absent := [lm for lm, row in zip(table.lms, loss, strict=True) if np.isnan(row).all()]:
        attributes["unmeasured"] = absent
    if runs:
        attributes["runs"] = {lm: dict(run) for lm, run in runs.items()}
    with replacing(path) as part:
        store = ZipStore(part, mode="w") if path.name.endswith(".zip") else LocalStore(part)
        with closing(store):
            group = zarr.create_group(store, attributes=attributes)
            for name, array in {"loss": loss, **arrays}.items():
                create_array(group, name, array)


def read_losses(
    path: str | os.PathLike[str] | Any, *, lm_column: str | None = None, columns: Sequence[str] | None = None
) -> LossTable:
    """Read losses in nats from a Zarr group that csvjax wrote, or from a table (CSV, TSV, parquet, ...).

    A table has one row for each model and one column for each unit of text. Each unit counts as a document and a domain
    of one byte, so that all units have the same weight and `mean_loss` is the plain mean.

    Args:
        path: the Zarr group, the table, or a frame of pandas, polars or pyarrow.
        lm_column: column with the names of the models, for a table. Default: the first column.
        columns: the columns of losses, in this order, for a table. Default: all other columns.

    Raises: InputError for a path that cannot be read, missing or negative losses, text in place of numbers, columns
    that do not exist, and `lm_column` or `columns` given for a Zarr group.
    """
    place = Path(path) if isinstance(path, (str, os.PathLike)) else None
    zipped = place is not None and place.suffix == ".zip" and place.is_file()
    if place is not None and (place.is_dir() or zipped or address(place) is not None):
        if lm_column is not None or columns is not None:
            raise InputError(f"lm_column and columns are for tables, but {place} is a Zarr group; leave them out")
        return _read_group(place)
    raw = read_raw(path)
    return _from_table(raw, raw.columns[0] if lm_column is None else lm_column, columns)


def read_runs(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """`run` and `step` of the models in a store that `csvjax losses` scored from a revision of a repository; joined
    stores keep them.

    Nothing for a table, and for a group whose attributes cannot be read, of which `read_losses` says why.
    """
    place = Path(path)
    if not place.is_dir() and place.suffix != ".zip" and address(place) is None:
        return {}
    try:
        with closing(_opened(place)) as store:
            attributes = dict(zarr.open_group(store, mode="r").attrs)
            models = attributes.get("models", attributes.get("runs"))
    except Exception:  # zarr and JSON raise many unrelated kinds
        return {}
    told = models if isinstance(models, dict) else {}
    return {lm: {"run": s["run"], "step": s.get("step")} for lm, s in told.items() if "run" in s}


def _opened(path: Path) -> Store:
    if address(path) is not None:
        return zarr_place(path)
    return LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")


def _read_group(path: Path) -> LossTable:
    try:
        if (url := address(path)) is not None and open_bucket(url).get("zarr.json") is None:
            raise InputError("expected a store of losses there, found nothing; check the address")
        with closing(_opened(path)) as store:
            group = zarr.open_group(store, mode="r")
            attributes = dict(group.attrs)
            found = attributes.get("format", "no format"), attributes.get("version", "no version")
            if found != (FORMAT, VERSION):
                raise InputError(
                    f"expected a store with the format {FORMAT!r}, version {VERSION}, found {found}; write it again"
                )
            return _decoded(attributes, {name: np.asarray(array[...]) for name, array in group.arrays()})
    except InputError as error:
        raise InputError(f"{address(path) or path}: {error}") from None
    except Exception as error:  # zarr, zipfile, zstd and JSON raise many unrelated kinds
        raise InputError(
            f"expected a loss store that csvjax wrote at {path}, found something that cannot be read; write it again"
        ) from error


def _decoded(attributes: dict[str, Any], arrays: dict[str, np.ndarray]) -> LossTable:
    units, texts = decode_units(attributes, arrays)
    lms = tuple(attributes["lms"])
    loss = arrays["loss"][: len(lms)]  # a killed process may leave rows of models that have no name yet
    missing = np.isnan(loss).sum(axis=1)
    if "scoring" in attributes and missing.any():
        m = int(np.flatnonzero(missing)[0])
        raise InputError(
            f"expected the losses of {len(lms)} models on {len(units)} tokens, found {missing[m]} of {lms[m]!r} "
            "missing; run the same csvjax losses command again, which computes the missing losses"
        )
    for lm, lost in zip(lms, missing == loss.shape[1], strict=True):
        # A lost chunk is read as NaN too, so the attribute says which models were never measured.
        if lost and lm not in attributes.get("unmeasured", ()):
            raise InputError(
                f"expected losses that are finite and not negative, found NaN for lm {lm!r} on every token; the store "
                f"has lost them, so write it again"
            )
    loss, units = merge_empty(loss, units, texts)
    return LossTable(lms, loss, units, texts)


def _from_table(raw: RawTable, lm_column: str, columns: Sequence[str] | None) -> LossTable:
    lms = lm_names(raw, lm_column, once=True)
    if isinstance(columns, str) or (columns is not None and not columns):
        raise InputError(f"expected columns to be a list of at least one name, found {columns!r}; give a list")
    if columns is None:
        columns = [column for column in raw.columns if column != lm_column]
        other = {spelled_as(raw, role) for role in ("lm", "family", "params", "tokens", "flops")}
        for column in columns:
            if column in other or not raw.is_numeric(column):
                raise ArgumentError(
                    f"{raw.path}: expected losses in every column but {lm_column!r}, found the column {column!r}, "
                    f"which does not seem to hold losses",
                    Remedy(
                        "name the columns of losses with {}", "columns", "[...]", "remove such columns from the table"
                    ),
                )
        if not columns:
            raise InputError(
                f"{raw.path}: expected a column for each unit besides {lm_column!r}, found none; add columns"
            )
    loss = np.empty((len(lms), len(columns)))
    for u, column in enumerate(columns):
        loss[:, u] = raw.numbers(column)
        for row in np.flatnonzero(~(loss[:, u] >= 0))[:1]:
            raw.fail(int(row), column, "a loss of at least 0", "fill the cell, or remove the model or the column")
    units = pd.DataFrame({"token": columns, "document": columns, "domain": columns}, dtype=str)
    return LossTable(tuple(lms), loss, units.assign(start=0, bytes=1))
