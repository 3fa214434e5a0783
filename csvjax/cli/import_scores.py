"""`csvjax import`: tables and results of evaluation programs, in one long parquet file."""

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
    out: Annotated[Path, typer.Option("--out", metavar="PARQUET", help="The file to write, or to replace.")],
) -> dict[str, Any]:
    """Write the scores of any files that csvjax reads as one long table: a row for each model, benchmark and metric.

    Scores are fractions. `csvjax fit --scores` reads the table as it reads the files.
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
