"""Reads tables in Markdown and HTML, as in reports and model cards."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from csvjax.data.raw_table import RawTable, make_table
from csvjax.errors import InputError

__all__ = ["has_markdown_table", "plain_text", "read_html", "read_markdown"]

_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ANCHOR = re.compile(r"<a\b[^>]*>(.*?)</a>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_BAR = re.compile(r"(?<!\\)\|")


def plain_text(cell: str) -> str:
    """The text of a cell without links, tags and emphasis."""
    if "<" in cell:
        anchor = _ANCHOR.search(cell)
        cell = _TAG.sub("", anchor[1] if anchor else cell)
    cell = _LINK.sub(r"\1", cell).strip()
    for mark in ("**", "__", "`", "*"):
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
    """The only table of an HTML text that has rows.

    Raises: InputError for several tables, and for rows of different lengths.
    """
    parser = _Tables()
    parser.feed(text)
    parser.close()
    tables = [table for table in parser.tables if len(table) > 1]
    _only_one(path, len(tables))
    header, *rows = tables[0]
    for at, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError(
                f"{path}, row {at}: expected {len(header)} cells as in the header, found {len(row)}; check the table"
            )
    columns = [list(column) for column in zip(*rows, strict=True)]
    return make_table(path, header, columns, range(1, len(rows) + 1), "row")


class _Tables(HTMLParser):
    """The cells of every table; a cell that spans columns is repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._open: list[int] = []
        self._cell: list[str] | None = None
        self._span = 1

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
            span = dict(attrs).get("colspan") or "1"
            self._cell, self._span = [], min(int(span), 1000) if span.isdigit() and span.isascii() else 1
        elif tag == "br" and self._cell is not None:
            self._cell.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._end_cell()
        if tag == "table" and self._open:
            at = self._open.pop()
            self.tables[at] = [row for row in self.tables[at] if any(row)]

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def close(self) -> None:
        super().close()
        self._end_cell()

    def _end_cell(self) -> None:
        if self._cell is None or not self._open:
            return
        rows = self.tables[self._open[-1]]
        if not rows:
            rows.append([])
        rows[-1].extend([" ".join("".join(self._cell).split())] * max(1, self._span))
        self._cell = None
