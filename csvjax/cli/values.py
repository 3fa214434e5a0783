"""Values of options: names, numbers, and numbers by name."""

from __future__ import annotations

from typing import Any

from csvjax.errors import InputError

__all__ = ["OR_UNKNOWN", "by_name", "listed", "score_units"]

OR_UNKNOWN = "BENCHMARK=NUMBER or BENCHMARK=unknown"


def listed(given: list[str] | str | None) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def score_units(texts: list[str]) -> dict[str, Any] | None:
    """Units of scores by column; that of all other columns has an empty key."""
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
    """Numbers by benchmark, from BENCHMARK=NUMBER; the name may have an equals sign of its own. In a `form` that knows
    the word "unknown" it is read as NaN.
    """
    found = {}
    for text in given or ():
        name, sign, number = text.rpartition("=")
        if not sign:
            raise InputError(f"expected {option} {form}, found {text!r}; write both, with an equals sign between")
        unknown = form == OR_UNKNOWN and number.strip() == "unknown"
        found[name] = float("nan") if unknown else _number(number, option, form)
    return found
