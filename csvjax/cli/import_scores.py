"""`csvjax import`: tables and results of evaluation programs, in one long parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from csvjax.cli import inputs
from csvjax.cli.check import Files

__all__ = ["import_scores"]


def import_scores(
    files: Files,
    out: Annotated[Path, typer.Option("--out", metavar="PARQUET", help="The file to write, or to replace.")],
    lm_column: inputs.LmColumn = None,
    family_column: inputs.FamilyColumn = None,
    params_column: inputs.ParamsColumn = None,
    tokens_column: inputs.TokensColumn = None,
    flops_column: inputs.FlopsColumn = None,
    params_unit: inputs.ParamsUnit = None,
    tokens_unit: inputs.TokensUnit = None,
    flops_unit: inputs.FlopsUnit = None,
    score_unit: inputs.ScoreUnit = None,
    benchmark_column: inputs.BenchmarkColumn = None,
    score_column: inputs.ScoreColumn = None,
    metric_column: inputs.MetricColumn = None,
    decimal: inputs.Decimal = None,
) -> None:
    """Write the scores of any files that csvjax reads as one long table: a row for each model, benchmark and metric.

    Scores are fractions. `csvjax fit --scores` reads the table as it reads the files.
    """
    from dataclasses import replace

    from csvjax.data.import_scores import long_frame, write_scores
    from csvjax.data.read_scores import read_tables
    from csvjax.errors import InputError

    if out.suffix != ".parquet":
        raise InputError(f"expected --out to end in .parquet, found {out}; rename it")
    source = inputs.Source(
        None, None, files, False, None, lm_column, family_column, params_column, tokens_column, flops_column,
        params_unit, tokens_unit, flops_unit, score_unit, None, None, None, benchmark_column, score_column,
        metric_column, None, decimal,
    )  # fmt: skip
    with inputs.options_named():
        reading = read_tables(source.tables, replace(inputs.rules_of(source), every_metric=True))
    for line in reading.described.lines():
        typer.echo(line, err=True)
    frame = long_frame(reading)
    write_scores(frame, out)
    typer.echo(f"wrote {len(frame)} scores of {len(reading.scores.lms)} models to {out}")
