"""`csvjax losses`: the loss of every token of a text under language models of Hugging Face."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli import show as shown
from csvjax.cli.output import with_json
from csvjax.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typer import Context

    from csvjax.lms.checkpoint import Checkpoint
    from csvjax.losses.extract import Options
else:
    Context = typer.Context.__mro__[1]  # the class of what typer passes; its own is a subclass

__all__ = ["losses"]

losses = typer.Typer(invoke_without_command=True, no_args_is_help=True, pretty_exceptions_enable=False)


@losses.callback()
@with_json
def extract_losses(
    context: Context,
    lm: Annotated[
        list[str] | None,
        typer.Option("--lm", metavar="[NAME=]PATH_OR_ID", help="A folder, a .gguf file or a name on the hub; again."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", metavar="[DOMAIN=]PATH", help="A file, a .jsonl of documents, or a folder; again."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="STORE", help="The store; a second call goes on there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and stop.")] = False,
    window: Annotated[
        int | None, typer.Option("--context", min=1, help="Tokens of a window (default: the model's, 4096 at most).")
    ] = None,
    stride: Annotated[
        int | None, typer.Option("--stride", min=1, help="Tokens from window to window (default: half the context).")
    ] = None,
    first: Annotated[
        str, typer.Option("--first", metavar="bos|unscored", help="A document's first token: after BOS, or left out.")
    ] = "bos",
    dtype: Annotated[str, typer.Option("--dtype", metavar="float32|bfloat16", help="Type of the weights.")] = "float32",
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Tokens of a batch, on each device (default: what the device gains from)."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="SIZE", help="Memory of a device to stay within, as 8GiB (default: its own)."),
    ] = None,
    chunk: Annotated[int, typer.Option("--chunk", min=1, help="Tokens of a chunk of the store.")] = 16_384,
    model_devices: Annotated[int, typer.Option("--model-devices", min=1, help="Devices that share each model.")] = 1,
    part: Annotated[
        str, typer.Option("--part", metavar="I/N", help="Compute the I-th of N stretches of the text; 1/2 beside 2/2.")
    ] = "1/1",
    distributed: Annotated[
        str | None,
        typer.Option("--distributed", metavar="HOST:PORT,COUNT,INDEX", help="One of COUNT processes of one mesh."),
    ] = None,
) -> dict[str, Any] | None:
    """Losses, in nats, of every token of a text under language models, in a store that goes on after a kill."""
    if context.invoked_subcommand is not None:
        return None
    if not lm or not text or (out is None and not dry_run):
        raise InputError("expected --lm, --text and --out, found one of them missing; see csvjax losses --help")
    if distributed is not None:
        _join_processes(distributed)
    from csvjax.losses.extract import Options
    from csvjax.losses.text import read_text
    from csvjax.names import some

    if dtype not in ("float32", "bfloat16"):
        raise InputError(f"expected --dtype to be float32 or bfloat16, found {dtype!r}; choose one")
    options = Options(window, stride, first, dtype, batch, chunk, model_devices, _part(part), _bytes(memory))
    documents = read_text(text)
    if replaced := sum(document.replaced for document in documents):
        typer.echo(f"{replaced} characters that are no UTF-8 are scored as U+FFFD", err=True)
    lms, refused = _open_all(lm)
    if dry_run:
        answer = {"estimates": _show_estimates(lms, documents, options)}
    else:
        assert out is not None
        answer = _extract(lms, documents, out, options)
    if refused:
        raise InputError(
            f"expected {len(lm)} models, found {len(refused)} that cannot be read ({some(refused)}, as said above); "
            "the others are done"
        )
    return answer


def _open_all(sources: Sequence[str]) -> tuple[list[Checkpoint], list[str]]:
    """The models that can be read, and what the others are called: one of many does not stop the rest."""
    opened: list[Checkpoint] = []
    refused: list[str] = []
    for source in sources:
        try:
            opened.append(_open(source))
        except InputError as error:
            if len(sources) == 1 or (len(refused) == len(sources) - 1):
                raise
            refused.append(source)
            typer.echo(f"{source} is left out: {error}", err=True)
    return opened, refused


def _part(part: str) -> tuple[int, int]:
    i, _, n = part.partition("/")
    if not (i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise InputError(f"expected --part as I/N with I from 1 to N, found {part!r}; write 1/1 for everything")
    return int(i) - 1, int(n)


def _bytes(size: str | None) -> int | None:
    if size is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?)(I?)B\s*", size.upper())
    if not found or not float(found[1]):
        raise InputError(f"expected --memory as a size like 8GiB or 500MB, found {size!r}; write a number and a unit")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2] or " "))


def _join_processes(distributed: str) -> None:
    import jax

    try:
        address, count, index = distributed.split(",")
        jax.distributed.initialize(address, int(count), int(index))
    except ValueError:
        raise InputError(
            f"expected --distributed as HOST:PORT,COUNT,INDEX, found {distributed!r}; write for example "
            "host:1234,2,0 for the first of two"
        ) from None


def _open(source: str) -> Checkpoint:
    from csvjax.lms.checkpoint import open_checkpoint

    name, separator, rest = source.partition("=")
    if not separator or Path(source).exists():
        return open_checkpoint(source)
    return open_checkpoint(rest, name)


def _show_estimates(lms: Sequence[Checkpoint], documents: Sequence[Any], options: Options) -> list[dict[str, Any]]:
    from csvjax.losses.estimate import estimate, matmul_speed
    from csvjax.losses.extract import plan

    _, tasks = plan(lms, documents, options)
    speed = matmul_speed(options.dtype)
    rows, estimates = [], []
    for task in tasks:
        found = estimate(task, options, speed)
        estimates.append({"lm": task.lm.name, **asdict(found)})
        size = f"{found.bytes / 1e9:.2f} GB"
        row = (f"{found.scored:,}", f"{found.windows:,}", f"{found.read:,}", size, _duration(found.seconds))
        rows.append((task.lm.name, *row))
    headings = ("model", "tokens", "windows", "tokens read", "memory", "time")
    shown.table("what it would take, from the first token on", headings, rows)
    return estimates


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _extract(lms: Sequence[Checkpoint], documents: Sequence[Any], out: Path, options: Options) -> dict[str, Any]:
    import time

    from csvjax.losses.extract import extract

    with shown.bar() as progress:
        begun: dict[str, tuple[Any, float]] = {}
        shown_at = 0.0

        def say(line: str) -> None:
            if progress.disable:
                typer.echo(line, err=True)
            else:  # above the bar
                progress.console.print(line, highlight=False, markup=False)

        def tell(lm: str, done: int, total: int) -> None:
            if lm not in begun:
                for task in progress.task_ids:
                    progress.remove_task(task)
                begun[lm] = progress.add_task(lm, total=total, note=""), time.perf_counter()
                if not total:
                    say(f"{lm}: 0 tokens to score")
                return
            task, start = begun[lm]
            speed = done / (time.perf_counter() - start)
            note = f"{speed:,.0f} tokens/s"
            progress.update(task, completed=done, note=note)
            nonlocal shown_at
            if progress.disable and (done == total or time.perf_counter() - shown_at > 1):  # a log needs no more
                shown_at = time.perf_counter()
                left = _duration((total - done) / speed)
                typer.echo(f"{lm}: {done:,} of {total:,} tokens, {note}, {left} left", err=True)

        extract(lms, documents, out, options, tell, say)
    return _show(out)


@losses.command("join")
@with_json
def join_stores(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE...", help="Stores of the same text.")],
    out: Annotated[Path, typer.Option("--out", metavar="STORE", help="A .zarr or .zarr.zip; one there is replaced.")],
    units: Annotated[str, typer.Option("--units", metavar="common|words|fixed", help="Spans to share.")] = "common",
    size: Annotated[int, typer.Option("--size", min=1, help="Bytes of a fixed span.")] = 16,
    common: Annotated[bool, typer.Option("--common", help="Leave out models that are not complete.")] = False,
) -> dict[str, Any]:
    """Bring models with different tokenizers to shared spans of bytes, for csvjax fit."""
    from typing import cast, get_args

    from csvjax.data.read_losses import read_losses, write_losses
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
                typer.echo(f"{store}: {some(left)} left out, as chunks are missing", err=True)
    else:
        tables = [read_losses(store) for store in stores]
    table = to_spans(tables, cast(Kind, units), size)
    write_losses(table, out)
    typer.echo(f"{len(table.lms)} models on {len(table.units):,} spans: {out}")
    return {"out": out, "models": table.lms, "spans": len(table.units)}


@losses.command("drop")
@with_json
def drop_model(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What csvjax losses wrote.")],
    lm: Annotated[str, typer.Argument(metavar="MODEL", help="The name of the model.")],
) -> dict[str, Any]:
    """Take a model and its losses out of a store."""
    from csvjax.losses.drop import drop

    drop(store, lm)
    typer.echo(f"{lm} is no longer in {store}")
    return {"store": store, "dropped": lm}


@losses.command("show")
@with_json
def show_store(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What csvjax losses wrote.")],
) -> dict[str, Any]:
    """Models of a store, their mean losses by domain, and what is missing."""
    return _show(store)


def _show(store: Path) -> dict[str, Any]:
    from csvjax.losses.overview import look
    from csvjax.losses.store import ACCURACY

    found = look(store)
    rows = [
        (str(lm), str(domain), f"{tokens:,}", f"{done:.0%}", f"{nats:.4f}", f"{bits:.4f}")
        for lm, domain, tokens, done, nats, bits in found.means.itertuples(index=False)
    ]
    headings = ("model", "domain", "tokens", "done", "nats/token", "bits/byte")
    shown.table(f"{store}: {len(found.models)} models, {found.tokens:,} tokens", headings, rows)
    for lm, settings in found.models.items():
        if accuracy := ACCURACY.get(str(settings.get("dtype"))):
            typer.echo(f"{lm}: losses of {settings['dtype']} weights; how far they may be off: {accuracy}")
        if found.missing[lm]:
            typer.echo(f"{lm}: {found.missing[lm]} chunks are missing")
        for path in found.damaged[lm]:
            typer.echo(f"{lm}: the chunk {path} is damaged; run the same csvjax losses again")
    kept = {"tokens": found.tokens, "means": found.means, "missing": found.missing, "damaged": found.damaged}
    return {"store": store, "models": found.models, **kept}
