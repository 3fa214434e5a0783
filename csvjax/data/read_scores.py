"""From a file of benchmark scores, wide or long, to a `ScoreTable` and what the file says of the models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax import names
from csvjax.data.columns import (
    covariates,
    find_columns,
    lm_names,
    one_each,
    per_name,
    positive_unit,
    spelled_as,
)
from csvjax.data.raw import RawTable, read_raw
from csvjax.data.scores import ScoreTable
from csvjax.errors import ArgumentError, InputError, Remedy

__all__ = ["read_scores"]

_ROUNDING = 1e-9  # how far above 1 a scaled score may come out


def read_scores(
    path: str | os.PathLike[str],
    *,
    lm_column: str | None = None,
    family_column: str | None = None,
    params_column: str | None = None,
    tokens_column: str | None = None,
    flops_column: str | None = None,
    params_unit: float | None = None,
    tokens_unit: float | None = None,
    flops_unit: float | None = None,
    benchmarks: Sequence[str] | None = None,
    score_unit: float | Literal["percent"] = 1.0,
    n_items: Mapping[str, int | float] | None = None,
    floors: Mapping[str, int | float] | None = None,
    ceilings: Mapping[str, int | float] | None = None,
) -> tuple[ScoreTable, pd.DataFrame]:
    """Read benchmark scores from CSV, TSV or parquet, and what the file says of the models.

    A file with columns `benchmark` and `score` is long: one row for each model and benchmark, `n_items`, `floor` and
    `ceiling` of the benchmarks in columns of these names, blank where unknown. Any other file is wide: one row for each
    model, one column for each benchmark. Blank cells are missing.

    `*_column`: where the model names, families, parameters, training tokens and training FLOPs stand; without it the
    usual spellings are looked for (Model, Model Family, Model Size (B), ...). `*_unit`: what one unit of the file is
    worth; without it, what the column name says in parentheses, else 1. `benchmarks`: the benchmarks, in this order;
    without it, every one of a long file, and every other column of numbers of a wide one. `score_unit`: what one unit
    of a score is worth as a fraction, or "percent". `n_items`, `floors`, `ceilings`: number of test items, chance
    level and best score (fractions) by benchmark, NaN if unknown; they go before what the file says. Of floors nothing
    said means 0.

    Returns: the scores; and a frame with index `lm` and columns `family` (the model's own name if unknown), `params`,
    `tokens` and `flops` (NaN if unknown; 6 params tokens where only FLOPs are).

    Raises: InputError for a file that cannot be read, a column or benchmark that is not there, repeated models, text
    in place of numbers, scores that are no fractions after scaling, amounts that are not above 0.
    """
    if isinstance(benchmarks, str) or (benchmarks is not None and not benchmarks):
        raise InputError(f"expected benchmarks to be a list of at least one name, found {benchmarks!r}; give a list")
    raw = read_raw(path)
    shape = (spelled_as(raw, "benchmark"), spelled_as(raw, "score"))
    long = None not in shape
    given = {"lm": lm_column, "family": family_column, "params": params_column, "tokens": tokens_column}
    columns = find_columns(raw, {**given, "flops": flops_column}, () if long else benchmarks or ())
    lms = lm_names(raw, str(columns["lm"]), once=not long)
    frame = covariates(raw, lms, columns, {"params": params_unit, "tokens": tokens_unit, "flops": flops_unit})
    if long:
        found, score, known = _long(raw, lms, str(shape[0]), str(shape[1]), benchmarks, score_unit)
    else:
        found = tuple(benchmarks) if benchmarks is not None else _numeric(raw, set(columns.values()))
        values = [_fractions(raw, column, score_unit, benchmarks is not None) for column in found]
        score, known = np.stack(values, axis=1), {}
    table = ScoreTable(
        tuple(frame.index),
        found,
        score,
        per_name(n_items, known.get("n_items", {}), found, np.nan, "n_items"),
        # A column that leaves a floor blank says that it is not known; no column says that nobody asked.
        per_name(floors, known.get("floor", {}), found, np.nan if "floor" in known else 0.0, "floors"),
        per_name(ceilings, known.get("ceiling", {}), found, np.nan, "ceilings"),
    )
    return table, frame


def _numeric(raw: RawTable, used: set[str | None]) -> tuple[str, ...]:
    """The columns that hold numbers and are not `used` for anything else."""
    found = tuple(column for column in raw.columns if column not in used and raw.is_numeric(column))
    if not found:
        raise ArgumentError(
            f"{raw.path}: expected at least one column of scores, found none among {names.some(raw.columns, 5)}",
            Remedy("name them with {}", "benchmarks", "[...]"),
        )
    return found


def _fractions(raw: RawTable, column: str, unit: float | Literal["percent"], named: bool) -> Float[np.ndarray, " row"]:
    """A column of scores as fractions; `named` says that the user chose the column."""
    if isinstance(unit, str) and unit != "percent":
        raise InputError(f"expected score_unit to be a number or 'percent', found {unit!r}; give one of the two")
    choose = () if named else (Remedy("name the columns that are scores with {}", "benchmarks", "[...]"),)
    values = raw.numbers(column, *choose)
    values = values / 100 if unit == "percent" else values * positive_unit(unit, "score_unit")
    for row in np.flatnonzero((values < 0) | (values > 1 + _ROUNDING)):
        scale = Remedy("use {} for percentages (or a number for another scale)", "score_unit", "'percent'")
        raw.fail(int(row), column, "a score between 0 and 1", scale, *(choose or ("leave the benchmark out",)))
    return np.minimum(values, 1.0)


def _long(
    raw: RawTable,
    lms: Sequence[str],
    benchmark_column: str,
    score_column: str,
    wanted: Sequence[str] | None,
    unit: float | Literal["percent"],
) -> tuple[tuple[str, ...], Float[np.ndarray, "lm benchmark"], dict[str, dict[str, float]]]:
    """Benchmarks, scores, and what the columns n_items, floor and ceiling say of the benchmarks.

    Rows of benchmarks that are not wanted are not looked at; their models stay.
    """
    rows = tuple(dict.fromkeys(lms))
    of = raw.text(benchmark_column)
    for row, name in enumerate(of):
        if not name:
            raw.fail(row, benchmark_column, "the name of a benchmark", "name the benchmark, or delete the row")
    found = tuple(dict.fromkeys(of)) if wanted is None else tuple(wanted)
    names.positions(found, tuple(dict.fromkeys(of)), "benchmark")
    kept = [row for row, name in enumerate(of) if name in found]
    raw, of, lms = raw.rows(kept), [of[row] for row in kept], [lms[row] for row in kept]
    m, b = names.positions(lms, rows, "lm"), names.positions(of, found, "benchmark")
    _, first = np.unique(m * len(found) + b, return_index=True)
    for row in np.setdiff1d(np.arange(len(of)), first)[:1]:
        expected = f"one row for each benchmark of lm {lms[row]!r}"
        raw.fail(int(row), benchmark_column, expected, "delete or rename one of the two")
    score = np.full((len(rows), len(found)), np.nan)
    score[m, b] = _fractions(raw, score_column, unit, named=True)
    known = {}
    for role in ("n_items", "floor", "ceiling"):
        if (column := spelled_as(raw, role)) is not None:
            values = [None if np.isnan(value) else float(value) for value in raw.numbers(column)]
            known[role] = one_each(raw, of, column, values, "benchmark")
    return found, score, known
