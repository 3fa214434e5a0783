"""Reads text tables: finds the separator of the cells, and then the cells."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from csvjax.data import numerals
from csvjax.data.raw_table import RawTable, make_table
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_delimited"]

_MARKS = ",;\t|"
_SAMPLE = 400_000  # characters on which separators are compared; the whole text must then follow the choice
_JUDGED = 2_000  # rows whose cells are looked at
_MOST_ROWS = 2_000_000
_LARGE = 2_000_000  # for texts with more characters the fast reader is tried first
_EXCEL = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[\d.,\s]*\d[\d.,]*(e[+-]?\d+)?\s*%?", re.IGNORECASE)


def read_delimited(path: Path | str, text: str) -> RawTable:
    """Read a table whose cells are separated by commas, semicolons, tabs or bars. Blank rows are left out.

    The best separator is the one with which all rows have as many cells as the header, and most cells are numbers,
    blanks or words without another separator. A first line such as `sep=;`, as in Excel, gives the separator.

    Raises: InputError for rows of different lengths, for quotes that are not closed, and for too many rows.
    """
    if (count := text.count("\n")) > _MOST_ROWS:
        raise InputError(
            f"{path}: expected at most {_MOST_ROWS:,} rows of scores, found {count:,}; write a row for each model and "
            f"benchmark, or several files"
        )
    first, line_break, rest = text.partition("\n")
    skipped = 0
    if (told := _EXCEL.fullmatch(first.rstrip("\r"))) is not None and line_break:
        candidates, text, skipped = [told[1]], rest, 1
    else:
        candidates = _ranked(text)
    failure: InputError | None = None
    for separator in candidates:
        try:
            return _table(path, text, separator, skipped)
        except InputError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _ranked(text: str) -> list[str]:
    """The separators that occur in the header, the most likely one first."""
    cut = text if len(text) <= _SAMPLE else text[: text.rfind("\n", 0, _SAMPLE) + 1] or text
    found = []
    for mark in _MARKS:
        try:
            rows = [row for row in csv.reader(io.StringIO(cut, newline=""), delimiter=mark) if any(map(str.strip, row))]
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        body = rows[1:] or rows
        same = sum(len(row) == len(rows[0]) for row in body) / len(body)
        cells = [cell for row in body[:_JUDGED] for cell in row]
        known = sum(_known(cell.strip(), mark) for cell in cells) / max(1, len(cells))
        found.append(((same == 1.0, same * known, len(rows[0])), mark))
    return [mark for _, mark in sorted(found, key=lambda pair: pair[0], reverse=True)] or [","]


def _known(cell: str, separator: str) -> bool:
    if cell.casefold() in numerals.BLANK or _NUMBER.fullmatch(cell):
        return True
    return not any(mark in cell for mark in _MARKS if mark != separator)


def _table(path: Path | str, text: str, separator: str, skipped: int) -> RawTable:
    if len(text) > _LARGE and (found := _fast(path, text, separator, skipped)) is not None:
        return found
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num + skipped}: expected cells separated by {separator!r}, found a line that "
            f"cannot be read ({error}); check its quotes"
        ) from None
    lines = range(1 + skipped, len(rows) + 1 + skipped)
    numbered = list(lines) if reader.line_num == len(rows) else _lines(text, separator, skipped)
    kept = [at for at, row in enumerate(rows) if any(cell and not cell.isspace() for cell in row)]
    if len(kept) < len(rows):
        rows, numbered = [rows[at] for at in kept], [numbered[at] for at in kept]
    width = len(rows[0]) if rows else 0
    for row, line in zip(rows, numbered, strict=True):
        if len(row) != width:
            raise InputError(
                f"{path}, line {line}: expected {width} cells as in the header, found {len(row)}; check the "
                f"separators {separator!r} and the quotes of this line"
            )
    header = [cell.strip() for cell in rows[0]] if rows else []
    columns = [[cell.strip() for cell in column] for column in zip(*rows[1:], strict=True)]
    return make_table(path, header, columns, numbered[1:])


def _fast(path: Path | str, text: str, separator: str, skipped: int) -> RawTable | None:
    """Read a large table with Arrow; None if rows differ in length, for which the slow reader raises a clear error."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow

    header = next(csv.reader([text.partition("\n")[0].rstrip("\r")], delimiter=separator), [])
    types = {f"f{c}": pa.string() for c in range(len(header))}
    try:
        table = arrow.read_csv(
            io.BytesIO(text.encode()),
            arrow.ReadOptions(autogenerate_column_names=True),
            arrow.ParseOptions(delimiter=separator, ignore_empty_lines=False),
            arrow.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_columns != len(header) or table.num_rows != text.count("\n") + (not text.endswith("\n")):
        return None
    columns = [_texts(pc.utf8_trim_whitespace(column).combine_chunks()) for column in table.columns]
    if "" in columns[0] and any(not any(row) for row in zip(*columns, strict=True)):
        return None
    lines = range(2 + skipped, table.num_rows + 1 + skipped)
    return make_table(path, [column[0] for column in columns], [column[1:] for column in columns], lines)


def _texts(column: pa.StringArray) -> list[str]:
    """The cells as text, in which equal cells are one object, so that a table of many rows needs little memory."""
    coded = column.dictionary_encode()
    return np.array(coded.dictionary.to_pylist(), dtype=object)[coded.indices.to_numpy()].tolist()


def _lines(text: str, separator: str, skipped: int) -> list[int]:
    """The line on which each row ends, for tables with blank lines or with line breaks in cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    return [reader.line_num + skipped for _ in reader]
