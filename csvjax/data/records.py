"""Reads frames and lists of records as tables; columns that hold lists or dicts are ignored, with a note."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csvjax.data.objects import flat
from csvjax.data.raw_table import Cells, RawTable, make_table
from csvjax.errors import InputError

__all__ = [
    "from_frame",
    "from_records",
    "is_frame",
    "load_json",
    "load_json_lines",
    "load_parquet",
    "load_yaml",
    "read_arrow",
]

_MANY = 1000
_NESTED = "it holds lists or groups, not numbers"


def load_parquet(path: Path | str, data: bytes) -> pd.DataFrame:
    """The frame of a parquet file.

    Raises: InputError for a damaged file, and for one that a later csvjax wrote.
    """
    import pyarrow.parquet

    from csvjax.data.readers.schema import check_version

    try:
        check_version(path, pyarrow.parquet.read_schema(io.BytesIO(data)).metadata)
        return pd.read_parquet(io.BytesIO(data))
    except InputError:
        raise
    except Exception as error:  # pyarrow raises several unrelated kinds
        raise InputError(
            f"{path}: expected a whole parquet file, found one that cannot be read; write it again"
        ) from error


def read_arrow(path: Path | str, data: bytes) -> RawTable:
    """The table of an Arrow (Feather) file.

    Raises: InputError for a damaged file.
    """
    import pyarrow.feather

    try:
        frame = pyarrow.feather.read_feather(io.BytesIO(data))
    except Exception as error:  # pyarrow raises several unrelated kinds
        raise InputError(
            f"{path}: expected a whole Arrow file, found one that cannot be read; write it again"
        ) from error
    return from_frame(path, frame)


def is_frame(thing: object) -> bool:
    """Whether this is a frame of pandas, polars or pyarrow, or of another library that exports Arrow data."""
    return isinstance(thing, pd.DataFrame) or hasattr(thing, "__arrow_c_stream__")


def from_frame(path: Path | str, frame: Any) -> RawTable:
    """The table of a frame of pandas, polars or pyarrow. A pandas index that does not only number the rows is a column.

    Raises: InputError for a frame without rows or with a column name twice.
    """
    nested: list[str] = []
    if not isinstance(frame, pd.DataFrame):
        frame, nested = _of_arrow(frame)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.copy(deep=False)
        index = frame.index.to_flat_index().map(str) if frame.index.nlevels > 1 else frame.index
        frame.insert(0, frame.index.name or "", index, allow_duplicates=True)
    header, cells = [], []
    ignored = [(name.strip(), _NESTED) for name in nested]
    for c, name in enumerate(frame.columns):
        column = frame.iloc[:, c]
        found = None if isinstance(column, pd.DataFrame) else _column(column)
        if found is None:
            ignored.append((str(name).strip(), _NESTED))
        else:
            header.append(str(name).strip())
            cells.append(found)
    return _without_blank_rows(path, header, cells, len(frame), "row", ignored)


def _of_arrow(frame: Any) -> tuple[pd.DataFrame, list[str]]:
    """A frame that exports Arrow data as a frame of pandas, and the columns of lists and groups, which it lacks."""
    import pyarrow as pa

    table = pa.table(frame)
    nested = [column.name for column in table.schema if pa.types.is_nested(column.type)]
    table = table.drop_columns(nested)
    for at, column in enumerate(table.schema):  # pandas or pyarrow cannot convert these types to numbers or text
        if pa.types.is_string_view(column.type):
            table = table.set_column(at, column.name, table.column(at).cast(pa.large_string()))
        elif pa.types.is_decimal(column.type):
            table = table.set_column(at, column.name, table.column(at).cast(pa.float64()))
    return table.to_pandas(), nested


def _column(column: pd.Series) -> Cells | None:
    """The cells of a column; None if they hold lists or dicts."""
    kind = column.dtype
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) and kind.kind != "c":
        return column.to_numpy(dtype=float, na_value=np.nan)
    values = column.tolist()
    if any(isinstance(value, (list, tuple, dict, set, np.ndarray)) for value in values):
        return None
    return ["" if value is None or value is pd.NA or value is pd.NaT or value != value else str(value).strip()
            for value in values]  # fmt: skip


def _without_blank_rows(
    path: Path | str,
    header: Sequence[str],
    cells: Sequence[Cells],
    count: int,
    place: str,
    ignored: Sequence[tuple[str, str]],
) -> RawTable:
    blank = np.ones(count, bool)
    for column in cells:
        blank &= np.isnan(column) if isinstance(column, np.ndarray) else np.array([not cell for cell in column], bool)
    if blank.any():
        kept = [int(row) for row in np.flatnonzero(~blank)]
        cells = [c[kept] if isinstance(c, np.ndarray) else [c[row] for row in kept] for c in cells]
        return make_table(path, header, cells, [row + 1 for row in kept], place, ignored)
    return make_table(path, header, cells, range(1, count + 1), place, ignored)


def from_records(
    path: Path | str, records: Sequence[Mapping[str, Any]], place: str = "record", said: Sequence[str] = ()
) -> RawTable:
    """The table of a list of records, such as the lines of a JSONL file: a column for each key that any record has."""
    records = [flat(record) if dict in map(type, record.values()) else record for record in records]
    header = list(dict.fromkeys(str(key) for record in records for key in record))
    cells, kept, ignored = [], [], []
    for key in header:
        values = [record.get(key) for record in records]
        if {list, dict} & set(map(type, values)):
            ignored.append((key.strip(), _NESTED))
            continue
        kept.append(key.strip())
        cells.append([_as_text(value) if type(value) is not str else value.strip() for value in values])
    return make_table(path, kept, cells, range(1, len(records) + 1), place, ignored, said)


def _as_text(value: object) -> str:
    if value is None or value != value:
        return ""
    return repr(value) if isinstance(value, float) else str(value).strip()


def load_json(path: Path | str, text: str) -> Any:
    """Parse JSON.

    Raises: InputError for text that is not JSON, is nested too deeply, or has a key twice in one object.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(
                f"{path}: expected each key once in an object, found {twice!r} twice; write the file again"
            )
        return found

    try:
        found = json.loads(text, object_pairs_hook=once)
        if "\\ud" in text.casefold():
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except UnicodeEncodeError:
        raise InputError(
            f"{path}: expected text in its strings, found an incomplete character; write the file again"
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: expected JSON, found other text ({error.msg} at character "
            f"{error.colno}); check that the file is complete"
        ) from None
    except (RecursionError, ValueError) as error:
        what = "objects nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{path}: expected JSON that can be read, found {what}; write the file again") from None


def load_json_lines(path: Path | str, text: str) -> list[Any]:
    """Parse JSON lines.

    Raises: InputError for a line that is not JSON.
    """
    told = [line for line in text.splitlines() if line.strip()]
    if (count := len(told)) > _MANY:  # one call for all lines, unless an error must name its line
        whole = f"[{','.join(told)}]"
        told.clear()  # a million lines need much memory
        try:
            found = load_json(path, whole)
        except InputError:
            found = []
        if len(found) == count:
            return list(found)
    return [load_json(f"{path}, line {at}", line) for at, line in enumerate(text.splitlines(), 1) if line.strip()]


def load_yaml(path: Path | str, text: str) -> Any:
    """Parse YAML, without Python objects.

    Raises: InputError for text that is not YAML or is nested too deeply.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, loader)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError) as error:
        what = "objects nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise InputError(f"{path}: expected YAML, found other text ({what[:200]}); write the file again") from None
