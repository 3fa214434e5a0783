"""`csvjax report`: write the HTML page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csvjax.cli.output import with_json

__all__ = ["report"]


@with_json
def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", show_default=False, help="Folder of a run of csvjax fit, evaluate or demo.")
    ],
) -> dict[str, Any]:
    """Write report.html, a page with the results and figures of a run, into its folder. It works without network.

    Example: csvjax report runs/mine
    """
    from csvjax.objects import refuse_remote
    from csvjax.report import write_report
    from csvjax.runs import read_config

    refuse_remote(run, "the run that gets a page")
    read_config(run)
    page = write_report(run)
    typer.echo(page)
    return {"report": page}
