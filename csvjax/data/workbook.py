"""Reads the first sheet with content of an Excel workbook (.xlsx), with the standard library only.

Cells are stored by row and column, so a stray cell in the last row and column of a sheet costs nothing; python-calamine
0.9 stores the full rectangle and aborts the process there. openpyxl 3.1 reads it, but has no limit on the size of a
part, which protects the memory from zip bombs here.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

from csvjax.data.raw_table import RawTable, make_table
from csvjax.errors import InputError

__all__ = ["is_workbook", "read_workbook"]

_PART_LIMIT = 256 << 20  # bytes of an unpacked part of the archive
_REFERENCE = re.compile(r"([A-Z]{1,3})(\d+)")
_LETTERS = {letter: at for at, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1)}


def is_workbook(data: bytes) -> bool:
    """Whether a zip archive is an Excel workbook."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False


def read_workbook(path: Path | str, data: bytes) -> RawTable:
    """The first sheet that has a header and at least one row. A formula is read as its stored value.

    Raises: InputError for a damaged workbook, and for a workbook without such a sheet.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            shared = _shared(archive)
            sheets = [(name, _sheet(archive, part, shared)) for name, part in _sheets(archive)]
    except (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, ValueError, OSError, EOFError,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        raise InputError(
            f"{path}: expected a whole Excel workbook, found one that cannot be read ({error}); save it again, or save "
            f"the sheet as CSV"
        ) from None
    full = [(name, rows) for name, rows in sheets if len(rows) > 1]
    if not full:
        raise InputError(f"{path}: expected a sheet with a header and at least one row, found none; check the workbook")
    name, rows = full[0]
    said = [f"only the sheet {name!r} was read; {len(full)} sheets have content"] if len(full) > 1 else []
    lines = sorted(rows)
    columns = sorted({column for row in rows.values() for column in row})
    header = [rows[lines[0]].get(column, "") for column in columns]
    cells = [[rows[line].get(column, "") for line in lines[1:]] for column in columns]
    return make_table(path, header, cells, lines[1:], "row", said=said)


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > _PART_LIMIT:
        raise ValueError(f"{name} is larger than {_PART_LIMIT >> 20} MiB")
    text = archive.read(name)
    if b"<!DOCTYPE" in text[:2000]:
        raise ValueError(f"{name} declares entities")
    return ElementTree.fromstring(text)


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _sheets(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    """Name and archive path of each sheet, in the order of the workbook."""
    targets = {
        element.get("Id", ""): element.get("Target", "")
        for element in _part(archive, "xl/_rels/workbook.xml.rels")
        if _local(element) == "Relationship"
    }
    found = []
    for element in _part(archive, "xl/workbook.xml").iter():
        if _local(element) == "sheet":
            key = next((value for name, value in element.attrib.items() if name.endswith("}id")), "")
            target = targets[key].lstrip("/")
            found.append((element.get("name", ""), target if target.startswith("xl/") else f"xl/{target}"))
    return found


def _text(element: ElementTree.Element) -> str:
    """The text of a string item, without phonetic annotations."""
    if _local(element) == "rPh":
        return ""
    own = (element.text or "") if _local(element) == "t" else ""
    return own + "".join(_text(child) for child in element)


def _shared(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_text(item) for item in _part(archive, "xl/sharedStrings.xml") if _local(item) == "si"]


def _sheet(archive: zipfile.ZipFile, part: str, shared: list[str]) -> dict[int, dict[int, str]]:
    """The cells with content, by row and then by column, both counted from 1."""
    rows: dict[int, dict[int, str]] = {}
    row = column = 0
    for element in _part(archive, part).iter():
        kind = _local(element)
        if kind == "row":
            row, column = int(element.get("r", row + 1)), 0
        elif kind == "c":
            column += 1
            if match := _REFERENCE.fullmatch(element.get("r", "")):
                column = 0
                for letter in match[1]:
                    column = 26 * column + _LETTERS[letter]
            if text := _cell(element, shared).strip():
                rows.setdefault(row, {})[column] = text
    return rows


def _cell(element: ElementTree.Element, shared: list[str]) -> str:
    kind = element.get("t", "n")
    if kind == "inlineStr":
        return _text(element)
    value = next((child.text or "" for child in element if _local(child) == "v"), "")
    if kind == "s" and value:
        return shared[int(value)]
    if kind == "b":
        return "True" if value == "1" else "False"
    return "" if kind == "e" else value
