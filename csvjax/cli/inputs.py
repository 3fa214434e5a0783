"""Where a command's data come from: a folder that csvjax wrote, or losses and scores in tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.errors import ArgumentError, InputError, Remedy

if TYPE_CHECKING:
    from csvjax.data.dataset import Dataset
    from csvjax.evaluate.splits import Fold

__all__ = [
    "Benchmarks",
    "Ceilings",
    "Common",
    "Data",
    "FamilyColumn",
    "Floors",
    "FlopsColumn",
    "FlopsUnit",
    "Items",
    "LmColumn",
    "Losses",
    "Out",
    "ParamsColumn",
    "ParamsUnit",
    "Quick",
    "ScoreUnit",
    "Scores",
    "Seed",
    "Source",
    "TokensColumn",
    "TokensUnit",
    "by_name",
    "read_score_table",
    "read_source",
    "single_fold",
    "with_columns",
]

_OR_UNKNOWN = "BENCHMARK=NUMBER or BENCHMARK=unknown"
_UNIT = "What one unit of that column is worth; without it, what its name says in parentheses, else 1."


def _option(name: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False)


Data = Annotated[Path | None, _option("--data", "A folder with lms.csv, scores.csv and losses.zarr.zip.", "FOLDER")]
Losses = Annotated[Path | None, _option("--losses", "Losses: a Zarr group of csvjax, or a wide table.", "PATH")]
Scores = Annotated[Path | None, _option("--scores", "Scores: a CSV, TSV or parquet table, wide or long.", "TABLE")]
Common = Annotated[bool, _option("--common", "Drop models that have scores and no losses.")]
Benchmarks = Annotated[str | None, _option("--benchmarks", "Benchmarks to use (default: all).", "A,B,...")]
LmColumn = Annotated[str | None, _option("--lm-column", "Column of model names.", "NAME")]
FamilyColumn = Annotated[str | None, _option("--family-column", "Column of model families.", "NAME")]
ParamsColumn = Annotated[str | None, _option("--params-column", "Column of parameters.", "NAME")]
TokensColumn = Annotated[str | None, _option("--tokens-column", "Column of training tokens.", "NAME")]
FlopsColumn = Annotated[str | None, _option("--flops-column", "Column of training FLOPs.", "NAME")]
ParamsUnit = Annotated[float | None, _option("--params-unit", _UNIT, "NUMBER")]
TokensUnit = Annotated[float | None, _option("--tokens-unit", _UNIT, "NUMBER")]
FlopsUnit = Annotated[float | None, _option("--flops-unit", _UNIT, "NUMBER")]
ScoreUnit = Annotated[str | None, _option("--score-unit", "What one unit of a score is worth, or percent.", "NUMBER")]
Items = Annotated[list[str] | None, _option("--items", "Number of test items of a benchmark.", _OR_UNKNOWN)]
Floors = Annotated[
    list[str] | None,
    _option("--floor", "Score of guessing, a fraction (default: 0); unknown: inferred by the joint law.", _OR_UNKNOWN),
]
Ceilings = Annotated[
    list[str] | None,
    _option(
        "--ceiling",
        "Best score within reach, a fraction; the joint law infers it unless given.",
        _OR_UNKNOWN,
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]
Quick = Annotated[bool, _option("--quick", "A first look: fewer strengths, groups of tokens and draws.")]
Out = Annotated[Path, _option("--out", "Folder of the run, which is made; an older run there is replaced.", "RUN")]

_VALUES = {"benchmarks": "A,B", "score_unit": "percent"}  # what errors show after an option, if not NAME or NUMBER


@dataclass(frozen=True)
class Source:
    """The options that say where data come from and how tables are to be read; None and False where not given."""

    data: Path | None
    losses: Path | None
    scores: Path | None
    common: bool
    benchmarks: str | None
    lm_column: str | None
    family_column: str | None
    params_column: str | None
    tokens_column: str | None
    flops_column: str | None
    params_unit: float | None
    tokens_unit: float | None
    flops_unit: float | None
    score_unit: str | None
    items: list[str] | None
    floors: list[str] | None
    ceilings: list[str] | None

    @property
    def name(self) -> str:
        path = self.data or self.losses or self.scores
        return path.resolve().name if path else ""

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, for the configuration of a run."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value}


def read_source(source: Source, with_losses: bool = True) -> Dataset:
    """The dataset, with a row of blank scores for every model that has losses only.

    Unless `with_losses`, scores alone will do.

    Raises: InputError for options that do not go together, what the readers refuse, models without losses, and a
    benchmark whose name is kept for the rows over all of them.
    """
    from csvjax.evaluate.table import POOLED

    dataset = _read(source, with_losses)
    if dataset.scores is not None and POOLED in dataset.scores.benchmarks:
        raise InputError(f"expected no benchmark named {POOLED!r}, which means all of them in a run; rename it")
    return dataset


def _read(source: Source, with_losses: bool) -> Dataset:
    from dataclasses import replace

    from csvjax.data.files import load_dataset

    wanted = None if source.benchmarks is None else [b.strip() for b in source.benchmarks.split(",")]
    if source.data is not None:
        if others := [_flag(name) for name in source.given if name not in ("data", "benchmarks")]:
            raise InputError(f"expected --data alone or with --benchmarks, found {', '.join(others)} too; leave it out")
        dataset = load_dataset(source.data, with_losses)
        scores = dataset.measured()[0] if with_losses else dataset.scores
        assert scores is not None
        return replace(dataset, scores=scores.select(benchmarks=wanted))
    if not with_losses and source.scores is not None and source.losses is None:
        return read_score_table(source, source.scores, wanted)
    if source.losses is None or source.scores is None:
        found = " ".join(_flag(name) for name in ("losses", "scores") if getattr(source, name)) or "neither"
        raise InputError(f"expected --data, or --losses and --scores, found {found}; say where the data are")
    return _read_tables(source, source.losses, source.scores, wanted)


def _flag(name: str) -> str:
    return f"--{name[:-1] if name in ('floors', 'ceilings') else name.replace('_', '-')}"


@contextmanager
def _options_named() -> Iterator[None]:
    """Errors of the readers name the options of a command line in place of arguments of Python."""
    try:
        yield
    except ArgumentError as error:
        raise InputError(error.sentence(_option_of)) from None


def _option_of(remedy: Remedy) -> str | None:
    name = remedy.argument
    if name not in {field.name for field in fields(Source)}:
        return None
    return f"{_flag(name)} {_VALUES.get(name, 'NUMBER' if name.endswith('_unit') else 'NAME')}"


@_options_named()
def read_score_table(source: Source, scores: Path, wanted: Sequence[str] | None) -> Dataset:
    """Scores and what their table says of the models.

    Raises: InputError for what `csvjax.data.read_scores.read_scores` refuses.
    """
    from csvjax.data.dataset import Dataset
    from csvjax.data.read_scores import read_scores

    options = {
        name: getattr(source, name)
        for role in ("lm", "family", "params", "tokens", "flops")
        for name in (f"{role}_column", f"{role}_unit")
        if hasattr(source, name)
    }
    unit: Any = 1.0 if source.score_unit is None else source.score_unit
    if unit != "percent":
        unit = _number(str(unit), "--score-unit", "a number or percent")
    table, lms = read_scores(
        scores,
        benchmarks=wanted,
        score_unit=unit,
        n_items=by_name(source.items, "--items", _OR_UNKNOWN),
        floors=by_name(source.floors, "--floor", _OR_UNKNOWN),
        ceilings=by_name(source.ceilings, "--ceiling", _OR_UNKNOWN),
        **options,
    )
    return Dataset(lms, table)


@_options_named()
def _read_tables(source: Source, losses: Path, scores: Path, wanted: Sequence[str] | None) -> Dataset:
    import numpy as np
    import pandas as pd

    from csvjax import names
    from csvjax.data.dataset import align
    from csvjax.data.read_losses import read_losses
    from csvjax.data.scores import ScoreTable

    read = read_score_table(source, scores, wanted)
    table, lms = read.scores, read.lms
    assert table is not None
    known = read_losses(losses)
    if only := [lm for lm in table.lms if lm not in set(known.lms)]:
        if not source.common or len(only) == len(table.lms):
            raise InputError(
                f"expected losses of every model in {scores}, found none for {names.some(only)} in {losses}, which "
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
    return align(pd.concat([lms, unknown]) if new else lms, whole, known)


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
        unknown = form == _OR_UNKNOWN and number.strip() == "unknown"
        found[name] = float("nan") if unknown else _number(number, option, form)
    return found


def single_fold(holdout: str, dataset: Dataset, instead: str) -> Fold:
    """The one fold of a split that a fit leaves out. instead: the command for splits that have several.

    Raises: InputError for splits of several folds.
    """
    from csvjax.evaluate.splits import parse_split

    folds = parse_split(holdout, dataset.lms).folds
    if len(folds) > 1:
        raise InputError(
            f"expected a --holdout that hides models once, found {holdout!r}, which does so {len(folds)} times; "
            f"choose weak-to-strong:COLUMN or COLUMN>NUMBER, or use csvjax {instead}"
        )
    return folds[0]


def with_columns(dataset: Dataset, source: Source, splits: Sequence[str]) -> Dataset:
    """The dataset with the columns of the table that the splits name and csvjax does not read by itself."""
    from dataclasses import replace

    from csvjax.data.columns import find_columns, lm_names
    from csvjax.data.raw import read_raw
    from csvjax.evaluate.questions import COLUMNS, split_column

    if source.scores is None:
        return dataset
    raw = read_raw(source.scores)
    named = {name for text in splits if (name := split_column(text)) is not None}
    usual = {name for text in splits for name in COLUMNS.get(text.split(":")[0], ())}
    rows = lm_names(raw, str(find_columns(raw, {"lm": source.lm_column})["lm"]), once=False)
    found = {}
    for column in sorted((named | usual) & set(raw.columns) - set(dataset.lms.columns)):
        values = dict(zip(rows, raw.labels(column), strict=True))
        found[column] = _numbers_or_text([values.get(name) for name in dataset.lms.index])
    return replace(dataset, lms=dataset.lms.assign(**found)) if found else dataset


def _numbers_or_text(cells: list[str | None]) -> list[Any]:
    try:
        return [float("nan") if cell is None else float(cell) for cell in cells]
    except ValueError:
        return list(cells)
