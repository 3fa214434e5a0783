"""`csvjax demo`: the whole job on the ladder of models that comes with csvjax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from csvjax.cli import show
from csvjax.cli.inputs import Out, Quick, Seed
from csvjax.cli.output import with_json

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

    with show.steps() as begin:
        figures = run_demo(out, seed, quick, begin)
    metrics = pd.read_csv(out / "metrics.csv")
    show.metrics_table(metrics)
    show.table("figures", ("", ""), [(name, f"{value:.3f}") for name, value in figures.items()])
    typer.echo(f"report: {out / 'report.html'}")
    return {"run": out, "figures": figures, "metrics": metrics}
