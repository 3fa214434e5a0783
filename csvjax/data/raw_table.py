"""A table as columns of cells that know their place in the file. All readers of csvjax work on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Float

from csvjax import names
from csvjax.data import numerals
from csvjax.data.numerals import BLANK, Decimal, Numbers
from csvjax.errors import ArgumentError, InputError, Remedy

__all__ = ["Cells", "RawTable", "make_table"]

Cells = Sequence[str] | np.ndarray
"""A column: text without surrounding spaces, or numbers (NaN where blank) from a file with types."""


@dataclass(frozen=True, eq=False)
class RawTable:
    """The cells of a table and their places in the file.

    Attributes:
        path: the file, for errors.
        columns: names of the columns.
        cells: the columns, each with a cell for each row.
        where: the place of each row, such as its line number.
        place: the word before a number in `where`: "line", or "row" for files without lines.
        ignored: columns of the file that are not in the table, each with the reason.
        said: sentences on what was assumed.
        decimal: the decimal mark; None to decide it from the numbers.
        across: the word for a column in errors; "row" if the table was transposed.
    """

    path: Path | str
    columns: tuple[str, ...]
    cells: tuple[Cells, ...]
    where: Sequence[int | str]
    place: str = "line"
    ignored: tuple[tuple[str, str], ...] = ()
    said: tuple[str, ...] = ()
    decimal: Decimal | None = None
    across: str = "column"
    _parsed: dict[str, Numbers] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.where)

    def at(self, row: int) -> str:
        """The place of a row in words, such as "line 7"."""
        place = self.where[row]
        return place if isinstance(place, str) else f"{self.place} {place}"

    def fail(self, row: int, column: str, expected: str, *remedies: str | Remedy) -> NoReturn:
        """Raise an InputError about one cell."""
        found = self.text(column)[row] or "a blank"
        where = f"{self.path}, {self.at(row)}, {self.across} {column!r}"
        raise ArgumentError(f"{where}: expected {expected}, found {found}", *remedies)

    def rows(self, chosen: Sequence[int]) -> RawTable:
        """The table of the chosen rows."""
        kept = tuple(
            cells[list(chosen)] if isinstance(cells, np.ndarray) else [cells[row] for row in chosen]
            for cells in self.cells
        )
        return replace(self, cells=kept, where=[self.where[row] for row in chosen], _parsed={})

    def without(self, columns: Collection[str], reason: str) -> RawTable:
        """The table without these columns, which are ignored for this reason."""
        left = tuple((name, reason) for name in columns)
        kept = [at for at, name in enumerate(self.columns) if name not in columns]
        return replace(
            self,
            columns=tuple(self.columns[at] for at in kept),
            cells=tuple(self.cells[at] for at in kept),
            ignored=self.ignored + left,
            _parsed={},
        )

    def position(self, column: str) -> int:
        """The position of a column.

        Raises: InputError for a column that is not in the table.
        """
        if column not in self._places:
            raise InputError(
                f"{self.path}: expected a column {column!r}, found none: {names.hint(column, self.columns)}"
            )
        return self._places[column]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.columns)}

    def text(self, column: str) -> Sequence[str]:
        """The cells of a column as text."""
        cells = self.cells[self.position(column)]
        if not isinstance(cells, np.ndarray):
            return cells
        return [_written(value) for value in cells.tolist()]

    def labels(self, column: str) -> list[str | None]:
        """The cells of a column as text; None for a blank cell or a word such as NA or null."""
        return [None if cell.casefold() in BLANK else cell for cell in self.text(column)]

    def is_numeric(self, column: str) -> bool:
        """Whether most cells that are not blank are numbers or look like numbers, as `45.1%` and `0.4 (0.1)` do."""
        cells = self.cells[self.position(column)]
        if isinstance(cells, np.ndarray):
            return bool(np.isfinite(cells).any())
        found = self.parsed(column)
        if found.wrong is None:
            return not np.isnan(found.values).all()
        return numerals.looks_numeric(cells)

    def parsed(self, column: str) -> Numbers:
        """The column as numbers. It is parsed once, and wrong cells raise no error."""
        if column not in self._parsed:
            cells = self.cells[self.position(column)]
            if isinstance(cells, np.ndarray):
                self._parsed[column] = Numbers(cells)
            else:
                found = numerals.parse(cells, self.decimal)
                if found.doubtful is not None and (mark := self._decimal_of_others) is not None:
                    found = numerals.parse(cells, mark)
                self._parsed[column] = found
        return self._parsed[column]

    @cached_property
    def _decimal_of_others(self) -> Decimal | None:
        """The decimal mark of the other columns, if all columns that show it agree."""
        votes = {numerals.vote(cells) for cells in self.cells if not isinstance(cells, np.ndarray)} - {None}
        return votes.pop() if len(votes) == 1 else None

    def numbers(self, column: str, *otherwise: str | Remedy) -> Float[np.ndarray, " row"]:
        """The column as float64, NaN for blank cells. `otherwise` holds further remedies for the error.

        Raises: InputError for text that is not a number, infinite values, and marks that may be thousands marks.
        """
        found = self.parsed(column)
        remedy = "write a plain number, or leave the cell blank if it is unknown"
        if found.wrong is not None:
            self.fail(found.wrong, column, "a number or a blank", remedy, *otherwise)
        if found.doubtful is not None:
            one = numerals.parse([found.doubtful], ".").values[0]
            other = numerals.parse([found.doubtful], ",").values[0]
            self.fail(
                list(self.text(column)).index(found.doubtful),
                column,
                f"a number with one meaning (is it {one:g} or {other:g}?)",
                "write it without thousands marks",
                Remedy("give the decimal mark with {}", "decimal", "'.'", "use a decimal point"),
            )
        for row in np.flatnonzero(np.isinf(found.values))[:1]:
            self.fail(int(row), column, "a finite number", "leave the cell blank if it is unknown", *otherwise)
        return found.values


def _written(value: float) -> str:
    """A number as text, a whole number without a decimal point."""
    if value != value:
        return ""
    return str(int(value)) if value % 1 == 0 and abs(value) < 1e15 else repr(value)


def make_table(
    path: Path | str,
    header: Sequence[str],
    cells: Sequence[Cells],
    where: Sequence[int | str],
    place: str = "line",
    ignored: Sequence[tuple[str, str]] = (),
    said: Sequence[str] = (),
) -> RawTable:
    """The table of these columns. A column without a name that is blank or only numbers the rows is left out.

    First lines with a single cell are titles and are left out, if the table has three columns or more.

    Raises: InputError for a table without rows, and for two columns of the same name.
    """
    if not len(where):
        found = "only a header" if header else "nothing"
        raise InputError(
            f"{path}: expected a header and at least one row, found {found}; check that this is the right file"
        )
    if (titles := _titles(header, cells)) and len(where) > titles:
        said = [*said, f"the first {titles} lines are titles" if titles > 1 else "the first line is a title"]
        header, cells = [str(column[titles - 1]) for column in cells], [column[titles:] for column in cells]
        where = where[titles:]
    dropped = list(ignored)
    kept = []
    for c, name in enumerate(header):
        column = cells[c]
        blank = not isinstance(column, np.ndarray) and not any(column)
        if (not name or _is_unnamed(name)) and (blank or counts_rows(column)):
            dropped.append((name, "it is blank" if blank else "it only numbers the rows"))
        elif blank:
            dropped.append((name, "it is blank"))
            kept.append(c)
        else:
            kept.append(c)
    dropped = [(name, reason) for name, reason in dropped if name]
    columns = [header[c] for c in kept]
    if not kept:
        raise InputError(f"{path}: expected columns with names, found none; check that this is the right file")
    for name, count in Counter(columns).items():
        if count > 1:
            what = f"{count} columns named {name!r}" if name else f"{count} columns without a name"
            join = "" if name else ", and write a header of several lines as one line"
            raise InputError(f"{path}: expected each column name once, found {what}; rename all but one{join}")
    return RawTable(path, tuple(columns), tuple(cells[c] for c in kept), where, place, tuple(dropped), tuple(said))


def _titles(header: Sequence[str], cells: Sequence[Cells]) -> int:
    """The number of lines above the header, which have a cell in one column only."""
    if len(header) < 3 or any(isinstance(column, np.ndarray) for column in cells):
        return 0
    lines = [header, *zip(*(column[:10] for column in cells), strict=True)]
    return next((at for at, line in enumerate(lines) if sum(map(bool, line)) > 1), 0)


def _is_unnamed(name: str) -> bool:
    """Whether pandas made up this name for a column without a name."""
    return name.startswith("Unnamed: ") and name[9:].isdigit()


def counts_rows(cells: Cells) -> bool:
    """Whether a column numbers the rows: 0, 1, 2, ... or 1, 2, 3, ..."""
    first = cells[0]
    if isinstance(cells, np.ndarray):
        return first in (0, 1) and bool((cells == np.arange(len(cells)) + first).all())
    if first not in ("0", "1"):
        return False
    start = int(first)
    return all(cell == str(row) for row, cell in enumerate(cells, start))
