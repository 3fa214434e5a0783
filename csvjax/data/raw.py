"""A table file as text cells, each of which knows where it stands: the one way in for CSV, TSV and parquet."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax import names
from csvjax.errors import ArgumentError, InputError, Remedy

__all__ = ["RawTable", "read_raw"]

_BLANK = {"", "na", "n/a", "nan", "null", "none"}
_STARTS_AS_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?\s*($|%|±|\(|\+/-)", re.IGNORECASE)


@dataclass(frozen=True)
class RawTable:
    """`cells` [row][column] without the space around them, and where each row stands: `line 7`, or `row 6` in parquet.

    `comma` says that the file writes 0,5 for one half, as files with semicolons between the cells do.
    """

    path: Path
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    where: tuple[str, ...]
    comma: bool = False

    def fail(self, row: int, column: str, expected: str, *remedies: str | Remedy) -> NoReturn:
        """Raise the InputError of one cell."""
        found = self.text(column)[row] or "a blank"
        where = f"{self.path}, {self.where[row]}, column {column!r}"
        raise ArgumentError(f"{where}: expected {expected}, found {found}", *remedies)

    def rows(self, chosen: Sequence[int]) -> RawTable:
        """The table of the chosen rows."""
        kept = tuple(self.cells[row] for row in chosen)
        return replace(self, cells=kept, where=tuple(self.where[row] for row in chosen))

    def position(self, column: str) -> int:
        """Raises: InputError for a column that is not there."""
        if column not in self._places:
            raise InputError(
                f"{self.path}: expected a column {column!r}, which is not there: {names.hint(column, self.columns)}"
            )
        return self._places[column]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.columns)}

    def text(self, column: str) -> list[str]:
        at = self.position(column)
        return [row[at] for row in self.cells]

    def labels(self, column: str) -> list[str | None]:
        """The cells as text, None where the cell is blank or says so (NA, null, ...)."""
        return [None if cell.casefold() in _BLANK else cell for cell in self.text(column)]

    def is_numeric(self, column: str) -> bool:
        """Whether any cell is a number or seems meant as one, as `45.1%` and `0.4 (0.1)` do."""
        return any(_STARTS_AS_NUMBER.match(cell) for cell in self.text(column))

    def numbers(self, column: str, *otherwise: str | Remedy) -> Float[np.ndarray, " row"]:
        """The column as float64, NaN for blank cells; `otherwise` are more remedies that the error offers.

        Raises: InputError for text that is not a number and for infinite values.
        """
        found = np.full(len(self.cells), np.nan)
        for row, cell in enumerate(self.labels(column)):
            if cell is None:
                continue
            try:
                found[row] = float(self._point(cell).replace("_", "?"))
            except ValueError:
                remedy = "write a plain number, or leave the cell blank if it is unknown"
                self.fail(row, column, "a number or a blank", remedy, *otherwise)
            if not math.isfinite(found[row]):
                self.fail(row, column, "a finite number", "leave the cell blank if it is unknown", *otherwise)
        return found

    def _point(self, cell: str) -> str:
        return cell.replace(",", ".") if self.comma else cell


def read_raw(path: str | os.PathLike[str]) -> RawTable:
    """Read a CSV (separated by commas, semicolons or tabs) or parquet file; rows without any content are left out.

    An index that pandas wrote into the file is a column without a name; one that only counts the rows is left out.

    Raises: InputError for a file that is missing, a folder, empty, of another kind, or not rectangular.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a CSV, TSV or parquet file; give the path of the file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"expected a CSV, TSV or parquet file, found no file {path}; check the path") from None
    except OSError as error:
        raise InputError(f"expected a file that can be read, found {path}: {error.strerror}; check it") from None
    header, rows, where, comma = _parquet(path, data) if data[:4] == b"PAR1" else _csv(path, data)
    if not rows:
        found = "only a header" if header else "nothing"
        raise InputError(
            f"{path}: expected a header and at least one row, found {found}; check that it is the right file"
        )
    kept = [c for c in range(len(header)) if header[c] or not _counts_or_blank([row[c] for row in rows])]
    columns = [header[c] for c in kept]
    for name, count in Counter(columns).items():
        if count > 1:
            what = f"{count} columns named {name!r}" if name else f"{count} columns without a name"
            raise InputError(f"{path}: expected each column name once, found {what}; rename all but one")
    cells = tuple(tuple(row[c] for c in kept) for row in rows)
    return RawTable(path, tuple(columns), cells, tuple(where), comma)


def _counts_or_blank(cells: list[str]) -> bool:
    return not any(cells) or cells == [str(i) for i in range(len(cells))]


def _csv(path: Path, data: bytes) -> tuple[list[str], list[list[str]], list[str], bool]:
    """Header, rows, where each row stands, and whether the decimal sign is a comma."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected text in UTF-8 or parquet, found byte 0x{data[error.start]:02x} at {error.start}; "
            f"save the table as CSV in UTF-8"
        ) from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    where: list[str] = []
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if not any(row):
                continue
            if rows and len(row) != len(rows[0]):
                raise InputError(
                    f"{path}, line {reader.line_num}: expected {len(rows[0])} cells as the header has, found "
                    f"{len(row)}; check the separators {separator!r} and the quotes of this line"
                )
            rows.append(row)
            where.append(f"line {reader.line_num}")
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: expected cells separated by {separator!r}, found a line that cannot be "
            f"read ({error}); check its quotes"
        ) from None
    return (rows[0] if rows else []), rows[1:], where[1:], separator == ";"


def _parquet(path: Path, data: bytes) -> tuple[list[str], list[list[str]], list[str], bool]:
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except Exception as error:  # pyarrow raises several unrelated kinds
        raise InputError(
            f"{path}: expected a whole parquet file, found one that cannot be read; write it again"
        ) from error
    if not isinstance(frame.index, pd.RangeIndex):
        frame.insert(0, frame.index.name or "", frame.index, allow_duplicates=True)
    columns = [
        ["" if pd.isna(value) else str(value).strip() for value in frame.iloc[:, c]] for c in range(frame.shape[1])
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    kept = [at for at, row in enumerate(rows) if any(row)]
    return [str(c).strip() for c in frame.columns], [rows[at] for at in kept], [f"row {at + 1}" for at in kept], False
