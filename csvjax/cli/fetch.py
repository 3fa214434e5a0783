"""`csvjax fetch`: download public tables of scores by name."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from csvjax.cli import show
from csvjax.cli.output import with_json

__all__ = ["fetch"]

_FILES = 20  # more files are shown as their folder


@with_json
def fetch(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", show_default=False, help="Name of the table. Without a name, the tables are listed."
        ),
    ] = None,
) -> dict[str, Any]:
    """Download a public table of scores, and print the paths of its files, its source and its licence.

    A table of many files is a folder, which csvjax check and csvjax fit read as a whole.

    If the environment variable CSVJAX_DATA names a folder that has the files, they are used and not downloaded.
    The SHA-256 of every file is checked.

    Example: csvjax fetch obsscaling
    """
    from csvjax.data import public

    if name is None:
        tables = public.public_tables()
        rows = [(table.name, table.licence, table.about) for table in tables.values()]
        show.table("public tables", ("name", "licence", "contents"), rows)
        return {"tables": tables}
    table, files = public.fetch(name)
    for path in files if len(files) <= _FILES else [os.path.commonpath(files)]:
        typer.echo(path)
    typer.echo(
        f"{table.about}; from github.com/{table.repository} at {table.commit[:12]}, licence {table.licence}", err=True
    )
    return {"table": table, "files": files}
