"""The losses of many models at once, each in a task of a cluster that writes to one store."""

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
) -> None:
    """Do what `extract` does for each model in a job of its own.

    A job opens the checkpoint and reads the text itself, so all machines must see these paths and the store. Models
    join the store as their first chunks are done, so their order in it may change; their losses do not.

    Args:
        models: the models.
        text: what `read_text` reads.
        path: the store.
        options: settings of all models.
        where: where the jobs run; each asks for the devices that share a model, and for the memory of the options.
        tell, say: as of `extract`, for all jobs.

    Raises: InputError that names the models with errors after all models are done.
    """
    place = path if address(path) else path.absolute()
    given = tuple(map(_absolute_text, text))
    jobs = [_Job(Model(_absolute(m.source), m.name), given, place, options) for m in models]

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
            failed[models[number].name or models[number].source] = sentence
            say(f"{models[number].name or models[number].source}: {sentence}; continuing with the other models")
    if failed:
        raise InputError(
            f"expected the losses of {len(models)} models, found errors for {some(failed)} "
            f"({next(iter(failed.values()))}); the losses of the other models are complete"
        )


def _work(job: _Job, tell: Tell) -> str:
    """The losses of one model; the sentence of its error, or "" """
    try:
        lm = open_checkpoint(*job.model)
        extract(
            [lm],
            read_text(job.text),
            job.path,
            job.options,
            lambda name, done, total: tell("tell", name, done, total),
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
