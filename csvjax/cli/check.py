"""`csvjax check`: what csvjax reads from tables of scores, before anything is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from csvjax.cli import inputs
from csvjax.cli.output import with_json
from csvjax.cli.source import DATA, Source, with_source

__all__ = ["Files", "check"]

Files = Annotated[list[Path], typer.Argument(metavar="FILES", help="Tables, or results of evaluation programs.")]


@with_json
@with_source(*DATA)
def check(files: Files, source: Source) -> dict[str, Any]:
    """Say what is read: models, benchmarks with unit, chance level and items, covariates, and what is ignored and why.

    With several files the scores are merged, and the file named first counts where two disagree.
    """
    described = inputs.read_reading(replace(source, scores=files)).described
    for line in described.lines(most=10_000):
        typer.echo(line)
    return described.to_json()
