"""`csvjax demo`: the whole job on the ladder of models that comes with csvjax."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from csvjax.cli import show
from csvjax.cli.inputs import Out, Quick, Seed
from csvjax.cli.output import with_json

if TYPE_CHECKING:
    from csvjax.report.words import Tile

__all__ = ["demo"]


@with_json
def demo(out: Out = Path("runs/demo"), quick: Quick = False, seed: Seed = 0) -> dict[str, Any]:
    """Run the whole job on data that come with csvjax: the losses and scores of small language models.

    csvjax hides the scores of some models, predicts them from losses with salience and from the mean loss,
    compares both with the hidden scores, and writes a report.

    Example: csvjax demo --quick --out runs/demo
    """
    import pandas as pd

    from csvjax.demo import run_demo
    from csvjax.report.words import tile

    with show.steps() as begin:
        figures = run_demo(out, seed, quick, begin)
    metrics = pd.read_csv(out / "metrics.csv")
    show.metrics_table(metrics)
    rows = [(_meaning(tile(name, value)), name, f"{value:.3f}") for name, value in figures.items()]
    show.table("main results", ("meaning", "name", "value"), rows)
    typer.echo(f"report: {out / 'report.html'}")
    return {"run": out, "figures": figures, "metrics": metrics}


def _meaning(result: Tile) -> str:
    """The meaning of a main result as a sentence; that of a share begins with the share."""
    return f"{result.value} {result.meaning}" if result.meaning.startswith("of ") else result.meaning
