"""`csvjax report`: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csvjax.cli.output import with_json
from csvjax.errors import InputError

__all__ = ["report"]


@with_json
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")],
) -> dict[str, Any]:
    """Write report.html into the folder of a run: one page that needs no network.

    Example: csvjax report runs/mine
    """
    from csvjax.report import write_report
    from csvjax.runs import read_config

    if read_config(run).get("command") == "fit" and not (run / "predictions.parquet").is_file():
        raise InputError(
            f"expected a run with held-out models to report on, found a fit to all models in {run}; fit with "
            "--holdout, or use csvjax evaluate"
        )
    page = write_report(run)
    typer.echo(page)
    return {"report": page}
