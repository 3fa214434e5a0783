"""From the options of a command to its data: a folder that csvjax wrote, or losses and scores in tables."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli.source import Source, flag
from csvjax.cli.values import OR_UNKNOWN, by_name, listed, score_units
from csvjax.errors import ArgumentError, InputError, Remedy

if TYPE_CHECKING:
    from csvjax.data.dataset import Dataset
    from csvjax.data.describe import Description
    from csvjax.data.read_scores import Reading
    from csvjax.data.rules import ReadingRules

__all__ = [
    "Out",
    "Quick",
    "Seed",
    "by_name",
    "options_named",
    "read_described",
    "read_reading",
    "read_score_table",
    "read_source",
    "rules_of",
    "with_columns",
]

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]
Quick = Annotated[
    bool, typer.Option("--quick", show_default=False, help="A first look: fewer strengths, groups of tokens and draws.")
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="RUN",
        show_default=False,
        help="Folder of the run, which is made; an older run there is replaced.",
    ),
]

_VALUES = {"benchmarks": "A,B", "score_unit": "percent", "decimal": "."}  # what errors show after an option


def read_source(source: Source, with_losses: bool = True) -> Dataset:
    """The dataset, with a row of blank scores for every model that has losses only; what was read is printed.

    Unless `with_losses`, scores alone will do.

    Raises: InputError for options that do not go together, what the readers refuse, models without losses, and a
    benchmark whose name is kept for the rows over all of them.
    """
    dataset, described = read_described(source, with_losses)
    if described is not None:
        for line in described.lines():
            typer.echo(line)
    return dataset


def read_described(source: Source, with_losses: bool = True) -> tuple[Dataset, Description | None]:
    """The dataset of `read_source`, and what was read, ignored and assumed; None for a folder that csvjax wrote."""
    from csvjax.evaluate.table import POOLED

    dataset, described = _read(source, with_losses)
    if dataset.scores is not None and POOLED in dataset.scores.benchmarks:
        raise InputError(f"expected no benchmark named {POOLED!r}, which means all of them in a run; rename it")
    return dataset, described


def _read(source: Source, with_losses: bool) -> tuple[Dataset, Description | None]:
    from dataclasses import replace

    from csvjax.data.files import load_dataset
    from csvjax.data.rules import names_from

    if source.data is not None:
        if others := [flag(name) for name in source.given if name not in ("data", "benchmarks")]:
            raise InputError(f"expected --data alone or with --benchmarks, found {', '.join(others)} too; leave it out")
        dataset = load_dataset(source.data, with_losses)
        scores = dataset.measured()[0] if with_losses else dataset.scores
        assert scores is not None
        wanted = None if source.benchmarks is None else names_from(listed(source.benchmarks), scores.benchmarks)
        return replace(dataset, scores=scores.select(benchmarks=wanted)), None
    if not with_losses and source.tables and source.losses is None:
        reading = read_reading(source)
        return _dataset(reading), reading.described
    if source.losses is None or not source.tables:
        found = " ".join(flag(name) for name in ("losses", "scores") if getattr(source, name)) or "neither"
        raise InputError(f"expected --data, or --losses and --scores, found {found}; say where the data are")
    return _read_tables(source, source.losses)


def _dataset(reading: Reading) -> Dataset:
    from csvjax.data.dataset import Dataset

    return Dataset(reading.lms, reading.scores)


@contextmanager
def options_named() -> Iterator[None]:
    """Errors of the readers name the options of a command line in place of arguments of Python."""
    try:
        yield
    except ArgumentError as error:
        raise InputError(error.sentence(_option_of)) from None


def _option_of(remedy: Remedy) -> str | None:
    name = remedy.argument
    if name == "score_unit" and remedy.example.startswith("{"):
        column = next(iter(ast.literal_eval(remedy.example)))
        return f"--score-unit {shlex.quote(f'{column}=percent')}"
    if name not in {field.name for field in fields(Source)}:
        return None
    return f"{flag(name)} {_VALUES.get(name, 'NUMBER' if name.endswith('_unit') else 'NAME')}"


def rules_of(source: Source) -> ReadingRules:
    """How the tables of a command line are to be read.

    Raises: InputError for options that cannot be read.
    """
    from csvjax.data.models import read_models
    from csvjax.data.registry import read_registry
    from csvjax.data.rules import ReadingRules

    roles = ("lm", "family", "params", "tokens", "flops", "benchmark", "score", "metric")
    return ReadingRules(
        columns={role: getattr(source, f"{role}_column") for role in roles},
        units={role: getattr(source, f"{role}_unit") for role in ("params", "tokens", "flops")},
        benchmarks=listed(source.benchmarks) or None,
        score_unit=score_units(listed(source.score_unit)),
        n_items=by_name(source.items, "--items", OR_UNKNOWN),
        floors=by_name(source.floors, "--floor", OR_UNKNOWN),
        ceilings=by_name(source.ceilings, "--ceiling", OR_UNKNOWN),
        metric=source.metric,
        decimal=source.decimal,  # type: ignore[arg-type]  # the rules check it
        joined=True,
        registry=() if source.registry is None else read_registry(source.registry),
        models=() if source.models is None else read_models(source.models),
    )


@options_named()
def read_reading(source: Source) -> Reading:
    """Scores, what their tables say of the models, and what was read, ignored and assumed.

    Raises: InputError for what `csvjax.data.read_scores.read_tables` refuses.
    """
    from csvjax.data.read_scores import read_tables

    return read_tables(source.tables, rules_of(source))


@options_named()
def read_score_table(source: Source, scores: Path, wanted: Sequence[str] | None) -> Dataset:
    """Scores of one table and what it says of the models; `wanted`: the benchmarks to read, None for all.

    Raises: InputError for what `csvjax.data.read_scores.read_tables` refuses.
    """
    from dataclasses import replace

    from csvjax.data.read_scores import read_tables

    rules = rules_of(source)
    return _dataset(read_tables([scores], replace(rules, benchmarks=wanted, joined=False)))


@options_named()
def _read_tables(source: Source, losses: Path) -> tuple[Dataset, Description]:
    import numpy as np
    import pandas as pd

    from csvjax import names
    from csvjax.data.dataset import align
    from csvjax.data.read_losses import read_losses
    from csvjax.data.scores import ScoreTable

    reading = read_reading(source)
    table, lms = reading.scores, reading.lms
    known = read_losses(losses)
    if only := [lm for lm in table.lms if lm not in set(known.lms)]:
        if not source.common or len(only) == len(table.lms):
            tables = ", ".join(map(str, source.tables))
            raise InputError(
                f"expected losses of every model in {tables}, found none for {names.some(only)} in {losses}, which "
                f"begins with {names.some(known.lms, 2)}; make the names agree, or drop such models with --common"
            )
        kept = [lm for lm in table.lms if lm not in set(only)]
        table, lms = table.select(lms=kept), lms.loc[kept]
    new = [lm for lm in known.lms if lm not in set(table.lms)]
    blank = np.full((len(new), len(table.benchmarks)), np.nan)
    amounts = dict.fromkeys(("params", "tokens", "flops"), np.nan)
    unknown = pd.DataFrame({"family": new, **amounts}, pd.Index(new, dtype=str))
    whole = ScoreTable(
        (*table.lms, *new),
        table.benchmarks,
        np.vstack([table.score, blank]),
        table.n_items,
        table.floor,
        table.ceiling,
        table.scale,
    )
    return align(pd.concat([lms, unknown]) if new else lms, whole, known), reading.described


def with_columns(dataset: Dataset, source: Source, splits: Sequence[str]) -> Dataset:
    """The dataset with the columns of the table that the splits name and csvjax does not read by itself."""
    from dataclasses import replace

    from csvjax.data.columns import find_columns, lm_names
    from csvjax.data.raw import read_raw
    from csvjax.evaluate.questions import COLUMNS, split_column

    named = {name for text in splits if (name := split_column(text)) is not None}
    usual = {name for text in splits for name in COLUMNS.get(text.split(":")[0], ())}
    found: dict[str, list[Any]] = {}
    for path in source.tables if named | usual else ():
        raw = read_raw(path)
        wanted = (named | usual) & set(raw.columns) - set(dataset.lms.columns) - set(found)
        if not wanted:
            continue
        given = source.lm_column if source.lm_column in raw.columns else None
        rows = lm_names(raw, str(find_columns(raw, {"lm": given})["lm"]), once=False)
        for column in sorted(wanted):
            values = dict(zip(rows, raw.labels(column), strict=True))
            found[column] = _numbers_or_text([values.get(name) for name in dataset.lms.index])
    return replace(dataset, lms=dataset.lms.assign(**found)) if found else dataset


def _numbers_or_text(cells: list[str | None]) -> list[Any]:
    try:
        return [float("nan") if cell is None else float(cell) for cell in cells]
    except ValueError:
        return list(cells)
