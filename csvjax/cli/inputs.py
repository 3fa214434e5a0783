"""Reads the data that the options of a command name: a folder that csvjax wrote, or tables of scores and losses."""

from __future__ import annotations

import ast
import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli.source import OUTPUT_PANEL, Source, flag, switch
from csvjax.cli.values import OR_UNKNOWN, by_name, listed, score_units
from csvjax.errors import ArgumentError, InputError, Remedy

if TYPE_CHECKING:
    from csvjax.data.dataset import Dataset
    from csvjax.data.describe import Description
    from csvjax.data.read_scores import Reading
    from csvjax.data.rules import ReadingRules

__all__ = [
    "Cluster",
    "Memory",
    "Out",
    "Quick",
    "Seed",
    "by_name",
    "draws_at_once",
    "options_named",
    "read_described",
    "read_reading",
    "read_score_table",
    "read_source",
    "rules_of",
    "with_columns",
    "with_runs",
]

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="auto|ADDRESS",
        show_default=False,
        rich_help_panel="Devices and processes",
        help="Run the jobs as tasks of Ray: auto starts Ray on this machine, ADDRESS names a running cluster. Needs "
        "pip install 'csvjax\\[cluster]'. Example: auto.",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        show_default=False,
        rich_help_panel="Inference",
        help="Largest memory to use; scores are drawn in pieces that keep it. Default: not limited. Example: 8GiB.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        metavar="NUMBER",
        rich_help_panel=OUTPUT_PANEL,
        help="Seed of all random numbers.",
    ),
]
Quick = Annotated[
    bool,
    switch("--quick", "Faster but less exact: fewer groups of tokens, starting points and draws."),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="RUN",
        show_default=False,
        help="Folder or address (s3://) for the results; an older run there is replaced. Example: runs/mine.",
    ),
]

_VALUES = {"benchmarks": "A,B", "score_unit": "percent", "decimal": "."}  # what errors show after an option


def read_source(source: Source, with_losses: bool = True) -> Dataset:
    """The dataset that the options name. Prints what was read.

    A model that has losses but no scores gets a row of blank scores.

    Args:
        source: the options of the command.
        with_losses: whether losses are required; without them scores are enough.

    Raises: InputError for options that exclude each other, for tables that cannot be read, for models without losses,
    and for a benchmark with the name that runs reserve for the mean of all benchmarks.
    """
    dataset, described = read_described(source, with_losses)
    if described is not None:
        for line in described.lines():
            typer.echo(line)
    return dataset


def read_described(source: Source, with_losses: bool = True) -> tuple[Dataset, Description | None]:
    """The dataset of `read_source` and a description of what was read, ignored and assumed.

    The description is None for a folder that csvjax wrote.
    """
    from csvjax.evaluate.table import POOLED

    dataset, described = _read(source, with_losses)
    if dataset.scores is not None and POOLED in dataset.scores.benchmarks:
        raise InputError(
            f"a benchmark has the name {POOLED!r}, which csvjax uses for the mean of all benchmarks; rename it"
        )
    return dataset, described


def _read(source: Source, with_losses: bool) -> tuple[Dataset, Description | None]:
    from dataclasses import replace

    from csvjax.data.files import load_dataset
    from csvjax.data.rules import names_from

    if source.data is not None:
        if others := [flag(name) for name in source.given if name not in ("data", "benchmarks")]:
            raise InputError(
                f"--data can be combined with --benchmarks only, found {', '.join(others)} too; leave out --data or "
                f"{', '.join(others)}"
            )
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
        raise InputError(f"expected --data, or --losses and --scores, found {found}; name the files that hold the data")
    return _read_tables(source, source.losses)


def _dataset(reading: Reading) -> Dataset:
    from csvjax.data.dataset import Dataset

    return Dataset(reading.lms, reading.scores)


@contextmanager
def options_named() -> Iterator[None]:
    """Within this block errors of the readers name options of the command line instead of Python arguments."""
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
    if name == "ignore":
        return f"--ignore {shlex.quote(ast.literal_eval(remedy.example)[0])}"
    return f"{flag(name)} {_VALUES.get(name, 'NUMBER' if name.endswith('_unit') else 'NAME')}"


def rules_of(source: Source) -> ReadingRules:
    """The rules for reading tables that the options give.

    Raises: InputError for an option whose value cannot be read.
    """
    from csvjax.data.models import read_models
    from csvjax.data.registry import read_registry
    from csvjax.data.rules import ReadingRules

    roles = ("lm", "family", "params", "tokens", "flops", "benchmark", "score", "metric")
    return ReadingRules(
        columns={role: getattr(source, f"{role}_column") for role in roles},
        units={role: getattr(source, f"{role}_unit") for role in ("params", "tokens", "flops")},
        benchmarks=listed(source.benchmarks) or None,
        ignore=listed(source.ignore),
        score_unit=score_units(listed(source.score_unit)),
        n_items=by_name(source.items, "--items", OR_UNKNOWN),
        floors=by_name(source.floors, "--floor", OR_UNKNOWN),
        ceilings=by_name(source.ceilings, "--ceiling", OR_UNKNOWN),
        metric=source.metric,
        decimal=source.decimal,  # type: ignore[arg-type]  # ReadingRules checks it
        joined=True,
        registry=() if source.registry is None else read_registry(source.registry),
        models=() if source.models is None else read_models(source.models),
    )


@options_named()
def read_reading(source: Source) -> Reading:
    """Scores and models of all tables, and a description of what was read, ignored and assumed.

    Raises: InputError for tables that `csvjax.data.read_scores.read_tables` refuses.
    """
    from csvjax.data.read_scores import read_tables

    return read_tables(source.tables, rules_of(source))


@options_named()
def read_score_table(source: Source, scores: Path, wanted: Sequence[str] | None) -> Dataset:
    """Scores and models of one table; `wanted` names the benchmarks to read, None means all.

    Raises: InputError for a table that `csvjax.data.read_scores.read_tables` refuses.
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

    reading = read_reading(source)
    table, lms = reading.scores, reading.lms
    known = read_losses(losses)
    if only := [lm for lm in table.lms if lm not in set(known.lms)]:
        if not source.common or len(only) == len(table.lms):
            tables = ", ".join(map(str, source.tables))
            raise InputError(
                f"expected losses of every model in {tables}, found none for {names.some(only)} in {losses}, whose "
                f"first models are {names.some(known.lms, 2)}; write the same names in both, or use --common to leave "
                f"out models without losses"
            )
        kept = [lm for lm in table.lms if lm not in set(only)]
        table, lms = table.select(lms=kept), lms.loc[kept]
    new = [lm for lm in known.lms if lm not in set(table.lms)]
    blank = np.full((len(new), len(table.benchmarks)), np.nan)
    amounts = dict.fromkeys(("params", "tokens", "flops"), np.nan)
    unknown = pd.DataFrame({"family": new, **amounts}, pd.Index(new, dtype=str))
    whole = dataclasses.replace(table, lms=(*table.lms, *new), score=np.vstack([table.score, blank]))
    return align(pd.concat([lms, unknown]) if new else lms, whole, known), reading.described


def with_columns(dataset: Dataset, source: Source, splits: Sequence[str]) -> Dataset:
    """The dataset with the further columns of the table that the splits need."""
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


def draws_at_once(limit: int | None, draws: int, dataset: Dataset) -> int | None:
    """How many draws of all scores at once keep a limit of memory, in bytes; None without a limit.

    Raises: InputError if one at a time needs more.
    """
    from csvjax.memory import piece_for

    if limit is None:
        return None
    assert dataset.scores is not None
    losses = 0 if dataset.losses is None else dataset.losses.loss.size
    lms, benchmarks = dataset.scores.score.shape
    return piece_for(limit, draws, lms, benchmarks, losses)


def with_runs(dataset: Dataset, losses: Path | None) -> Dataset:
    """The dataset with the columns `run` and `step` that the store of losses tells, unless the tables have them."""
    from dataclasses import replace

    from csvjax.data.read_losses import read_runs

    told = {} if losses is None else read_runs(losses)
    found = {
        name: [told.get(lm, {}).get(name) for lm in dataset.lms.index]
        for name in ("run", "step")
        if name not in dataset.lms.columns
    }
    lms = dataset.lms.copy()
    for name, values in found.items():
        if any(value is not None for value in values):
            lms[name] = values
    return replace(dataset, lms=lms)
