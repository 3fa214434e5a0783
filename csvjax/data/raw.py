"""Reads a file of any supported format, or a frame, as a table of cells. All readers of csvjax begin here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from csvjax.data import kinds, markup, records, workbook
from csvjax.data.delimited import read_delimited
from csvjax.data.raw_table import RawTable
from csvjax.errors import InputError

__all__ = ["read_raw"]

_PRINTED = re.compile(r"\|\s*(Tasks|Groups)\s*\|\s*Version\s*\|\s*Filter\s*\|")
_EXPECTED = "a CSV, TSV or parquet file"


def read_raw(source: str | os.PathLike[str] | Any) -> RawTable:
    """Read a table from a file, a folder, or a frame of pandas, polars or pyarrow.

    The format of a file is found from its content. Formats: CSV (separated by commas, semicolons, tabs or bars),
    parquet, Arrow, Excel (.xlsx), records in JSON, JSONL and YAML, Markdown and HTML, each also packed with gzip; and
    the results of the evaluation programs in `csvjax.data.readers`, as a file or a folder. An index that pandas wrote
    into a file is a column without a name; an index that only numbers the rows is left out.

    Raises: InputError for a file that is missing, empty, of another kind, or not rectangular.
    """
    from csvjax.data import readers

    if records.is_frame(source):
        return records.from_frame("the frame", source)
    if not isinstance(source, (str, os.PathLike)):
        raise InputError(
            f"expected a path or a frame of pandas, polars or pyarrow, found {type(source).__name__}; give one of them"
        )
    path = Path(source)
    if path.is_dir():
        if (found := readers.read_folder(path)) is not None:
            return found
        count = sum(1 for file in path.iterdir() if file.suffix in (".csv", ".tsv", ".parquet", ".xlsx"))
        tables = f" with {count} tables and no results of a program that csvjax knows" if count else ""
        raise InputError(f"{path} is a folder{tables}, expected {_EXPECTED}; give the paths of the files")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"expected {_EXPECTED}, found no file {path}; check the path") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"expected a file that can be read, found {path}: {reason}; check the path") from None
    return _table(path, kinds.unpack(path, data) if kinds.is_packed(data) else data)


def _table(path: Path, data: bytes) -> RawTable:
    from csvjax.data import readers

    if data[:4] == b"PAR1":
        return readers.of_frame(path, records.load_parquet(path, data))
    if data[:6] == b"ARROW1":
        return records.read_arrow(path, data)
    if data[:4] == b"PK\x03\x04" and workbook.is_workbook(data):
        return workbook.read_workbook(path, data)
    if data[:4] == b"PK\x03\x04" and readers.is_log(data):
        return readers.of_json(path, readers.header(path, data))
    kinds.refuse_binary(path, data)
    text = kinds.decode(path, data)
    if {".yml", ".yaml"} & set(path.suffixes):
        return readers.of_json(path, records.load_yaml(path, text))
    start = text[:2000].lstrip()
    if start.startswith(("{", "[")) and not {".csv", ".tsv"} & set(path.suffixes):
        return _json(path, text)
    if "\\begin{tabular" in text:
        raise InputError(f"{path} is a table in LaTeX, expected {_EXPECTED}; write its cells as CSV")
    if start.startswith("<") and "<table" in text[:1_000_000].casefold():
        return markup.read_html(path, text)
    if "|" in start and markup.has_markdown_table(text):
        if _PRINTED.search(start):
            raise InputError(
                f"{path} is the table that lm-evaluation-harness prints, which does not name the model; give its "
                f"results_*.json, which --output_path writes"
            )
        return readers.of_table(markup.read_markdown(path, text))
    if path.suffix == ".md":
        raise InputError(f"{path} is Markdown without a table, expected {_EXPECTED}; give a file with a table")
    return readers.of_table(read_delimited(path, text))


def _json(path: Path, text: str) -> RawTable:
    """The table of a JSON text, or of JSON lines."""
    from csvjax.data import readers

    first, _, rest = text.strip().partition("\n")
    lines = first.startswith("{") and first.rstrip().endswith("}") and bool(rest.strip())
    return readers.of_json(path, records.load_json_lines(path, text) if lines else records.load_json(path, text))
