"""Damaged and hostile files through the readers of checkpoints and of losses: each is read, or refused in one sentence.

    python -m experiments.fuzz --out runs/fuzz
    python -m experiments.fuzz --quick --out runs/quick

The files are a small checkpoint (safetensors, its configuration and its tokenizer), the same as GGUF, a store of losses
as a folder and as a zip archive, and all tables of `experiments.mutations`. A mutation changes bytes (more often in the
head, which readers trust), cuts, repeats or inserts, or changes a value in JSON. Inputs run in blocks in processes of
their own: a process that ends abruptly is a crash, an input that takes more than 20 CPU seconds a hang, and an
exception that is no `CsvjaxError` a traceback. Blocks that are done are kept: the same command resumes, and one with a
larger `--share` adds to them.

Claim: 100,000 inputs, no crash, no hang, no traceback. Memory is the growth of the largest process over its first look
at the whole file.

Last line: inputs, crashes, hangs, tracebacks, refused, read, worst_s (of all but the
first input of a process, which imports the reader), memory_mb, and the inputs of each kind.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.cluster import Lost, Tell, Where, run_all
from csvjax.errors import CsvjaxError
from experiments.mutation_seeds import seeds
from experiments.mutations import mutate, try_one
from experiments.running import begin, start

__all__ = ["COUNTS", "Block", "figures_of", "fuzz", "table_of"]

COUNTS = {"safetensors": 60_000, "gguf": 15_000, "checkpoint": 5_000, "zarr": 12_000, "zip": 4_000, "tables": 8_000}
_BLOCK = 1000
_HANG = 20  # CPU seconds; of the clock ten times as many, because the machine may be busy


class Block(NamedTuple):
    """Inputs `first` to before `first + count` of a kind; `folder` holds the whole files."""

    kind: str
    first: int
    count: int
    folder: Path


class _HangError(BaseException):
    """Not caught by readers that catch every Exception."""


def _prepare(folder: Path) -> None:
    """The whole files."""
    from csvjax.data.read_losses import read_losses, write_losses
    from csvjax.lms.checkpoint import open_checkpoint
    from csvjax.losses.extract import LossOptions, extract
    from csvjax.losses.text import Document
    from tests.lms.small import write_checkpoint
    from tests.lms.test_gguf import write

    path = write_checkpoint(folder / "checkpoint")
    write(folder / "model.gguf", "qwen3")
    documents = [Document("a", "one", "the theme of them and the other things"), Document("b", "two", "schön")]
    options = LossOptions(context=32, batch=64, chunk=16)
    extract([open_checkpoint(str(path))], documents, folder / "losses.zarr", options)
    write_losses(read_losses(folder / "losses.zarr"), folder / "losses.zarr.zip")


def _head_first(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a mutation, in half of the cases in the first 4 kB."""
    if not data:
        return data
    end = min(len(data), 4096) if rng.random() < 0.5 else len(data)
    at = rng.randrange(end)
    kind = rng.randrange(6)
    if kind == 0:
        return data[:at]
    if kind == 1:
        to = min(len(data), at + rng.randrange(1, 64))
        return data[:at] + data[at:to] * rng.choice((0, 2, 50)) + data[to:]
    if kind == 2:
        return (
            data[:at] + rng.choice((b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"../../", b"[" * 5000)) + data[at:]
        )
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        found[rng.randrange(end)] = rng.randrange(256)
    return bytes(found)


def _one_of(folder: Path, rng: random.Random, names: list[str]) -> None:
    """Damage one of the files of a folder; JSON often stays JSON."""
    name = rng.choice(names)
    data = (folder / name).read_bytes()
    as_json = name.endswith(".json") and rng.random() < 0.6
    (folder / name).write_bytes(mutate({name: data}, rng)[name] if as_json else _head_first(data, rng))


@cache
def _architecture(folder: Path) -> Any:
    from csvjax.lms.checkpoint import read_config
    from csvjax.lms.families import make_architecture

    return make_architecture(read_config(folder))


def _safetensors(whole: Path, made: Path, rng: random.Random) -> tuple[str, str]:
    from csvjax.lms.fill import check
    from csvjax.lms.tensors import SafeTensors

    path = made / "model.safetensors"
    path.write_bytes(_head_first((whole / "checkpoint" / "model.safetensors").read_bytes(), rng))

    def read() -> None:
        tensors = SafeTensors([path])
        check(_architecture(whole / "checkpoint"), tensors)
        for name in tensors.names():
            tensors.read(name)

    return _judge(read)


def _gguf(whole: Path, made: Path, rng: random.Random) -> tuple[str, str]:
    from csvjax.lms.gguf import open_gguf

    path = made / "model.gguf"
    path.write_bytes(_head_first((whole / "model.gguf").read_bytes(), rng))
    return _judge(lambda: open_gguf(path, "m"))


def _checkpoint(whole: Path, made: Path, rng: random.Random) -> tuple[str, str]:
    from csvjax.lms.checkpoint import open_checkpoint

    shutil.copytree(whole / "checkpoint", made / "c")
    _one_of(made / "c", rng, ["config.json", "tokenizer.json", "tokenizer_config.json"])
    return _judge(lambda: open_checkpoint(str(made / "c")))


def _zarr(whole: Path, made: Path, rng: random.Random) -> tuple[str, str]:
    from csvjax.data.read_losses import read_losses

    shutil.copytree(whole / "losses.zarr", made / "s.zarr")
    files = [str(path.relative_to(made / "s.zarr")) for path in (made / "s.zarr").rglob("*") if path.is_file()]
    _one_of(made / "s.zarr", rng, sorted(files))
    return _judge(lambda: read_losses(made / "s.zarr"))


def _zip(whole: Path, made: Path, rng: random.Random) -> tuple[str, str]:
    from csvjax.data.read_losses import read_losses

    path = made / "s.zarr.zip"
    path.write_bytes(_head_first((whole / "losses.zarr.zip").read_bytes(), rng))
    return _judge(lambda: read_losses(path))


def _tables(whole: Path, made: Path, rng: random.Random) -> tuple[str, str]:
    forms = seeds()
    return try_one(mutate(forms[rng.choice(sorted(forms))], rng), made / "t")


_KINDS: dict[str, Callable[[Path, Path, random.Random], tuple[str, str]]] = {
    "safetensors": _safetensors,
    "gguf": _gguf,
    "checkpoint": _checkpoint,
    "zarr": _zarr,
    "zip": _zip,
    "tables": _tables,
}


def _judge(read: Callable[[], object]) -> tuple[str, str]:
    try:
        read()
    except CsvjaxError as error:
        return "refused", str(error)
    except Exception:  # what is looked for
        return "traceback", traceback.format_exc()
    return "read", ""


def fuzz(block: Block, tell: Tell) -> dict[str, Any]:
    """How often the inputs of a block were read, refused, and so on; the failures; the slowest, and the memory."""

    def hang(number: int, frame: Any) -> None:
        raise _HangError

    signal.signal(signal.SIGALRM, hang)
    signal.signal(signal.SIGPROF, hang)
    tally: dict[str, Any] = {"read": 0, "refused": 0, "traceback": 0, "hang": 0, "worst_s": 0.0, "failures": []}
    before = 0
    for number in range(block.first, block.first + block.count):
        rng = random.Random(f"{block.kind} {number}")
        made = Path(tempfile.mkdtemp(prefix="fuzz"))
        begun = time.process_time()
        try:
            patience = _HANG if number > block.first else 20 * _HANG  # the first one imports the reader
            signal.setitimer(signal.ITIMER_PROF, patience)
            signal.alarm(10 * patience)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome, told = _KINDS[block.kind](block.folder, made, rng)
        except _HangError:
            outcome, told = "hang", "".join(traceback.format_stack(limit=3))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            shutil.rmtree(made, ignore_errors=True)
        if number == block.first:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tally[outcome] += 1
        tally["worst_s"] = max(tally["worst_s"], time.process_time() - begun if number > block.first else 0)
        if outcome in ("traceback", "hang"):
            tally["failures"].append({"kind": block.kind, "number": number, "outcome": outcome, "told": told[-1500:]})
    tally["memory_mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return tally


def _path(folder: Path, block: Block) -> Path:
    return folder / "blocks" / f"{block.kind}-{block.first:06}-{block.count}.json"


def figures_of(folder: Path) -> dict[str, float]:
    """The sums over all blocks that are done in a folder."""
    done = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "blocks").glob("*.json"))]
    sums = {name: sum(block[name] for block in done) for name in ("crash", "hang", "traceback", "refused", "read")}
    kinds = {f"{kind}_inputs": sum(b["count"] for b in done if b["kind"] == kind) for kind in COUNTS}
    return {
        "inputs": sum(block["count"] for block in done),
        "crashes": sums["crash"],
        "hangs": sums["hang"],
        "tracebacks": sums["traceback"],
        "refused": sums["refused"],
        "read": sums["read"],
        "worst_s": round(max((block["worst_s"] for block in done), default=0.0), 2),
        "memory_mb": round(max((block["memory_mb"] for block in done), default=0.0), 1),
        **kinds,
    }


def table_of(folder: Path, command: str) -> dict[str, Any]:
    """The blocks that are done in a folder, in the form of a file in `experiments/results`."""
    done = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "blocks").glob("*.json"))]
    rows = []
    for kind in COUNTS:
        mine = [block for block in done if block["kind"] == kind]
        row = {"kind": kind, "inputs": sum(block["count"] for block in mine)}
        rows.append(row | {name: sum(block[name] for block in mine) for name in ("crash", "hang", "traceback")})
    figures = {name: float(value) for name, value in figures_of(folder).items()}
    return {"command": command, "date": str(date.today()), "figures": figures, "kinds": rows}


def main(
    out: Path = Path("runs/fuzz"),
    quick: bool = False,
    jobs: Annotated[int, typer.Option(min=2)] = 2,
    share: Annotated[float, typer.Option(help="Share of the inputs.")] = 1.0,
    only: Annotated[str, typer.Option(help="Kinds of inputs.")] = "",
) -> None:
    """All kinds, in blocks."""
    folder = begin(out, {"command": "fuzz", "quick": quick})
    counts = {kind: max(1, round(n * (0.002 if quick else share))) for kind, n in COUNTS.items()}
    counts = {kind: n for kind, n in counts.items() if not only or kind in only.split(",")}
    command = f"python -m experiments.fuzz --out {out}"
    with tempfile.TemporaryDirectory() as made:
        _prepare(Path(made))
        blocks = [
            Block(kind, first, min(_BLOCK, (n if quick else COUNTS[kind]) - first), Path(made))
            for kind, n in counts.items()
            for first in range(0, n, _BLOCK)
        ]
        blocks = sorted((block for block in blocks if not _path(folder, block).exists()), key=lambda b: b.first)
        (folder / "blocks").mkdir(exist_ok=True)
        for number, found in run_all(blocks, fuzz, Where(jobs)):
            block = blocks[number]
            if isinstance(found, Lost):
                nothing = {"read": 0, "refused": 0, "traceback": 0, "hang": 0, "worst_s": 0.0, "memory_mb": 0.0}
                found = {**nothing, "crash": 1, "failures": [{"outcome": "crash", "told": found.reason}]}
            with replacing(_path(folder, block)) as part:
                runs.write_json(
                    {"crash": 0, "kind": block.kind, "first": block.first, "count": block.count} | found, part
                )
            with replacing(folder / "fuzz.json") as part:
                runs.write_json(table_of(folder, command), part)
            typer.echo(f"{block.kind} {block.first}: {figures_of(folder)}", err=True)
    figures = figures_of(folder)
    runs.write_json(figures, folder / "figures.json")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    start(main)
