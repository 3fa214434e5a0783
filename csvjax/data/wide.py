"""Reads a wide table, which has a row for each model and a column for each benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from csvjax import names
from csvjax.data.bounds import chance_of
from csvjax.data.columns import LONG, covariates, find_columns, lm_names, spelled_as, unit_word, without_copies
from csvjax.data.evidence import Companion, is_summary, judge, known_benchmark
from csvjax.data.items import items_from_stderr
from csvjax.data.numerals import number_only
from csvjax.data.raw_table import RawTable, make_table
from csvjax.data.rules import Found, ReadingRules
from csvjax.data.score_units import Unit, find_units, named_unbounded, refusal, to_scale
from csvjax.errors import ArgumentError, Remedy

__all__ = ["covariate_notes", "read_wide", "turned"]

_FAR = 5  # no evaluation gives a fifth of the score of guessing


def read_wide(raw: RawTable, rules: ReadingRules) -> Found:
    """Read the scores of a wide table.

    Raises: InputError for a table that `csvjax.data.read_scores.read_scores` refuses.
    """
    raw = turned(raw, rules)
    wanted = rules.wanted(raw.columns)
    columns = find_columns(raw, rules.roles(), wanted or ())
    raw = without_copies(raw, str(columns["lm"]))
    raw = _without_summaries(raw, str(columns["lm"]))
    lms = lm_names(raw, str(columns["lm"]), once=True)
    frame = covariates(raw, lms, columns, rules.units)
    for name in wanted or ():
        raw.position(name)
    judged = judge(raw, set(columns.values()), wanted, named_unbounded(rules.score_unit))
    if not judged.benchmarks:
        told = [f"{name} ({reason})" for name, reason in judged.ignored]
        raise ArgumentError(
            f"{raw.path}: expected at least one column of scores, found none among {names.some(raw.columns, 5)}"
            + (f": {', '.join(told[:5])}" if told else ""),
            Remedy("name the columns of scores with {}", "benchmarks", "[...]"),
        )
    units = _units(raw, judged.benchmarks, rules)
    score = np.stack([_fractions(raw, name, units[name], wanted is not None) for name in judged.benchmarks], axis=1)
    place = {name: b for b, name in enumerate(judged.benchmarks)}
    items, how = {}, {}
    for companion in judged.stderr:
        b = place[companion.of]
        if not units[companion.of].scale.bounded:
            continue  # items are those of fractions
        n = items_from_stderr(score[:, b], _errors(raw, companion, units[companion.of]))
        if not np.isnan(n):
            items[companion.of], how[companion.of] = n, f"from {companion.column}"
    for companion in judged.items:
        counts = raw.numbers(companion.column)
        if not np.isnan(counts).all():
            items[companion.of], how[companion.of] = float(np.nanmedian(counts)), f"from {companion.column}"
    return Found(
        frame,
        judged.benchmarks,
        score,
        {"n_items": items},
        {name: unit.word for name, unit in units.items()},
        how,
        {},
        covariate_notes(columns, rules),
        judged.ignored,
        (*raw.said, *_behind(raw, judged.benchmarks)),
        scales={name: unit.scale for name, unit in units.items()},
    )


def _without_summaries(raw: RawTable, column: str) -> RawTable:
    """The table without rows such as "Average" or "Random", which are not models; a note names them."""
    lms = raw.text(column)
    found = {name for name in set(lms) if is_summary(name)}
    kept = [row for row, name in enumerate(lms) if name not in found] if found else []
    if not kept:
        return raw
    left = names.some(sorted(found))
    return replace(raw.rows(kept), said=(*raw.said, f"rows that are not models were left out: {left}"))


def _behind(raw: RawTable, benchmarks: Sequence[str]) -> list[str]:
    found = [name for name in benchmarks if raw.parsed(name).behind]
    if not found:
        return []
    return [
        f"what stands behind a number, such as ± or *, is left out in {names.some(found)}; give standard errors as a "
        f"column such as {found[0]}_stderr"
    ]


def covariate_notes(columns: dict[str, str | None], rules: ReadingRules) -> dict[str, tuple[str, str]]:
    """Column and unit of each covariate in the table."""
    return {
        role: (column, "" if role == "family" else unit_word(column, rules.units.get(role)))
        for role, column in columns.items()
        if column is not None and role != "lm"
    }


def _units(raw: RawTable, benchmarks: Sequence[str], rules: ReadingRules) -> dict[str, Unit]:
    values = {name: _numbers(raw, name, rules.benchmarks is not None) for name in benchmarks}
    percent = {name: raw.parsed(name).percent for name in benchmarks}

    def decimals(name: str) -> int:
        cells = map(number_only, raw.text(name)[:500])
        return max((len(cell.rstrip("%").replace(",", ".").partition(".")[2]) for cell in cells), default=0)

    return find_units(raw.path, values, percent, rules.score_unit, known_benchmark, decimals, raw.across)


def _choose(named: bool) -> tuple[Remedy, ...]:
    return () if named else (Remedy("name the columns that are scores with {}", "benchmarks", "[...]"),)


def _numbers(raw: RawTable, column: str, named: bool) -> np.ndarray:
    return raw.numbers(column, *_choose(named))


def _fractions(raw: RawTable, column: str, unit: Unit, named: bool) -> np.ndarray:
    """A column of scores as fractions; `named` is True if the user chose the column."""
    values = _numbers(raw, column, named)
    if unit.worth == 0.01 and not unit.told:
        _no_fractions(raw, column, values)
    score, wrong = to_scale(values, unit)
    for row in np.flatnonzero(wrong):
        expected, remedies = refusal(unit)
        raw.fail(int(row), column, expected, *remedies, *(_choose(named) or ("leave the benchmark out",)))
    return score


def _no_fractions(raw: RawTable, column: str, values: np.ndarray) -> None:
    """Refuse a cell up to 1 that is a fraction among percentages: others have a sign, or it lies far below chance."""
    small = (values > 0) & (values <= 1)
    chance = chance_of(column) or 0.0
    for row in map(int, np.flatnonzero(small)):
        unlike = raw.parsed(column).percent and "%" not in raw.text(column)[row]
        if unlike or values[row] / 100 < chance / _FAR:
            raw.fail(
                row,
                column,
                "a percentage, as in the other rows (is it a fraction?)",
                "write it as the others",
                Remedy("give the unit of the column with {}", "score_unit", f"{{{column!r}: 'percent'}}"),
            )


def _errors(raw: RawTable, companion: Companion, unit: Unit) -> np.ndarray:
    found = raw.parsed(companion.column)
    return np.where(np.isinf(found.values), np.nan, found.values) * unit.worth


def turned(raw: RawTable, rules: ReadingRules) -> RawTable:
    """The table with a row for each model. A table with a row for each benchmark is transposed.

    A table has a row for each benchmark if its first column has a name that says so, or has no name and at least two
    cells that are known benchmarks, and if most other columns hold numbers.
    """
    first = raw.columns[0]
    if rules.columns.get("lm") or (rules.benchmarks is not None and set(rules.benchmarks) & set(raw.columns)):
        return raw
    if spelled_as(raw, "lm") is not None or len(raw.columns) < 2 or raw.is_numeric(first):
        return raw
    cells = list(raw.text(first))
    heading = spelled_as(raw, "benchmark") == first or first.casefold() in ("metric", "metrics", "benchmarks", "tasks")
    by_cells = not first and sum(map(known_benchmark, cells)) >= 2 and not any(map(known_benchmark, raw.columns[1:]))
    about = {found for role in LONG - {"benchmark"} if (found := spelled_as(raw, role)) is not None}
    lms = [name for name in raw.columns[1:] if name not in about and raw.is_numeric(name)]
    text = [name for name in raw.columns[1:] if name not in about and name not in lms]
    if not (heading or by_cells) or not all(cells) or len(lms) < max(1, 2 * len(text)):
        return raw
    columns = [list(row) for row in zip(*(raw.text(name) for name in lms), strict=True)]
    said = (
        *raw.said,
        f"the table has a column for each model: the benchmarks are the cells of {first or 'the first column'!r}",
    )
    ignored = [*raw.ignored, *((name, "a table with a column for each model does not use it") for name in about)]
    ignored += [(name, "it is text") for name in text]
    table = make_table(
        raw.path, ["lm", *cells], [lms, *columns], [f"column {name!r}" for name in lms], "", ignored, said
    )
    return RawTable(
        table.path, table.columns, table.cells, table.where, "", table.ignored, table.said, raw.decimal, "row"
    )
