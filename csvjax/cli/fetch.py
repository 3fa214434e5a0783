"""`csvjax fetch`: public tables by name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from csvjax.cli import show
from csvjax.cli.output import with_json

__all__ = ["fetch"]


@with_json
def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", show_default=False, help="A public table. Without it: their list.")
    ] = None,
) -> dict[str, Any]:
    """Download a public table of scores, and say where its files are, where they come from and under which licence.

    Files in the folder that CSVJAX_DATA names are used where they are. All files are checked by their SHA-256.

    Example: csvjax fetch obsscaling
    """
    from csvjax.data import public

    if name is None:
        tables = public.public_tables()
        rows = [(table.name, table.licence, table.about) for table in tables.values()]
        show.table("public tables", ("name", "licence", "what"), rows)
        return {"tables": tables}
    table, files = public.fetch(name)
    for path in files:
        typer.echo(path)
    typer.echo(
        f"{table.about}; from github.com/{table.repository} at {table.commit[:12]}, licence {table.licence}", err=True
    )
    return {"table": table, "files": files}
