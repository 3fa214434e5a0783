"""The options that say where a command's data come from and how tables are to be read, declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from csvjax.cli.values import OR_UNKNOWN

__all__ = ["BENCHMARKS", "DATA", "Source", "flag", "with_source"]

DATA = ("data", "losses", "scores", "common")
"""The fields of `Source` that name files."""
BENCHMARKS = ("benchmarks", "items", "floors", "ceilings", "metric")
"""Those that choose benchmarks, or say something of them."""

_READING, _KNOWN = "How tables are read", "What is known besides"
_UNIT = "What one unit of that column is worth; without it, what its name says in parentheses, else 1."


def _option(name: str, help: str, metavar: str | None = None, panel: str | None = None) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


def _column(role: str, what: str) -> Any:
    return _option(f"--{role}-column", what, "NAME", _READING)


@dataclass(frozen=True)
class Source:
    """Where data come from and how tables are to be read; None and False where not given. Each field is an option."""

    data: Annotated[
        Path | None, _option("--data", "A folder with lms.csv, scores.csv and losses.zarr.zip.", "FOLDER")
    ] = None
    losses: Annotated[Path | None, _option("--losses", "Losses: a Zarr group of csvjax, or a wide table.", "PATH")] = (
        None
    )
    scores: Annotated[
        list[Path] | None,
        _option(
            "--scores",
            "Scores: a table, wide or long, or results of an evaluation program (csvjax check shows what is read); "
            "may be repeated, and the first counts where two disagree.",
            "TABLE",
        ),
    ] = None
    common: Annotated[bool, _option("--common", "Drop models that have scores and no losses.")] = False
    benchmarks: Annotated[
        list[str] | None,
        _option("--benchmarks", "Benchmarks to use (default: all that are found); may be repeated.", "A,B,..."),
    ] = None
    lm_column: Annotated[str | None, _column("lm", "Column of model names.")] = None
    family_column: Annotated[str | None, _column("family", "Column of model families.")] = None
    params_column: Annotated[str | None, _column("params", "Column of parameters.")] = None
    tokens_column: Annotated[str | None, _column("tokens", "Column of training tokens.")] = None
    flops_column: Annotated[str | None, _column("flops", "Column of training FLOPs.")] = None
    params_unit: Annotated[float | None, _option("--params-unit", _UNIT, "NUMBER", _READING)] = None
    tokens_unit: Annotated[float | None, _option("--tokens-unit", _UNIT, "NUMBER", _READING)] = None
    flops_unit: Annotated[float | None, _option("--flops-unit", _UNIT, "NUMBER", _READING)] = None
    score_unit: Annotated[
        list[str] | None,
        _option(
            "--score-unit",
            "What one unit of a score is worth, or percent, for all columns or for one (default: as the values tell). "
            "Scores that are no fractions have a word: elo, nats, bits, perplexity, minutes, dollars, number or log. "
            "Example: Arena=elo.",
            "NUMBER or COLUMN=UNIT",
            _READING,
        ),
    ] = None
    benchmark_column: Annotated[str | None, _column("benchmark", "Long table: column of benchmarks.")] = None
    score_column: Annotated[str | None, _column("score", "Long table: column of scores.")] = None
    metric_column: Annotated[str | None, _column("metric", "Long table: column of metrics.")] = None
    metric: Annotated[
        str | None, _option("--metric", "Metric to read of benchmarks that have several.", "NAME", _READING)
    ] = None
    decimal: Annotated[
        str | None, _option("--decimal", "Decimal mark, where the table leaves it open.", ". or ,", _READING)
    ] = None
    items: Annotated[
        list[str] | None, _option("--items", "Number of test items of a benchmark.", OR_UNKNOWN, _KNOWN)
    ] = None
    floors: Annotated[
        list[str] | None,
        _option("--floor", "Score of guessing, a fraction; without it, or unknown: inferred.", OR_UNKNOWN, _KNOWN),
    ] = None
    ceilings: Annotated[
        list[str] | None,
        _option(
            "--ceiling", "Best score within reach, a fraction; without it, or unknown: inferred.", OR_UNKNOWN, _KNOWN
        ),
    ] = None
    registry: Annotated[
        Path | None,
        _option("--registry", "Benchmarks: aliases, chance, items and so on; it goes before tables.", "TOML", _KNOWN),
    ] = None
    models: Annotated[
        Path | None,
        _option("--models", "Models: sizes, tokens, families and so on; it goes before tables.", "TOML", _KNOWN),
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
    """The decorator of a command with a parameter `source`: it takes the options of `Source` instead, where this
    stands, without those that are left out.
    """
    hints = get_type_hints(Source, include_extras=True)
    kept = {field.name: field.default for field in fields(Source) if field.name not in left_out}
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
        for name, default in kept.items()
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command, eval_str=True)

        @functools.wraps(command)
        def call(**given: Any) -> Any:
            return command(source=Source(**{name: given.pop(name) for name in kept}), **given)

        parameters: list[inspect.Parameter] = []
        for name, parameter in signature.parameters.items():
            own = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            parameters += options if name == "source" else [own]
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return call

    return decorate


def flag(name: str) -> str:
    """The option of a field of `Source`, as a user types it."""
    return f"--{name[:-1] if name in ('floors', 'ceilings') else name.replace('_', '-')}"
