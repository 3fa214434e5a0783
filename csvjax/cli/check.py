"""`csvjax check`: show what csvjax reads from tables of scores, before anything is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from csvjax.cli import inputs
from csvjax.cli.output import with_json
from csvjax.cli.source import DATA, Source, with_source

__all__ = ["Files", "check"]

Files = Annotated[
    list[Path], typer.Argument(metavar="FILES", help="Tables of scores, or results of evaluation programs.")
]


@with_json
@with_source(*DATA)
def check(files: Files, source: Source) -> dict[str, Any]:
    """Show what csvjax reads from your tables, and what it ignores and why, before you fit anything.

    The output lists models, benchmarks with their unit, chance level and number of items, and covariates
    (family, compute and so on). Where two files disagree, the first one counts.

    Files: CSV, parquet, Excel, JSON, YAML, Markdown or HTML tables; results of lm-evaluation-harness, Inspect,
    lighteval, HELM, EvalPlus, OpenCompass, BenchPress, Aider, Epoch AI and others; folders of these.

    Example: csvjax check scores.csv
    """
    described = inputs.read_reading(replace(source, scores=files)).described
    for line in described.lines(limit=10_000):
        typer.echo(line)
    return described.to_json()
