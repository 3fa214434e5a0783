"""Parses numbers as people write them: thousands marks, decimal commas, percent signs, words for "unknown"."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

__all__ = ["BLANK", "Decimal", "Numbers", "looks_numeric", "number_only", "parse", "vote"]

Decimal = Literal[".", ","]

BLANK = frozenset(
    {
        "",
        "na",
        "n/a",
        "n.a.",
        "nan",
        "null",
        "none",
        "nil",
        "-",
        "--",
        "---",
        "\u2013",
        "\u2014",
        "\u2212",
        "?",
        ".",
        "#n/a",
    }
    | {"k. a.", "k.a.", "keine angabe", "n/r", "not reported"}
    | {"<na>", "nat", "tbd", "missing", "unknown", "not available", "#div/0!", "#value!", "#ref!"}
)
_STARTS_AS_NUMBER = re.compile(r"[+\-\u2212]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?\s*($|%|±|\(|\+/-)", re.IGNORECASE)
_SPACES = re.compile(r"(?<=\d)[\u0020\u00a0\u2009\u202f'\u2019](?=\d{3}(?!\d))")
_BEHIND = re.compile(r"(?<=[\d%.])\s*(\(?\s*(±|\+/-|\+-)\s*\d[\d.,]*\s*%?\s*\)?|[*†‡§↑↓▲▼]+)$")
_EXPONENT = r"(?:e[+-]?\d+)?"
_POINT = re.compile(rf"[+-]?(?:[1-9]\d{{0,2}}(?:,\d{{3}})+|\d+|(?=\.\d))(?:\.\d*)?{_EXPONENT}", re.IGNORECASE)
_COMMA = re.compile(rf"[+-]?(?:[1-9]\d{{0,2}}(?:\.\d{{3}})+|\d+|(?=,\d))(?:,\d*)?{_EXPONENT}", re.IGNORECASE)
_DOTTED_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")


@dataclass(frozen=True)
class Numbers:
    """A column of parsed numbers.

    Attributes:
        values: the numbers as written, NaN where blank [row].
        percent: whether some of them have a percent sign.
        wrong: the first row that is not a number, or None.
        doubtful: a cell that means one number with a decimal point and another one with a decimal comma, or None;
            `values` are then those with a decimal point.
        behind: whether some cells have an uncertainty (`30.1 ± 1.3`) or a mark (`30.1*`) behind the number.
    """

    values: Float[np.ndarray, " row"]
    percent: bool = False
    wrong: int | None = None
    doubtful: str | None = None
    behind: bool = False


def parse(cells: Sequence[str], decimal: Decimal | None = None) -> Numbers:
    """Parse a column of cells. A comma or point has the same meaning in all cells of the column.

    A comma or point followed by three digits is a thousands mark if `decimal`, or other cells, show that the other one
    is the decimal mark. Otherwise "1,300" is doubtful, and so is "1.300" next to whole numbers such as "350".
    """
    try:
        values = np.array([float(cell) for cell in cells], dtype=float)
    except (ValueError, OverflowError):
        return _parse_each(cells, decimal)
    if "_" in "".join(cells):
        return _parse_each(cells, decimal)
    dotted = [cell for cell in cells[:1000] if "." in cell]
    if dotted and all(_DOTTED_THOUSANDS.fullmatch(cell) for cell in dotted):
        return _parse_each(cells, decimal)
    return Numbers(values)


def number_only(cell: str) -> str:
    """A cell without an uncertainty or a mark behind its number: `30.1` of `30.1 ± 1.3` and of `30.1*`."""
    return cell if cell[-1:].isdigit() and cell.isascii() and "+" not in cell[1:] else _BEHIND.sub("", cell)


def _clean(cell: str) -> tuple[str, bool]:
    """The cell with a plain minus, without percent sign and spaces; and whether it had a percent sign."""
    cell = number_only(cell)
    text = _SPACES.sub("", cell.replace("\u2212", "-")) if not cell.isascii() or " " in cell or "'" in cell else cell
    if text.endswith("%"):
        return text[:-1].rstrip(), True
    return text, False


def _value(text: str, decimal: Decimal) -> float | None:
    if decimal == ".":
        return float(text.replace(",", "")) if _POINT.fullmatch(text) else None
    return float(text.replace(".", "").replace(",", ".")) if _COMMA.fullmatch(text) else None


def _parse_each(cells: Sequence[str], decimal: Decimal | None) -> Numbers:
    known: dict[str, tuple[float | None, float | None]] = {}
    percent, marked, whole, comma_seen, behind = False, None, False, False, False
    for cell in dict.fromkeys(cells):
        if cell.casefold() in BLANK:
            known[cell] = (math.nan, math.nan)
            continue
        text, sign = _clean(cell)
        infinite = text.casefold().lstrip("+-") in ("inf", "infinity")
        known[cell] = (math.inf, math.inf) if infinite else (_value(text, "."), _value(text, ","))
        percent |= sign and known[cell] != (None, None)
        if known[cell][0] != known[cell][1]:
            marked = marked or cell
        elif text.isdigit() and len(text) >= 3:
            whole = True
        comma_seen |= "," in text
        behind |= number_only(cell) != cell
    point, comma = (all(pair[at] is not None for pair in known.values()) for at in (0, 1))
    doubtful = None
    if point and comma and marked is not None and decimal is None:
        doubtful = marked if comma_seen or whole else None
    if decimal == "," or (decimal is None and comma and not point):
        at = 1 if comma or not point else 0
    else:
        at = 0 if point or not comma else 1
    values = [known[cell][at] for cell in cells]
    wrong = next((row for row, value in enumerate(values) if value is None), None)
    return Numbers(
        np.array([math.nan if v is None else v for v in values], dtype=float), percent, wrong, doubtful, behind
    )


def vote(cells: Sequence[str]) -> Decimal | None:
    """The decimal mark that a column shows: the only one with which all its cells are numbers; None if unclear."""
    point = comma = True
    marks = False
    for cell in dict.fromkeys(cells):
        if cell.casefold() in BLANK:
            continue
        text, _ = _clean(cell)
        marks |= "." in text or "," in text
        point &= _POINT.fullmatch(text) is not None
        comma &= _COMMA.fullmatch(text) is not None
        if not point and not comma:
            return None
    if not marks or point == comma:
        return None
    return "." if point else ","


def looks_numeric(cells: Sequence[str], share: float = 0.5) -> bool:
    """Whether at least this share of the cells that are not blank are numbers or look like numbers, as `0.4 (0.1)`."""
    told = [cell for cell in cells if cell.casefold() not in BLANK]
    meant = sum(1 for cell in told if _STARTS_AS_NUMBER.match(cell) or _POINT.fullmatch(_clean(cell)[0]))
    return meant > 0 and meant >= share * len(told)
