"""Where a command's data come from: a folder that csvjax wrote, or losses and scores in tables."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli.values import OR_UNKNOWN, by_name, listed, score_units
from csvjax.errors import ArgumentError, InputError, Remedy

if TYPE_CHECKING:
    from csvjax.data.dataset import Dataset
    from csvjax.data.describe import Description
    from csvjax.data.read_scores import Reading
    from csvjax.data.rules import ReadingRules

__all__ = [
    "BenchmarkColumn",
    "Benchmarks",
    "Ceilings",
    "Common",
    "Data",
    "Decimal",
    "FamilyColumn",
    "Floors",
    "FlopsColumn",
    "FlopsUnit",
    "Items",
    "LmColumn",
    "Losses",
    "Metric",
    "MetricColumn",
    "Out",
    "ParamsColumn",
    "ParamsUnit",
    "Quick",
    "ScoreColumn",
    "ScoreUnit",
    "Scores",
    "Seed",
    "Source",
    "TokensColumn",
    "TokensUnit",
    "by_name",
    "options_named",
    "read_described",
    "read_reading",
    "read_score_table",
    "read_source",
    "rules_of",
    "with_columns",
]

_UNIT = "What one unit of that column is worth; without it, what its name says in parentheses, else 1."


def _option(name: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False)


Data = Annotated[Path | None, _option("--data", "A folder with lms.csv, scores.csv and losses.zarr.zip.", "FOLDER")]
Losses = Annotated[Path | None, _option("--losses", "Losses: a Zarr group of csvjax, or a wide table.", "PATH")]
Scores = Annotated[
    list[Path] | None,
    _option(
        "--scores",
        "Scores: a table, wide or long, or results of an evaluation program (csvjax check shows what is read); may be "
        "repeated, and the first counts where two disagree.",
        "TABLE",
    ),
]
Common = Annotated[bool, _option("--common", "Drop models that have scores and no losses.")]
Benchmarks = Annotated[
    list[str] | None,
    _option("--benchmarks", "Benchmarks to use (default: all that are found); may be repeated.", "A,B,..."),
]
LmColumn = Annotated[str | None, _option("--lm-column", "Column of model names.", "NAME")]
FamilyColumn = Annotated[str | None, _option("--family-column", "Column of model families.", "NAME")]
ParamsColumn = Annotated[str | None, _option("--params-column", "Column of parameters.", "NAME")]
TokensColumn = Annotated[str | None, _option("--tokens-column", "Column of training tokens.", "NAME")]
FlopsColumn = Annotated[str | None, _option("--flops-column", "Column of training FLOPs.", "NAME")]
ParamsUnit = Annotated[float | None, _option("--params-unit", _UNIT, "NUMBER")]
TokensUnit = Annotated[float | None, _option("--tokens-unit", _UNIT, "NUMBER")]
FlopsUnit = Annotated[float | None, _option("--flops-unit", _UNIT, "NUMBER")]
ScoreUnit = Annotated[
    list[str] | None,
    _option(
        "--score-unit",
        "What one unit of a score is worth, or percent, for all columns or for one (default: as the values tell).",
        "NUMBER or COLUMN=NUMBER",
    ),
]
BenchmarkColumn = Annotated[str | None, _option("--benchmark-column", "Long table: column of benchmarks.", "NAME")]
ScoreColumn = Annotated[str | None, _option("--score-column", "Long table: column of scores.", "NAME")]
MetricColumn = Annotated[str | None, _option("--metric-column", "Long table: column of metrics.", "NAME")]
Metric = Annotated[str | None, _option("--metric", "Metric to read of benchmarks that have several.", "NAME")]
Decimal = Annotated[str | None, _option("--decimal", "Decimal mark, where the table leaves it open.", ". or ,")]
Items = Annotated[list[str] | None, _option("--items", "Number of test items of a benchmark.", OR_UNKNOWN)]
Floors = Annotated[
    list[str] | None,
    _option("--floor", "Score of guessing, a fraction; without it, or unknown: inferred.", OR_UNKNOWN),
]
Ceilings = Annotated[
    list[str] | None,
    _option(
        "--ceiling",
        "Best score within reach, a fraction; without it, or unknown: inferred.",
        OR_UNKNOWN,
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]
Quick = Annotated[bool, _option("--quick", "A first look: fewer strengths, groups of tokens and draws.")]
Out = Annotated[Path, _option("--out", "Folder of the run, which is made; an older run there is replaced.", "RUN")]

_VALUES = {"benchmarks": "A,B", "score_unit": "percent", "decimal": "."}  # what errors show after an option


@dataclass(frozen=True)
class Source:
    """The options that say where data come from and how tables are to be read; None and False where not given."""

    data: Path | None
    losses: Path | None
    scores: list[Path] | Path | None
    common: bool
    benchmarks: list[str] | str | None
    lm_column: str | None
    family_column: str | None
    params_column: str | None
    tokens_column: str | None
    flops_column: str | None
    params_unit: float | None
    tokens_unit: float | None
    flops_unit: float | None
    score_unit: list[str] | str | None
    items: list[str] | None
    floors: list[str] | None
    ceilings: list[str] | None
    benchmark_column: str | None = None
    score_column: str | None = None
    metric_column: str | None = None
    metric: str | None = None
    decimal: str | None = None

    @property
    def tables(self) -> list[Path]:
        """The tables of scores."""
        return [self.scores] if isinstance(self.scores, Path) else list(self.scores or ())

    @property
    def name(self) -> str:
        path = self.data or self.losses or next(iter(self.tables), None)
        return path.resolve().name if path else ""

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, for the configuration of a run."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value} | (
            {"scores": self.tables[0] if len(self.tables) == 1 else self.tables} if self.tables else {}
        )


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
        if others := [_flag(name) for name in source.given if name not in ("data", "benchmarks")]:
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
        found = " ".join(_flag(name) for name in ("losses", "scores") if getattr(source, name)) or "neither"
        raise InputError(f"expected --data, or --losses and --scores, found {found}; say where the data are")
    return _read_tables(source, source.losses)


def _dataset(reading: Reading) -> Dataset:
    from csvjax.data.dataset import Dataset

    return Dataset(reading.lms, reading.scores)


def _flag(name: str) -> str:
    return f"--{name[:-1] if name in ('floors', 'ceilings') else name.replace('_', '-')}"


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
    return f"{_flag(name)} {_VALUES.get(name, 'NUMBER' if name.endswith('_unit') else 'NAME')}"


def rules_of(source: Source) -> ReadingRules:
    """How the tables of a command line are to be read.

    Raises: InputError for options that cannot be read.
    """
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
