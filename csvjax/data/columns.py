"""Finds the columns of a table and their units, and reads what the table says about models besides their scores."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax import names
from csvjax.data.numerals import BLANK
from csvjax.data.raw_table import RawTable
from csvjax.errors import ArgumentError, Remedy

__all__ = [
    "LONG",
    "covariates",
    "find_columns",
    "lm_names",
    "one_each",
    "one_number_each",
    "per_name",
    "plain",
    "positive_unit",
    "spelled_as",
    "unit_word",
    "without_copies",
]

T = TypeVar("T", str, float)

# Written as `plain` writes them; the clearest spelling comes first.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "lm": (
        "lm",
        "model",
        "model name",
        "language model",
        "llm",
        "checkpoint",
        "name",
        "model id",
        "hf model",
        "model path",
        "modell",
        "modelo",
        "modèle",
    ),
    "family": ("family", "model family"),
    "params": (
        "params",
        "parameters",
        "model size",
        "n params",
        "num params",
        "n parameters",
        "parameter",
        "model params",
    ),
    "tokens": (
        "tokens",
        "pretraining data size",
        "training tokens",
        "pretraining tokens",
        "data size",
        "n tokens",
        "trainings tokens",
    ),
    "flops": ("flops", "compute", "training flops", "pretraining flops", "training compute"),
    "benchmark": (
        "benchmark",
        "task",
        "benchmark name",
        "task name",
        "eval",
        "evaluation",
        "eval name",
        "test",
        "dataset",
        "variable",
    ),
    "score": ("score", "value", "result", "metric value", "accuracy", "performance"),
    "metric": ("metric", "metric name", "measure"),
    "filter": ("filter",),
    "shots": ("n shot", "n shots", "num fewshot", "num few shot", "shots", "fewshot", "few shot"),
    "stderr": ("stderr", "std err", "standard error", "std error", "se", "score stderr", "sem"),
    "n_items": ("n items",),
    "floor": ("floor",),
    "ceiling": ("ceiling",),
    "unit": ("unit", "score unit"),
    "group": ("group",),
}
LONG = frozenset(_SPELLINGS) - {"lm", "family", "params", "tokens", "flops"}
"""Roles of columns that only a long table has, in which each row is one score."""
_WITH_UNITS = {
    "params": ("size",),
    "tokens": ("training data", "pretraining data"),
}
"""Spellings that count only if the cells have units, such as 7B."""
_UNIT = re.compile(r"\(([^()]*)\)$")
_PREFIX = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12, "bn": 1e9, "mio": 1e6, "mrd": 1e9, "bio": 1e12}
for _word, _worth in (("thousand", 1e3), ("million", 1e6), ("billion", 1e9), ("trillion", 1e12)):
    _PREFIX |= {_word: _worth, f"{_word}s": _worth}
_AMOUNT = re.compile(
    rf"[~≈]?\s*(?P<number>\d+([.,]\d+)?)\s*(?P<unit>{'|'.join(sorted(_PREFIX, key=len, reverse=True))})\.?"
    r"(\s+(params|parameters|tokens))?",
    re.IGNORECASE,
)


def plain(column: str) -> str:
    """A column name in lower case, without its unit: `#Params (B)` becomes `params`, `n_params` becomes `n params`."""
    return " ".join(re.sub(r"[\s_\-.]+|#", " ", _UNIT.sub("", column.casefold())).split())


def spelled_as(raw: RawTable, role: str, taken: Iterable[str] = ()) -> str | None:
    """The column whose name is a usual spelling of `role`, whatever its case and unit; None if there is none.

    Raises: InputError if two columns have the same spelling.
    """
    free = [column for column in raw.columns if column not in set(taken)]
    for spelling in _SPELLINGS[role]:
        found = [column for column in free if plain(column) == spelling]
        if len(found) > 1:
            remedy = "rename all but one" if role in LONG else Remedy("choose one with {}", f"{role}_column")
            raise ArgumentError(f"{raw.path}: expected one column of {role}, found {names.some(found)}", remedy)
        if found:
            return found[0]
    for column in free:
        if plain(column) in _WITH_UNITS.get(role, ()) and _has_units(raw.text(column)):
            return column
    return None


def _has_units(cells: Sequence[str]) -> bool:
    """Whether most cells that are not blank are amounts with a unit, such as 7B."""
    known = [cell for cell in cells if cell.casefold() not in BLANK]
    return 2 * sum(_AMOUNT.fullmatch(cell) is not None for cell in known) > len(known)


def find_columns(raw: RawTable, given: Mapping[str, str | None], taken: Iterable[str] = ()) -> dict[str, str | None]:
    """The column of each role: the given column, or a column with a usual spelling that is not in `taken`.

    The names of the models may also be in a first column without a name, where pandas writes an index.

    Raises: InputError for a given column that is not in the table, and for a table without a column of model names.
    """
    for column in given.values():
        if column is not None:
            raw.position(column)
    used = {*taken, *(column for column in given.values() if column is not None)}
    found = {role: column if column is not None else spelled_as(raw, role, used) for role, column in given.items()}
    if "lm" in found and found["lm"] is None:
        if raw.columns[0]:
            usual = ", ".join(_SPELLINGS["lm"])
            raise ArgumentError(
                f"{raw.path}: expected a column of model names ({usual}), found {names.some(raw.columns, 5)}",
                Remedy("name it with {}", "lm_column"),
            )
        found["lm"] = raw.columns[0]
    return found


def lm_names(raw: RawTable, column: str, once: bool) -> list[str]:
    """The name of the model in each row; if `once`, each model may have only one row.

    Raises: InputError for a blank name, and for a repeated one if `once`.
    """
    found = list(raw.text(column))
    first: dict[str, int] = {}
    if not all(found):
        raw.fail(found.index(""), column, "the name of a model", "write the name, or delete the row")
    for row, name in enumerate(found if once else ()):
        if name in first:
            raw.fail(
                row, column, f"one row for each model, the first at {raw.at(first[name])}", "rename or delete a row"
            )
        first[name] = row
    return found


def without_copies(raw: RawTable, column: str) -> RawTable:
    """The table without rows that are exact copies of an earlier row; a note says how many there were."""
    found = raw.text(column)
    if len(set(found)) == len(found):
        return raw
    rows = list(zip(*(raw.text(name) for name in raw.columns), strict=True))
    first = list({row: at for at, row in reversed(list(enumerate(rows)))}.values())
    if len(first) == len(rows):
        return raw
    told = f"{len(rows) - len(first)} rows are copies of another row and are left out"
    return replace(raw.rows(sorted(first)), said=(*raw.said, told))


def one_each(raw: RawTable, keys: Sequence[str], column: str, values: Sequence[T | None], what: str) -> dict[str, T]:
    """The value of each key in `column`; a key whose values are all None is left out.

    Raises: InputError if two rows of a key have different values; `what` says what a key is, lm or benchmark.
    """
    found: dict[str, T] = {}
    for row, (key, value) in enumerate(zip(keys, values, strict=True)):
        if value is not None and found.setdefault(key, value) != value:
            raw.fail(
                row,
                column,
                f"the same value in all rows of {what} {key!r}, the first is {found[key]}",
                "make its rows agree",
            )
    return found


def one_number_each(
    raw: RawTable, keys: Sequence[str], column: str, values: Float[np.ndarray, " row"], what: str
) -> dict[str, float]:
    """As `one_each`, for numbers that are NaN where unknown."""
    known = ~np.isnan(values)
    each = pd.Series(values[known]).groupby(np.asarray(keys, dtype=object)[known], sort=False)
    smallest = each.min()
    if not np.array_equal(smallest, each.max()):  # raise the error that names the row
        one_each(raw, keys, column, [None if np.isnan(value) else float(value) for value in values], what)
    return {str(name): float(value) for name, value in smallest.items()}


def positive_unit(value: float, name: str) -> float:
    """The unit as a float.

    Raises: InputError for a unit that is not a finite number above 0.
    """
    if not 0 < value < np.inf:
        raise ArgumentError(
            f"expected a unit that is a number above 0, found {value}",
            Remedy("give the unit of the column with {}", name),
        )
    return float(value)


def _unit(raw: RawTable, column: str, role: str, given: float | None) -> float:
    """The unit of a column: as given, or as its name says in parentheses, such as (B), (T) or (1E21), otherwise 1."""
    if given is not None:
        return positive_unit(given, f"{role}_unit")
    match = _UNIT.search(column)
    if match is None:
        return 1.0
    written = match.group(1).strip().casefold().rstrip(".")
    try:
        return _PREFIX[written] if written in _PREFIX else positive_unit(float(written), f"{role}_unit")
    except ValueError:
        raise ArgumentError(
            f"{raw.path}, column {column!r}: expected a unit such as (M), (B) or (1E21), found ({match.group(1)})",
            Remedy("give the unit with {}", f"{role}_unit"),
        ) from None


def unit_word(column: str, given: float | None) -> str:
    """The unit of a column of amounts as a word for the user."""
    match = _UNIT.search(column)
    return f"{given:g}" if given is not None else match[1].strip() if match else "1"


def _amount(raw: RawTable, lms: Sequence[str], column: str, unit: float) -> dict[str, float]:
    """The amount of each model in units of 1, all above 0."""
    if raw.parsed(column).wrong is not None and _has_units(raw.text(column)):
        values, unit = _with_units(raw, column), 1.0
    else:
        values = raw.numbers(column, Remedy("leave the column out with {}", "ignore", f"[{column!r}]"))
    for row in np.flatnonzero(values <= 0):
        raw.fail(int(row), column, "a number above 0", "leave the cell blank if it is unknown")
    with np.errstate(over="ignore"):
        scaled = values * unit
    for row in np.flatnonzero(np.isinf(scaled)):
        raw.fail(int(row), column, "a finite number", "leave the cell blank if it is unknown")
    return one_number_each(raw, lms, column, scaled, "lm")


def _with_units(raw: RawTable, column: str) -> Float[np.ndarray, " row"]:
    """The amounts of a column whose cells have units, such as 7B; NaN for blank cells."""
    found = np.full(len(raw), np.nan)
    for row, cell in enumerate(raw.text(column)):
        if cell.casefold() in BLANK:
            continue
        match = _AMOUNT.fullmatch(cell)
        if match is None:
            raw.fail(
                row,
                column,
                "an amount with a unit such as 7B, as in the other rows",
                "write the total as such an amount, or leave the cell blank if it is unknown",
                Remedy("leave the column out with {}", "ignore", f"[{column!r}]"),
            )
        found[row] = float(match["number"].replace(",", ".")) * _PREFIX[match["unit"].casefold()]
    return found


def covariates(
    raw: RawTable, lms: Sequence[str], columns: Mapping[str, str | None], units: Mapping[str, float | None]
) -> pd.DataFrame:
    """The covariates of each model: index `lm`, columns `family` (str) and `params`, `tokens`, `flops` (float64).

    A model whose family is unknown is a family of its own. Unknown amounts are NaN. If the parameters N and the tokens
    D are known, unknown FLOPs are 6 N D (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
    """
    index = pd.Index(list(dict.fromkeys(lms)), name="lm", dtype=str)
    known: dict[str, str] = {}
    if (family := columns["family"]) is not None:
        known = one_each(raw, lms, family, raw.labels(family), "lm")
    frame = pd.DataFrame({"family": pd.Series([known.get(name, name) for name in index.tolist()], index, dtype=str)})
    for role in ("params", "tokens", "flops"):
        column = columns[role]
        amounts = {} if column is None else _amount(raw, lms, column, _unit(raw, column, role, units.get(role)))
        frame[role] = np.array([amounts.get(name, np.nan) for name in index.tolist()], dtype=float)
    frame["flops"] = frame["flops"].fillna(6 * frame["params"] * frame["tokens"])
    return frame


def per_name(
    given: Mapping[str, int | float] | None,
    table: Mapping[str, float],
    benchmarks: Sequence[str],
    default: float,
    what: str,
) -> Float[np.ndarray, " benchmark"]:
    """A number for each benchmark: the given one, otherwise that of the table, otherwise `default`."""
    names.positions(list(given or {}), benchmarks, f"benchmark for {what}")
    merged = {**table, **(given or {})}
    return np.array([merged.get(name, default) for name in benchmarks], dtype=float)
