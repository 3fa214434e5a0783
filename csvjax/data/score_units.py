"""Finds the unit of a column of scores: fractions, percentages, or what the user gives, also a unit without bounds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from jaxtyping import Bool, Float

from csvjax import names
from csvjax.data.columns import positive_unit
from csvjax.data.scales import FRACTION, Scale, find_scale, out_of_range
from csvjax.errors import ArgumentError, InputError, Remedy

__all__ = [
    "DEFAULT",
    "ScoreUnit",
    "Unit",
    "check_units",
    "find_units",
    "named_unbounded",
    "refusal",
    "to_scale",
    "unbounded",
    "word_of",
]

ScoreUnit = float | str | Scale | Mapping[str, float | str | Scale] | None
"""Unit of the scores, for all columns or by column: one unit as a fraction, "percent", or a word of
`csvjax.data.scales.SCALES`."""
DEFAULT = ""
"""The key of the unit of all other columns in a mapping of units."""

_ROUNDING = 1e-9
_LIKELY_PERCENT = 1.5  # larger values cannot be fractions with a slip
_FRACTION_BEST = 0.2  # next to percentages, a column up to 1 whose best score is above this holds fractions
_MARKS = 10.0  # best score of another usual scale
_MIDDLING = 3.0  # half of the marks out of 10 are usually above this, and few percentages that are all below 10


@dataclass(frozen=True)
class Unit:
    """The unit of a column of scores.

    Attributes:
        worth: one unit of the column as a fraction.
        word: a word for it.
        told: whether the user gave it.
        scale: the scale of the scores; scores that are not fractions keep their unit.
    """

    worth: float
    word: str
    told: bool = False
    scale: Scale = FRACTION


def word_of(worth: float) -> str:
    """A word for a unit that is worth this fraction."""
    return {1.0: "fraction", 0.01: "percent"}.get(worth, f"units of {worth:g}")


def check_units(given: ScoreUnit) -> dict[str, Unit]:
    """The given units by column; `DEFAULT` is the key for all other columns.

    Raises: InputError for an unknown word, and for a unit that is not above 0.
    """
    if given is None:
        return {}
    pairs = given if isinstance(given, Mapping) else {DEFAULT: given}
    return {column: _told(unit) for column, unit in pairs.items() if unit is not None}


def _told(unit: float | str | Scale) -> Unit:
    if isinstance(unit, str):
        unit = unit.strip().casefold()
    if isinstance(unit, str) and unit != "percent":
        unit = find_scale(unit)
    if isinstance(unit, Scale):
        return Unit(1.0, unit.word, True, unit)
    worth = 0.01 if unit == "percent" else positive_unit(float(unit), "score_unit")
    return Unit(worth, word_of(worth), True)


def find_units(
    path: object,
    columns: Mapping[str, Float[np.ndarray, " row"]],
    percent: Mapping[str, bool],
    given: ScoreUnit,
    known: Callable[[str], bool],
    decimals: Callable[[str], int] = lambda column: 17,
    what: str = "column",
) -> dict[str, Unit]:
    """The unit of each column: given, written in its cells or name, or decided from its values and the other columns.

    Args:
        path: the file, for errors.
        columns: values by column, NaN where blank [row].
        percent: whether each column has percent signs.
        given: the units that the user gave.
        known: whether a name is that of a known benchmark.
        decimals: the largest number of digits after the decimal point in a column.
        what: word for a column in errors.

    Raises: InputError for a unit given for a column that does not exist, and for a column whose unit is not clear.
    """
    told = check_units(given)
    names.positions([name for name in told if name != DEFAULT], tuple(columns), f"{what} of scores")
    best = {name: float(np.nanmax(values, initial=-np.inf)) for name, values in columns.items()}
    middle = {name: float(np.nanmedian(v)) if not np.isnan(v).all() else 0.0 for name, v in columns.items()}
    free = unbounded(given, columns)
    may = [name for name in columns if name not in free]
    sure = {name for name in may if percent.get(name) or (best[name] > _MARKS and middle[name] > 1) or "%" in name}
    found = {}
    for name, values in columns.items():
        others = sure - {name}
        if name in told:
            if percent.get(name) and not told[name].scale.bounded:
                raise InputError(
                    f"{path}, {what} {name!r}: expected no percent signs in scores whose unit is {told[name].word}, "
                    f"found some; give another unit"
                )
            found[name] = told[name]
        elif percent.get(name) or "%" in name:
            found[name] = Unit(0.01, "percent")
        elif DEFAULT in told:
            if (
                told[DEFAULT].worth == 0.01
                and others
                and _is_fraction(values, best[name], decimals(name), others, decimals)
            ):
                _ask(path, name, what, best[name], "look like fractions, but the other columns hold percentages")
            found[name] = told[DEFAULT]
        else:
            found[name] = _find(path, name, values, best[name], middle[name], others, known, decimals, what)
    return found


def _find(
    path: object,
    name: str,
    values: np.ndarray,
    best: float,
    middle: float,
    others: set[str],
    known: Callable[[str], bool],
    decimals: Callable[[str], int],
    what: str,
) -> Unit:
    if best <= 1 + _ROUNDING:
        if not others:
            return Unit(1.0, "fraction")
        if best <= 0:
            return Unit(0.01, "percent")
        if _is_fraction(values, best, decimals(name), others, decimals):
            return Unit(1.0, "fraction")
        _ask(path, name, what, best, "may be fractions or small percentages")
    if others:
        if best <= _MARKS and middle >= _MIDDLING and np.nanmin(values) >= 1 and not known(name):
            _ask(path, name, what, best, "may be small percentages or marks out of 10")
        return Unit(0.01, "percent")
    if best <= _LIKELY_PERCENT or middle <= 1:
        return Unit(1.0, "fraction")  # fractions with a slip; the check of its cells finds the wrong cell
    if best <= _MARKS and not known(name):
        _ask(path, name, what, best, "may be percentages, losses or marks out of 10")
    return Unit(0.01, "percent")


def _is_fraction(
    values: np.ndarray, best: float, digits: int, others: set[str], decimals: Callable[[str], int]
) -> bool:
    """Whether a column with values up to 1 holds fractions, while other columns hold percentages.

    It does if it has more digits than they have, or if its values are too high and too different for percentages
    below 1.
    """
    if best > 1 + _ROUNDING or best <= 0:
        return False
    if digits >= max(decimals(other) for other in others) + 2:
        return True
    return best >= _FRACTION_BEST and len(np.unique(values[~np.isnan(values)])) >= min(4, len(values))


def _ask(path: object, name: str, what: str, best: float, doubt: str) -> NoReturn:
    raise ArgumentError(
        f"{path}, {what} {name!r}: expected scores whose unit is clear, found values up to {best:g} that {doubt}",
        Remedy("give the unit with {} (or 1 for fractions)", "score_unit", f"{{{name!r}: 'percent'}}"),
    )


def to_scale(
    values: Float[np.ndarray, " row"], unit: Unit
) -> tuple[Float[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
    """Values as the score table keeps them, and whether each is impossible.

    Scores with bounds become fractions of at most 1; scores on another scale stay unchanged.
    """
    if not unit.scale.bounded:
        return values, out_of_range(values, unit.scale)
    scaled = values / 100 if unit.worth == 0.01 else values * unit.worth
    return np.minimum(scaled, 1.0), (scaled < 0) | (scaled > 1 + _ROUNDING)


def unbounded(given: ScoreUnit, columns: Collection[str]) -> set[str]:
    """The columns whose unit was given as one without bounds."""
    told = check_units(given)
    rest = DEFAULT in told and not told[DEFAULT].scale.bounded
    return {name for name in columns if (rest if name not in told else not told[name].scale.bounded)}


def named_unbounded(given: ScoreUnit) -> set[str]:
    """The columns that were given a unit without bounds by their name."""
    return {name for name, unit in check_units(given).items() if name != DEFAULT and not unit.scale.bounded}


def refusal(unit: Unit) -> tuple[str, tuple[Remedy, ...]]:
    """What the error on an impossible score expected, and what to do."""
    if not unit.scale.bounded:
        return f"{unit.scale.expected} ({unit.word})", ()
    scale = Remedy("use {} for percentages (or a number for another scale)", "score_unit", "'percent'")
    return (unit.scale.expected if unit.worth == 1 else f"a score between 0 and {1 / unit.worth:g}"), (scale,)
