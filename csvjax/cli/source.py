"""The options that say where a command's data are and how csvjax reads them, declared once for all commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

__all__ = ["BENCHMARKS", "DATA", "DATA_PANEL", "OUTPUT_PANEL", "Source", "flag", "switch", "with_source"]

DATA = ("data", "losses", "scores", "common")
"""The fields of `Source` that name files."""
BENCHMARKS = ("benchmarks", "ignore", "items", "floors", "ceilings", "metric")
"""The fields of `Source` that choose benchmarks or describe them."""

DATA_PANEL, OUTPUT_PANEL = "Data", "Output"
"""Panels of the help. The most used options have no panel: typer shows them first, as "Options"."""
_COLUMNS_PANEL, _KNOWN_PANEL = "How to read the tables", "What you know of benchmarks and models"
_SAME_UNIT = "Unit of the {} column; see --params-unit. Example: {}."


def _option(name: str, help: str, metavar: str | None = None, panel: str | None = None) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


def _column(role: str, what: str) -> Any:
    return _option(f"--{role}-column", what, "NAME", _COLUMNS_PANEL)


def switch(name: str, help: str, panel: str | None = None) -> Any:
    """An option without a value. The metavar keeps typer from printing a type that looks like a value."""
    return typer.Option(name, help=help, metavar=" ", show_default=False, rich_help_panel=panel)


@dataclass(frozen=True)
class Source:
    """Where the data are and how to read them. Each field is an option; None and False mean that it was not given."""

    scores: Annotated[
        list[Path] | None,
        _option(
            "--scores",
            "Table with a row for each model and a column for each benchmark, a long table, or results of an "
            "evaluation program. Can be repeated; where two tables disagree, the first one counts. Example: "
            "scores.csv.",
            "TABLE",
        ),
    ] = None
    losses: Annotated[
        Path | None,
        _option(
            "--losses",
            "Losses in nats: the output of csvjax losses, or a table with a row for each model and a column for each "
            "piece of text. Example: losses.csv.",
            "PATH",
        ),
    ] = None
    data: Annotated[
        Path | None,
        _option(
            "--data",
            "Dataset that csvjax saved, in place of --scores and --losses. Example: runs/mine/data.",
            "FOLDER",
            DATA_PANEL,
        ),
    ] = None
    benchmarks: Annotated[
        list[str] | None,
        _option(
            "--benchmarks",
            "Use only these benchmarks. Can be repeated. Example: MMLU,GSM8K.",
            "A,B,...",
            DATA_PANEL,
        ),
    ] = None
    ignore: Annotated[
        list[str] | None,
        _option(
            "--ignore",
            "Do not read these columns, or these benchmarks of a long table. Can be repeated. Example: Size,Votes.",
            "A,B,...",
            DATA_PANEL,
        ),
    ] = None
    common: Annotated[
        bool, switch("--common", "Leave out models that have scores but no losses. Default: an error.", DATA_PANEL)
    ] = False
    lm_column: Annotated[str | None, _column("lm", "Column with the names of the models. Example: Model.")] = None
    family_column: Annotated[str | None, _column("family", "Column with the model families. Example: Series.")] = None
    params_column: Annotated[str | None, _column("params", "Column with the number of parameters. Example: Size.")] = (
        None
    )
    tokens_column: Annotated[
        str | None, _column("tokens", "Column with the number of training tokens. Example: Data.")
    ] = None
    flops_column: Annotated[
        str | None, _column("flops", "Column with the training compute in FLOP. Example: Compute.")
    ] = None
    params_unit: Annotated[
        float | None,
        _option(
            "--params-unit",
            "Unit of the parameter column. Default: from a column name such as Params (B), otherwise 1. Example: 1e9.",
            "NUMBER",
            _COLUMNS_PANEL,
        ),
    ] = None
    tokens_unit: Annotated[
        float | None, _option("--tokens-unit", _SAME_UNIT.format("token", "1e12"), "NUMBER", _COLUMNS_PANEL)
    ] = None
    flops_unit: Annotated[
        float | None, _option("--flops-unit", _SAME_UNIT.format("compute", "1e21"), "NUMBER", _COLUMNS_PANEL)
    ] = None
    score_unit: Annotated[
        list[str] | None,
        _option(
            "--score-unit",
            "Unit of the scores, for all benchmarks or for one: percent, a number, or for scores that are not "
            "fractions elo, nats, bits, perplexity, minutes, dollars, number or log. Default: found from the values. "
            "Examples: percent, MMLU=0.01, Arena=elo.",
            "[NAME=]UNIT",
            _COLUMNS_PANEL,
        ),
    ] = None
    benchmark_column: Annotated[
        str | None, _column("benchmark", "In a long table, the column with the benchmarks. Example: task.")
    ] = None
    score_column: Annotated[
        str | None, _column("score", "In a long table, the column with the scores. Example: value.")
    ] = None
    metric_column: Annotated[
        str | None, _column("metric", "In a long table, the column with the metrics. Example: metric.")
    ] = None
    metric: Annotated[
        str | None,
        _option("--metric", "Metric to read if a long table has several. Example: acc_norm.", "NAME", _COLUMNS_PANEL),
    ] = None
    decimal: Annotated[
        str | None,
        _option("--decimal", "Decimal mark. Default: found from the numbers. Example: ,", ". or ,", _COLUMNS_PANEL),
    ] = None
    items: Annotated[
        list[str] | None,
        _option(
            "--items",
            "Number of test items. Default: from the table, otherwise inferred. Example: GSM8K=1319.",
            "NAME=NUMBER",
            _KNOWN_PANEL,
        ),
    ] = None
    floors: Annotated[
        list[str] | None,
        _option(
            "--floor",
            "Score of random guessing, a fraction. Default: from the name of the benchmark, otherwise inferred. "
            "Examples: MMLU=0.25, MMLU=unknown.",
            "NAME=NUMBER",
            _KNOWN_PANEL,
        ),
    ] = None
    ceilings: Annotated[
        list[str] | None,
        _option(
            "--ceiling",
            "Highest possible score, a fraction. Default: inferred. Example: GPQA=0.9.",
            "NAME=NUMBER",
            _KNOWN_PANEL,
        ),
    ] = None
    registry: Annotated[
        Path | None,
        _option(
            "--registry",
            "TOML file with facts about benchmarks (chance, items). Example: benchmarks.toml.",
            "FILE",
            _KNOWN_PANEL,
        ),
    ] = None
    models: Annotated[
        Path | None,
        _option(
            "--models",
            "TOML file with facts about models (sizes, families). Example: models.toml.",
            "FILE",
            _KNOWN_PANEL,
        ),
    ] = None

    @property
    def tables(self) -> list[Path]:
        """The tables of scores."""
        return list(self.scores or ())

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


def with_source(*left_out: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorator of a command that has a parameter `source`: the command takes the options of `Source` instead.

    Options without a panel stand where `source` stands. Those with a panel come after the panels of the command itself,
    and before its output. Fields named in `left_out` are not options of the command.
    """
    hints = get_type_hints(Source, include_extras=True)
    kept = {field.name: field.default for field in fields(Source) if field.name not in left_out}
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
        for name, default in kept.items()
    ]
    first = [option for option in options if _panel(option) is None]
    later = [option for option in options if option not in first]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command, eval_str=True)

        @functools.wraps(command)
        def call(**given: Any) -> Any:
            return command(source=Source(**{name: given.pop(name) for name in kept}), **given)

        before: list[inspect.Parameter] = []
        after: list[inspect.Parameter] = []
        for name, parameter in signature.parameters.items():
            own = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            if name == "source":
                before += first
            else:
                (after if _panel(own) == OUTPUT_PANEL else before).append(own)
        parameters = [*before, *later, *after]
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return call

    return decorate


def _panel(parameter: inspect.Parameter) -> str | None:
    return getattr(parameter.annotation.__metadata__[0], "rich_help_panel", None)


def flag(name: str) -> str:
    """The option of a field of `Source`, as a user types it."""
    return f"--{name[:-1] if name in ('floors', 'ceilings') else name.replace('_', '-')}"
