"""Reads tables in Markdown and HTML, as in reports and model cards."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from csvjax.data.raw_table import RawTable, make_table
from csvjax.errors import InputError

__all__ = ["has_markdown_table", "plain_text", "read_html", "read_markdown"]

_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ANCHOR = re.compile(r"<a\b[^>]*>(.*?)</a>", re.IGNORECASE | re.DOTALL)
_NOTE = re.compile(r"<sup\b[^>]*>.*?</sup>|\s*\[\^[^\]]*\]", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_BAR = re.compile(r"(?<!\\)\|")
_LONGEST = 16_000_000  # characters; Python reads about a million in a second


def plain_text(cell: str) -> str:
    """The text of a cell without links, tags, emphasis and marks of footnotes."""
    cell = _NOTE.sub("", cell)
    if "<" in cell:
        anchor = _ANCHOR.search(cell)
        cell = _TAG.sub("", anchor[1] if anchor else cell)
    cell = _LINK.sub(r"\1", cell).strip()
    for mark in ("**", "__", "~~", "`", "*"):
        if len(cell) > 2 * len(mark) and cell.startswith(mark) and cell.endswith(mark):
            cell = cell[len(mark) : -len(mark)].strip()
    return cell.replace("\\|", "|").strip()


def has_markdown_table(text: str) -> bool:
    """Whether a text has a table in Markdown."""
    return any("|" in line and _RULE.fullmatch(line) for line in text[:100_000].splitlines())


def read_markdown(path: Path | str, text: str) -> RawTable:
    """The only table of a Markdown text.

    Raises: InputError for several tables, and for rows of different lengths.
    """
    lines = text.splitlines()
    rules = [
        at for at, line in enumerate(lines) if at and "|" in line and _RULE.fullmatch(line) and "|" in lines[at - 1]
    ]
    _only_one(path, len(rules))
    header = _split(lines[rules[0] - 1])
    rows, where = [], []
    for at in range(rules[0] + 1, len(lines)):
        if "|" not in lines[at]:
            break
        row = _split(lines[at])
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {at + 1}: expected {len(header)} cells as in the header, found {len(row)}; check the "
                f"bars of this line"
            )
        rows.append(row)
        where.append(at + 1)
    return make_table(path, header, [list(column) for column in zip(*rows, strict=True)], where)


def _split(line: str) -> list[str]:
    line = line.strip()
    line = line[1:] if line.startswith("|") else line
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return [plain_text(cell) for cell in _BAR.split(line)]


def _only_one(path: Path | str, count: int) -> None:
    if count != 1:
        found = "several" if count else "none"
        raise InputError(
            f"{path}: expected one table, found {found}; write the table with the scores to a file of its own"
        )


def read_html(path: Path | str, text: str) -> RawTable:
    """The only table of an HTML text that has rows. The lines of its header are joined.

    Raises: InputError for several tables, for rows of different lengths, and for a text that would take minutes.
    """
    if len(text) > _LONGEST:
        raise InputError(
            f"{path}: expected at most {_LONGEST:,} characters of HTML, found {len(text):,}; save the table as CSV"
        )
    parser = _Tables()
    parser.feed(text)
    parser.close()
    tables = [rows for table in parser.tables if len(rows := _grid(table)) > 1]
    _only_one(path, len(tables))
    count = max(1, next((at for at, row in enumerate(tables[0]) if not all(cell.heading for cell in row)), 1))
    heads, rows = tables[0][:count], tables[0][count:]
    for at, row in enumerate([*heads, *rows]):
        if len(row) != len(heads[0]):
            raise InputError(
                f"{path}, row {at}: expected {len(heads[0])} cells as in the header, found {len(row)}; check the table"
            )
    header = [" ".join(dict.fromkeys(cell.text for cell in column if cell.text)) for column in zip(*heads, strict=True)]
    columns = [[cell.text for cell in column] for column in zip(*rows, strict=True)]
    return make_table(path, header, columns, range(1, len(rows) + 1), "row")


class _Cell(NamedTuple):
    text: str
    columns: int
    rows: int
    heading: bool


def _grid(table: Sequence[Sequence[_Cell]]) -> list[list[_Cell]]:
    """The rows of a table that have text; a cell that spans columns or rows is repeated."""
    found = []
    below: dict[int, tuple[int, _Cell]] = {}  # by column: rows that a cell still spans

    for row in table:
        above, below = below, {}
        line: list[_Cell] = []
        own = [(cell.rows, cell) for cell in reversed(row) for _ in range(cell.columns)]
        while own or len(line) in above:
            left, cell = above.pop(len(line)) if len(line) in above else own.pop()
            if left > 1:
                below[len(line)] = left - 1, cell
            line.append(cell)
        found.append(line)
    return [line for line in found if any(cell.text for cell in line)]


class _Tables(HTMLParser):
    """The cells of every table."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[_Cell]]] = []
        self._open: list[int] = []
        self._text: list[str] | None = None
        self._next = _Cell("", 1, 1, False)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._open.append(len(self.tables))
            self.tables.append([])
        elif not self._open:
            return
        elif tag == "tr":
            self._end_cell()
            self.tables[self._open[-1]].append([])
        elif tag in ("td", "th"):
            self._end_cell()
            told = dict(attrs)
            self._text, self._next = [], _Cell("", _span(told, "colspan"), _span(told, "rowspan"), tag == "th")
        elif tag == "br" and self._text is not None:
            self._text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._end_cell()
        if tag == "table" and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def close(self) -> None:
        super().close()
        self._end_cell()

    def _end_cell(self) -> None:
        if self._text is None or not self._open:
            return
        rows = self.tables[self._open[-1]]
        if not rows:
            rows.append([])
        rows[-1].append(self._next._replace(text=" ".join("".join(self._text).split())))
        self._text = None


def _span(told: Mapping[str, str | None], name: str) -> int:
    text = told.get(name) or "1"
    return max(1, min(int(text), 1000)) if text.isdigit() and text.isascii() and len(text) < 9 else 1
