"""The losses of many models at once, in tasks of a cluster for blocks of the text, which write to one store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from csvjax.cluster import Lost, Tell, Where, run_all
from csvjax.errors import InputError
from csvjax.lms.checkpoint import open_checkpoint
from csvjax.losses.extract import extract
from csvjax.losses.plan import LossOptions
from csvjax.losses.text import read_text
from csvjax.names import some
from csvjax.objects import address

__all__ = ["Model", "extract_many"]


class Model(NamedTuple):
    """Where a checkpoint is, and its name; None for the last part of `source`."""

    source: str
    name: str | None = None


class _Job(NamedTuple):
    model: Model
    text: tuple[str, ...]
    path: Path
    options: LossOptions


def extract_many(
    models: Sequence[Model],
    text: Sequence[str],
    path: Path,
    options: LossOptions,
    where: Where,
    tell: Callable[[str, int, int], None] = lambda lm, done, total: None,
    say: Callable[[str], None] = lambda line: None,
    blocks: int = 1,
) -> None:
    """Do what `extract` does for each model and block of the text in a job of its own.

    A job opens the checkpoint and reads the text itself, so all machines must see these paths and the store. Models
    join the store as their first chunks are done, so their order in it may change; their losses do not. The blocks of a
    model write different chunks of its row, each of which is a file or object of its own.

    Args:
        models: the models.
        text: what `read_text` reads.
        path: the store.
        options: settings of all models.
        where: where the jobs run; each asks for the devices that share a model, and for the memory of the options.
        tell, say: as of `extract`, for all jobs. With several blocks the name of a model ends with the block.
        blocks: number of blocks that the text of each model is divided into.

    Raises: InputError for several blocks of a part of the text, and one that names the models with errors after all
    models are done.
    """
    place = path if address(path) else path.absolute()
    given = tuple(map(_absolute_text, text))
    if blocks > 1 and options.part[1] > 1:
        raise InputError("--blocks cannot be used with --part, which is a block of its own; leave out one of them")
    parts = [replace(options, part=(block, blocks)) for block in range(blocks)] if blocks > 1 else [options]
    jobs = [_Job(Model(_absolute(m.source), m.name), given, place, part) for m in models for part in parts]

    def hear(kind: str, *said: object) -> None:
        if kind == "tell":
            lm, done, total = said
            tell(str(lm), int(str(done)), int(str(total)))
        else:
            say(str(said[0]))

    failed: dict[str, str] = {}
    where = replace(where, devices=options.model, memory=options.memory)
    for number, found in run_all(jobs, _work, where, hear):
        sentence = found.reason if isinstance(found, Lost) else found
        if sentence:
            model = models[number // len(parts)]
            failed[model.name or model.source] = sentence
            say(f"{model.name or model.source}: {sentence}; continuing with the other models")
    if failed:
        raise InputError(
            f"expected the losses of {len(models)} models, found errors for {some(failed)} "
            f"({next(iter(failed.values()))}); the losses of the other models are complete"
        )


def _work(job: _Job, tell: Tell) -> str:
    """The losses of one model in one block; the sentence of its error, or "" """
    block, blocks = job.options.part
    mark = f" {block + 1}/{blocks}" if blocks > 1 else ""
    try:
        lm = open_checkpoint(*job.model)
        extract(
            [lm],
            read_text(job.text),
            job.path,
            job.options,
            lambda name, done, total: tell("tell", f"{name}{mark}", done, total),
            lambda line: tell("say", line),
        )
    except InputError as error:
        return str(error)
    return ""


def _absolute(source: str) -> str:
    """A path that means the same in every folder; a name on the hub is as it was."""
    path = Path(source).expanduser()  # an address is no path that exists
    return str(path.absolute()) if path.exists() else source


def _absolute_text(source: str) -> str:
    domain, separator, rest = source.partition("=")
    if not separator or Path(source).exists():
        return _absolute(source)
    return f"{domain}={_absolute(rest)}"
