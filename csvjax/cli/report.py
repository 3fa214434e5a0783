"""`csvjax report`: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")],
) -> None:
    """Write report.html into the folder of a run: one page that needs no network.

    Example: csvjax report runs/mine
    """
    from csvjax.report import write_report
    from csvjax.runs import read_config

    read_config(run)
    typer.echo(write_report(run))
