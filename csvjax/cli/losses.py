"""`csvjax losses`: the loss of every token of a text under language models with Hugging Face or GGUF checkpoints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli import extraction, inputs
from csvjax.cli import show as shown
from csvjax.cli.join import join_stores
from csvjax.cli.output import with_json
from csvjax.cli.source import switch
from csvjax.cli.values import size_in_bytes
from csvjax.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typer import Context

    from csvjax.lms.checkpoint import Checkpoint
    from csvjax.losses.extract import LossOptions
else:
    Context = typer.Context.__mro__[1]  # typer passes an object of this class, of which its own class is a subclass

__all__ = ["losses"]

_SCORING, _DEVICES = "How text is scored", "Devices and processes"


def _option(name: str, help: str, metavar: str, panel: str | None = None, least: int | None = None) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False, rich_help_panel=panel, min=least)


losses = typer.Typer(invoke_without_command=True, no_args_is_help=True, pretty_exceptions_enable=False)


@losses.callback()
@with_json
def extract_losses(
    context: Context,
    lm: Annotated[
        list[str] | None,
        _option(
            "--lm",
            "Model: a folder, a .gguf file or a name on the Hugging Face Hub, with @REVISION for a checkpoint of a "
            "training run. Can be repeated. Examples: small=checkpoints/small, EleutherAI/pythia-70m@step1000.",
            "[NAME=]MODEL",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        _option(
            "--text",
            "Text: a file, a .jsonl file with one document on each line, or a folder. Can be repeated. Example: "
            "german=news.txt.",
            "[DOMAIN=]PATH",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        _option(
            "--out",
            "Store for the losses. Run the same command again to resume, or with other models to add them. Example: "
            "losses.zarr. An address works too: s3://bucket/losses.zarr.",
            "STORE",
        ),
    ] = None,
    dry_run: Annotated[
        bool, switch("--dry-run", "Only print how many tokens there are, and how much memory and time they need.")
    ] = False,
    window: Annotated[
        int | None,
        _option(
            "--context",
            "Number of tokens that the model sees at once. Default: the context of the model, at most 4096.",
            "NUMBER",
            _SCORING,
            1,
        ),
    ] = None,
    stride: Annotated[
        int | None,
        _option(
            "--stride",
            "Tokens from the start of one window to the next in long documents. Default: half of --context.",
            "NUMBER",
            _SCORING,
            1,
        ),
    ] = None,
    first: Annotated[
        str,
        _option(
            "--first",
            "What to do with the first token of a document. bos: score it after the beginning-of-text token. unscored: "
            "leave it out. Default: bos.",
            "bos|unscored",
            _SCORING,
        ),
    ] = "bos",
    dtype: Annotated[
        str,
        _option(
            "--dtype",
            "Type of the weights. bfloat16 takes half the memory. Default: float32.",
            "float32|bfloat16",
            _SCORING,
        ),
    ] = "float32",
    batch: Annotated[
        int | None,
        _option(
            "--batch",
            "Number of tokens in a batch on each device. Default: chosen for the device.",
            "NUMBER",
            _DEVICES,
            1,
        ),
    ] = None,
    memory: Annotated[
        str | None,
        _option("--memory", "Largest memory to use on each device. Default: all. Example: 8GiB.", "SIZE", _DEVICES),
    ] = None,
    chunk: Annotated[
        int,
        _option("--chunk", "Number of tokens after which losses are saved. Default: 16384.", "NUMBER", _DEVICES, 1),
    ] = 16_384,
    model_devices: Annotated[
        int,
        _option("--model-devices", "Number of devices that share one model. Default: 1.", "NUMBER", _DEVICES, 1),
    ] = 1,
    part: Annotated[
        str,
        _option(
            "--part",
            "Score only the I-th of N parts of the text; other processes can write the other parts to the same store. "
            "Default: 1/1.",
            "I/N",
            _DEVICES,
        ),
    ] = "1/1",
    distributed: Annotated[
        str | None,
        _option(
            "--distributed",
            "Run this process as number INDEX of COUNT processes that share one model. HOST:PORT is the address of "
            "process 0. Example: host:1234,2,0.",
            "HOST:PORT,COUNT,INDEX",
            _DEVICES,
        ),
    ] = None,
    cluster: inputs.Cluster = None,
    blocks: Annotated[
        int,
        _option(
            "--blocks",
            "With --cluster: divide the text of each model into this many tasks. Default: 1. Example: 8.",
            "NUMBER",
            _DEVICES,
            1,
        ),
    ] = 1,
) -> dict[str, Any] | None:
    """Compute the loss of every token of a text under language models, in nats, and save the losses in a store.

    csvjax fit --losses reads the store.
    If the models have different tokenizers, use one store for each tokenizer and then csvjax losses join.

    Example: csvjax losses --lm gpt2 --lm big=models/big --text news.txt --out losses.zarr
    """
    if context.invoked_subcommand is not None:
        return None
    if not lm or not text or (out is None and not dry_run):
        missing = [name for name, value in (("--lm", lm), ("--text", text), ("--out", out or dry_run)) if not value]
        raise InputError(
            f"expected --lm, --text and --out, found no {' and no '.join(missing)}; see csvjax losses --help"
        )
    if distributed is not None:
        if cluster is not None:
            raise InputError("--distributed cannot be used with --cluster, which starts its own processes; use one")
        _join_processes(distributed)
    from csvjax.losses.extract import LossOptions, plan
    from csvjax.losses.text import read_text
    from csvjax.names import some

    if blocks > 1 and cluster is None:
        raise InputError("--blocks needs --cluster, whose tasks they are, found none; add --cluster or use --part")
    if dtype not in ("float32", "bfloat16"):
        raise InputError(f"expected --dtype to be float32 or bfloat16, found {dtype!r}; choose one")
    options = LossOptions(window, stride, first, dtype, batch, chunk, model_devices, _part(part), size_in_bytes(memory))
    documents = read_text(text)
    if replaced := sum(document.replaced for document in documents):
        typer.echo(f"{replaced} characters are not valid UTF-8 and are scored as U+FFFD", err=True)
    lms, refused = _open_all(lm)
    if dry_run:
        answer = {"estimates": _show_estimates(lms, documents, options)}
    else:
        assert out is not None
        if cluster is None:
            extraction.run_here(lms, documents, out, options)
        else:
            plan(lms, documents, options)  # what it refuses is known before a worker starts
            models = [_split(source) for source in lm if source not in refused]
            extraction.run_on_cluster(cluster, models, text, out, options, blocks)
        answer = _show(out)
    if refused:
        raise InputError(
            f"expected {len(lm)} models, found {len(refused)} that cannot be read ({some(refused)}; the reasons are "
            f"above); the losses of the other models are complete"
        )
    return answer


def _open_all(sources: Sequence[str]) -> tuple[list[Checkpoint], list[str]]:
    """The models that can be read, and the names of the others, so that one bad model does not stop the rest."""
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
        raise InputError(f"expected --part as I/N with I from 1 to N, found {part!r}; write 1/1 for the whole text")
    return int(i) - 1, int(n)


def _join_processes(distributed: str) -> None:
    import jax

    try:
        address, count, index = distributed.split(",")
        jax.distributed.initialize(address, int(count), int(index))
    except ValueError:
        raise InputError(
            f"expected --distributed as HOST:PORT,COUNT,INDEX, found {distributed!r}; for the first of two processes "
            "write, for example, host:1234,2,0"
        ) from None


def _split(source: str) -> tuple[str, str | None]:
    """The checkpoint and the name of [NAME=]MODEL."""
    name, separator, rest = source.partition("=")
    return (source, None) if not separator or Path(source).exists() else (rest, name)


def _open(source: str) -> Checkpoint:
    from csvjax.lms.checkpoint import open_checkpoint

    return open_checkpoint(*_split(source))


def _show_estimates(lms: Sequence[Checkpoint], documents: Sequence[Any], options: LossOptions) -> list[dict[str, Any]]:
    from csvjax.losses.estimate import estimate, matmul_speed
    from csvjax.losses.extract import plan

    _, jobs = plan(lms, documents, options)
    speed = matmul_speed(options.dtype)
    rows, estimates = [], []
    for job in jobs:
        found = estimate(job, options, speed)
        estimates.append({"lm": job.lm.name, **asdict(found)})
        size = f"{found.bytes / 1e9:.2f} GB"
        row = (f"{found.scored:,}", f"{found.windows:,}", f"{found.read:,}", size, extraction.duration(found.seconds))
        rows.append((job.lm.name, *row))
    headings = ("model", "tokens", "windows", "tokens read", "memory", "time")
    shown.table("what a run from the first token would need", headings, rows)
    return estimates


losses.command("join")(join_stores)


@losses.command("drop")
@with_json
def drop_model(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Store that csvjax losses wrote.")],
    lm: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model; csvjax losses show lists the names.")],
) -> dict[str, Any]:
    """Delete a model and its losses from a store.

    Example: csvjax losses drop losses.zarr gpt2
    """
    from csvjax.losses.drop import drop

    drop(store, lm)
    typer.echo(f"{lm} was deleted from {store}")
    return {"store": store, "dropped": lm}


@losses.command("show")
@with_json
def show_store(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Store that csvjax losses wrote.")],
) -> dict[str, Any]:
    """List the models of a store, their mean losses in each domain, and missing chunks.

    Example: csvjax losses show losses.zarr
    """
    return _show(store)


def _show(store: Path) -> dict[str, Any]:
    from csvjax.losses.overview import look
    from csvjax.losses.store import ACCURACY
    from csvjax.objects import address

    found = look(store)
    place = address(store) or store
    rows = [
        (str(lm), str(domain), f"{tokens:,}", f"{done:.0%}", f"{nats:.4f}", f"{bits:.4f}")
        for lm, domain, tokens, done, nats, bits in found.means.itertuples(index=False)
    ]
    headings = ("model", "domain", "tokens", "done", "nats/token", "bits/byte")
    shown.table(f"{place}: {len(found.models)} models, {found.tokens:,} tokens", headings, rows)
    for lm, settings in found.models.items():
        if accuracy := ACCURACY.get(str(settings.get("dtype"))):
            typer.echo(f"{lm}: losses of {settings['dtype']} weights; possible error: {accuracy}")
        if found.missing[lm]:
            typer.echo(f"{lm}: {found.missing[lm]} chunks are missing")
        for path in found.damaged[lm]:
            typer.echo(f"{lm}: the chunk {path} is damaged; run the same csvjax losses command again")
    kept = {"tokens": found.tokens, "means": found.means, "missing": found.missing, "damaged": found.damaged}
    return {"store": place, "models": found.models, **kept}
