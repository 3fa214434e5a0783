"""`csvjax check`: what csvjax reads from tables of scores, before anything is fitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from csvjax.cli import inputs

__all__ = ["Files", "check"]

Files = Annotated[list[Path], typer.Argument(metavar="FILES", help="Tables, or results of evaluation programs.")]


def check(
    files: Files,
    benchmarks: inputs.Benchmarks = None,
    lm_column: inputs.LmColumn = None,
    family_column: inputs.FamilyColumn = None,
    params_column: inputs.ParamsColumn = None,
    tokens_column: inputs.TokensColumn = None,
    flops_column: inputs.FlopsColumn = None,
    params_unit: inputs.ParamsUnit = None,
    tokens_unit: inputs.TokensUnit = None,
    flops_unit: inputs.FlopsUnit = None,
    score_unit: inputs.ScoreUnit = None,
    items: inputs.Items = None,
    floor: inputs.Floors = None,
    ceiling: inputs.Ceilings = None,
    benchmark_column: inputs.BenchmarkColumn = None,
    score_column: inputs.ScoreColumn = None,
    metric_column: inputs.MetricColumn = None,
    metric: inputs.Metric = None,
    decimal: inputs.Decimal = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Say what is read: models, benchmarks with unit, chance level and items, covariates, and what is ignored and why.

    With several files the scores are merged, and the file named first counts where two disagree.
    """
    source = inputs.Source(
        None, None, files, False, benchmarks, lm_column, family_column, params_column, tokens_column, flops_column,
        params_unit, tokens_unit, flops_unit, score_unit, items, floor, ceiling, benchmark_column, score_column,
        metric_column, metric, decimal,
    )  # fmt: skip
    described = inputs.read_reading(source).described
    if as_json:
        typer.echo(json.dumps(described.to_json(), ensure_ascii=False, indent=1))
        return
    for line in described.lines(most=10_000):
        typer.echo(line)
