"""Reads the values of options: lists of names, units of scores, and numbers by name."""

from __future__ import annotations

import re
from typing import Any

from csvjax.errors import InputError

__all__ = ["OR_UNKNOWN", "by_name", "listed", "score_units", "size_in_bytes"]

OR_UNKNOWN = "BENCHMARK=NUMBER or BENCHMARK=unknown"


def listed(given: list[str] | str | None) -> list[str]:
    """The values of an option that can be repeated, also where a configuration holds a single value or none."""
    return [given] if isinstance(given, str) else list(given or ())


def score_units(texts: list[str]) -> dict[str, Any] | None:
    """The unit of each column of scores. The empty key holds the unit of all other columns."""
    found: dict[str, Any] = {}
    for text in texts:
        column, _, unit = text.rpartition("=")
        try:
            found[column] = float(unit)
        except ValueError:
            found[column] = unit  # a word, which the reader checks
    return found or None


def _number(text: str, option: str, expected: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"expected {option} to be {expected}, found {text!r}; correct it") from None


def by_name(given: list[str] | None, option: str, form: str = "BENCHMARK=NUMBER") -> dict[str, float]:
    """The numbers of texts such as BENCHMARK=NUMBER, by name; a name may contain equals signs.

    With the form `OR_UNKNOWN` the word "unknown" is read as NaN.

    Raises: InputError for a text without an equals sign or without a number.
    """
    found = {}
    for text in given or ():
        name, sign, number = text.rpartition("=")
        if not sign:
            raise InputError(f"expected {option} as {form}, found {text!r}; write a name, an equals sign and a value")
        unknown = form == OR_UNKNOWN and number.strip() == "unknown"
        found[name] = float("nan") if unknown else _number(number, option, form)
    return found


def size_in_bytes(size: str | None) -> int | None:
    """The value of --memory in bytes. Raises: InputError for another form."""
    if size is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?)(I?)B\s*", size.upper())
    if not found or not float(found[1]):
        raise InputError(f"expected --memory as a size like 8GiB or 500MB, found {size!r}; write a number and a unit")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2] or " "))
