"""`csvjax import`: write tables and results of evaluation programs as one long parquet table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csvjax.cli import inputs
from csvjax.cli.check import Files
from csvjax.cli.output import with_json
from csvjax.cli.source import BENCHMARKS, DATA, Source, with_source

__all__ = ["import_scores"]


@with_json
@with_source(*DATA, *BENCHMARKS)
def import_scores(
    files: Files,
    source: Source,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The .parquet file to write. An older file is replaced. Example: scores.parquet.",
        ),
    ],
) -> dict[str, Any]:
    """Collect the scores of several files in one parquet table with a row for each model, benchmark and metric.

    Scores are written as fractions. csvjax fit reads the table like the original files.

    Example: csvjax import scores.csv results/ --out scores.parquet
    """
    from dataclasses import replace

    from csvjax.data.import_scores import long_frame, write_scores
    from csvjax.data.read_scores import read_tables
    from csvjax.errors import InputError

    if out.suffix != ".parquet":
        raise InputError(f"expected --out to end in .parquet, found {out}; rename it")
    with inputs.options_named():
        reading = read_tables(files, replace(inputs.rules_of(source), every_metric=True))
    for line in reading.described.lines():
        typer.echo(line, err=True)
    frame = long_frame(reading)
    write_scores(frame, out)
    typer.echo(f"wrote {len(frame)} scores of {len(reading.scores.lms)} models to {out}")
    return {"out": out, "scores": len(frame), "read": reading.described.to_json()}
