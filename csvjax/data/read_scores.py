"""Reads wide and long tables of benchmark scores into a `ScoreTable` and a frame of models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csvjax import names
from csvjax.data.columns import per_name
from csvjax.data.describe import Description, describe
from csvjax.data.long import long_columns, read_long
from csvjax.data.merge import merged
from csvjax.data.models import read_models, with_models
from csvjax.data.numerals import Decimal
from csvjax.data.raw import read_raw
from csvjax.data.raw_table import RawTable
from csvjax.data.registry import name_in, read_registry, told_scales, with_registry
from csvjax.data.rules import Found, ReadingRules
from csvjax.data.scales import FRACTION
from csvjax.data.score_units import DEFAULT, ScoreUnit
from csvjax.data.scores import ScoreTable
from csvjax.data.wide import read_wide
from csvjax.errors import InputError

__all__ = ["Reading", "read_scores", "read_tables"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read from tables: scores, models, and a description of what was read, ignored and assumed."""

    scores: ScoreTable
    lms: pd.DataFrame
    described: Description


def read_scores(
    path: str | os.PathLike[str] | Any,
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
    ignore: Sequence[str] = (),
    score_unit: ScoreUnit = None,
    n_items: Mapping[str, int | float] | None = None,
    floors: Mapping[str, int | float] | None = None,
    ceilings: Mapping[str, int | float] | None = None,
    benchmark_column: str | None = None,
    score_column: str | None = None,
    metric_column: str | None = None,
    metric: str | None = None,
    decimal: Decimal | None = None,
    registry: str | os.PathLike[str] | None = None,
    models: str | os.PathLike[str] | None = None,
) -> tuple[ScoreTable, pd.DataFrame]:
    """Read benchmark scores, and the covariates of the models, from one or several tables.

    A table with columns `benchmark` and `score` (or task and value, and similar names) is long: it has one row for each
    model and benchmark, and may have columns `n_items`, `floor`, `ceiling` and `stderr`. Any other table is wide: it
    has one row for each model and one column for each benchmark (`csvjax.data.evidence` decides which columns are
    benchmarks), and may have a column `NAME_stderr` for a benchmark NAME. If a number of items is not given, it is
    computed from standard errors. Blank cells are missing scores.

    Args:
        path: a file or folder that `csvjax.data.raw.read_raw` can read, a frame of pandas, polars or pyarrow, or a list
            of these, which are merged (`csvjax.data.merge`).
        lm_column: column with the names of the models. This and the next four are found by their usual spellings
            (Model, Model Family, Model Size (B), ...) if they are not given.
        family_column: column with the model families.
        params_column: column with the number of parameters.
        tokens_column: column with the number of training tokens.
        flops_column: column with the training compute in FLOP.
        params_unit: unit of that column, for example 1e9. Default: read from the column name, such as "Params (B)",
            otherwise 1.
        tokens_unit: unit of the column of tokens.
        flops_unit: unit of the column of compute.
        benchmarks: the benchmarks to read, in this order. Default: all benchmarks in the table.
        ignore: columns, or benchmarks of a long table, that are not read.
        score_unit: unit of the scores, for all columns or as a dict by column: "percent", a number, or for scores
            without bounds a word of `csvjax.data.scales.SCALES` ("elo", "nats", "minutes", ...). Default: decided from
            the values.
        n_items: number of test items by benchmark, NaN if unknown. This and the next two override the table.
        floors: score of random guessing by benchmark, a fraction, NaN if unknown.
        ceilings: highest possible score by benchmark, a fraction, NaN if unknown.
        benchmark_column: column with the benchmarks of a long table.
        score_column: column with the scores of a long table.
        metric_column: column with the metrics of a long table.
        metric: the metric to read if a benchmark has several.
        decimal: the decimal mark, "." or ",". Default: decided from the numbers.
        registry: TOML file that describes benchmarks (`csvjax.data.registry`). It overrides the tables.
        models: TOML file that describes models (`csvjax.data.models`). It overrides the tables.

    Returns: the scores, with NaN for unknown floors and ceilings; and a frame with index `lm` and columns `family` (the
    name of the model if unknown), `params`, `tokens` and `flops` (NaN if unknown; unknown FLOPs are 6 params tokens).

    Raises: InputError for a file that cannot be read, a column or benchmark that does not exist, repeated models, text
    in place of numbers, scores that are not fractions after scaling, a unit or a decimal mark that is not clear, and
    amounts that are not above 0.
    """
    columns = {"lm": lm_column, "family": family_column, "params": params_column, "tokens": tokens_column}
    columns |= {"flops": flops_column, "benchmark": benchmark_column, "score": score_column, "metric": metric_column}
    rules = ReadingRules(
        columns=columns,
        units={"params": params_unit, "tokens": tokens_unit, "flops": flops_unit},
        benchmarks=benchmarks,
        ignore=ignore,
        score_unit=score_unit,
        n_items=n_items,
        floors=floors,
        ceilings=ceilings,
        metric=metric,
        decimal=decimal,
        registry=() if registry is None else read_registry(registry),
        models=() if models is None else read_models(models),
    )
    reading = read_tables(path if isinstance(path, (list, tuple)) else [path], rules)
    return reading.scores, reading.lms


def read_tables(sources: Sequence[Any], rules: ReadingRules) -> Reading:
    """Read tables by the given rules, and merge them.

    Raises: InputError as `read_scores` does, and if no table is given.
    """
    if not sources:
        raise InputError("expected at least one table of scores, found none; give a file")
    tables = _without([read_raw(source) for source in sources], rules)
    alone = len(tables) == 1 and not rules.registry
    if not alone:
        _check_unit_names(tables, rules)
    found = [_read(table, rules if alone else _for_one(table, rules)) for table in tables]
    if rules.registry:
        found = [with_registry(part, rules.registry) for part in found]
    whole, said = merged([str(table.path) for table in tables], found)
    lms, more = with_models(whole.lms, rules.models) if rules.models else (whole.lms, [])
    said = [*said, *more]
    wanted = rules.wanted(whole.benchmarks)
    if wanted is not None and not alone:
        whole = _ordered(whole, wanted)
    scale = tuple(whole.scales.get(name, FRACTION) for name in whole.benchmarks)
    free = {name for name, its in zip(whole.benchmarks, scale, strict=True) if not its.bounded}
    # Items and floors in a table belong to fractions.
    known = {role: {n: v for n, v in told.items() if n not in free} for role, told in whole.known.items()}
    table = ScoreTable(
        tuple(whole.lms.index),
        whole.benchmarks,
        whole.score,
        per_name(rules.n_items, known.get("n_items", {}), whole.benchmarks, np.nan, "n_items"),
        per_name(rules.floors, known.get("floor", {}), whole.benchmarks, np.nan, "floors"),
        per_name(rules.ceilings, known.get("ceiling", {}), whole.benchmarks, np.nan, "ceilings"),
        scale,
    )
    files = [Path(t.path).name if isinstance(t.path, Path) else t.path for t in tables]
    return Reading(table, lms, describe(files, found, table, rules.n_items or (), said, rules.registry))


def _read(raw: RawTable, rules: ReadingRules) -> Found:
    raw = raw if rules.decimal is None else replace(raw, decimal=rules.decimal, _parsed={})
    roles = long_columns(raw, rules)
    return read_wide(raw, rules) if roles is None else read_long(raw, roles, rules)


def _without(tables: Sequence[RawTable], rules: ReadingRules) -> list[RawTable]:
    """The tables without the columns, or the benchmarks of long tables, that the user wants to ignore.

    Raises: InputError for a name that no table has.
    """
    if not rules.ignore:
        return list(tables)
    found, known = [], set()
    for raw in tables:
        roles = _columns_and_names(raw, rules)
        of = roles[1] if roles[2] else set()
        here = [name for name in rules.unread({*raw.columns, *of}) if name in {*raw.columns, *of}]
        known |= {*raw.columns, *of}
        if of:
            column = long_columns(raw, replace(rules, columns=roles[0]))["benchmark"]  # type: ignore[index]
            raw = raw.rows([row for row, name in enumerate(raw.text(column)) if name not in here])
        found.append(raw.without(here, "you want to ignore it"))
    for name in rules.unread(known):
        if name not in known:
            raise InputError(
                f"expected to ignore columns of the tables, found {name!r}: {names.hint(name, sorted(known))}"
            )
    return found


def _columns_and_names(raw: RawTable, rules: ReadingRules) -> tuple[dict[str, str | None], set[str], bool]:
    """The given columns that the table has, the names of what may be a benchmark in it, and whether it is long."""
    columns = {role: column if column in raw.columns else None for role, column in rules.columns.items()}
    roles = long_columns(raw, replace(rules, columns=columns))
    if roles is None:
        return columns, set(raw.columns), False
    return columns, set(raw.text(roles["benchmark"])), True


def _is_in(name: str, known: set[str], long: bool) -> bool:
    """Whether a table has a name, or one that long tables make longer: "task:metric", "task (5-shot)"."""
    return name in known or (long and any(word and name.startswith((f"{word}:", f"{word} (")) for word in known))


def _check_unit_names(tables: Sequence[RawTable], rules: ReadingRules) -> None:
    """Raises: InputError for the unit of a column that none of the tables has."""
    if not isinstance(rules.score_unit, Mapping):
        return
    found = [_columns_and_names(raw, rules)[1:] for raw in tables]
    found = [({*known, *(name_in(rules.registry, name) for name in known)}, long) for known, long in found]
    for name in rules.score_unit:
        if name != DEFAULT and not any(_is_in(name, known, long) for known, long in found):
            raise InputError(
                f"expected score_unit for columns of the tables, found {name!r}: "
                f"{names.hint(name, sorted(set().union(*(known for known, _ in found))))}"
            )


def _for_one(raw: RawTable, rules: ReadingRules) -> ReadingRules:
    """The rules for one of several tables. Given columns that it does not have are found by their usual names."""
    columns, known, long = _columns_and_names(raw, rules)
    unit = rules.score_unit
    if isinstance(unit, Mapping):
        unit = {name: worth for name, worth in unit.items() if name == DEFAULT or _is_in(name, known, long)}
    becomes = {name: name_in(rules.registry, name) for name in known}
    wanted = set(rules.wanted({*known, *becomes.values()}) or ())
    own = [] if long else [name for name in raw.columns if becomes[name] in wanted]
    numeric = known if long else {name for name in known if raw.is_numeric(name)}
    if scales := told_scales(rules.registry, own or numeric):
        unit = scales | (dict(unit) if isinstance(unit, Mapping) else {} if unit is None else {DEFAULT: unit})
    return replace(rules, columns=columns, benchmarks=own or None, score_unit=unit, joined=False)


def _ordered(whole: Found, wanted: Sequence[str]) -> Found:
    at = names.positions(wanted, whole.benchmarks, "benchmark")
    return replace(whole, benchmarks=tuple(wanted), score=whole.score[:, at])
