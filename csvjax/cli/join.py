"""`csvjax losses join`: stores of models with different tokenizers as one store of shared spans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csvjax.cli.output import with_json
from csvjax.cli.source import switch
from csvjax.errors import InputError

__all__ = ["join_stores"]


@with_json
def join_stores(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE", help="Stores with losses of the same text.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="STORE",
            help="Store to write, .zarr or .zarr.zip; an older one is replaced. Example: shared.zarr.",
        ),
    ],
    units: Annotated[
        str,
        typer.Option(
            "--units",
            metavar="common|words|fixed",
            help="Where spans end: common, where all tokenizers cut; words, at words; fixed, every --size bytes.",
        ),
    ] = "common",
    size: Annotated[
        int, typer.Option("--size", min=1, metavar="NUMBER", help="Bytes in a span with --units fixed.")
    ] = 16,
    common: Annotated[
        bool, switch("--common", "Leave out models whose losses are not complete. Default: an error.")
    ] = False,
) -> dict[str, Any]:
    """Join stores of models with different tokenizers, so that csvjax fit can use them together.

    Tokenizers cut a text differently. The joined store has the loss of every model on the same spans.
    The loss of a whole document stays the same.

    Example: csvjax losses join llama.zarr qwen.zarr --out shared.zarr
    """
    from typing import cast, get_args

    from csvjax.data.read_losses import read_losses, read_runs, write_losses
    from csvjax.losses.spans import Kind, to_spans
    from csvjax.names import some

    if units not in get_args(Kind):
        raise InputError(f"expected --units to be one of {', '.join(get_args(Kind))}, found {units!r}; choose one")
    if common:
        from csvjax.losses.drop import read_complete

        tables = []
        for store in stores:
            found, left = read_complete(store)
            tables.append(found)
            if left:
                typer.echo(f"{store}: {some(left)} left out, because chunks are missing", err=True)
    else:
        tables = [read_losses(store) for store in stores]
    table = to_spans(tables, cast(Kind, units), size)
    write_losses(table, out, runs={lm: run for store in stores for lm, run in read_runs(store).items()})
    typer.echo(f"{len(table.lms)} models on {len(table.units):,} spans: {out}")
    return {"out": out, "models": table.lms, "spans": len(table.units)}
