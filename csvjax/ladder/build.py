"""Builds a ladder in one folder: corpus, tokenizer and runs. A second call resumes an unfinished ladder."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.process
import os
import queue
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from csvjax.errors import InputError
from csvjax.ladder import corpus as corpora
from csvjax.ladder import sources
from csvjax.ladder.recipe import Recipe, Run

__all__ = ["Progress", "in_processes", "load_corpus", "prepare", "train_all"]


class Progress:
    """Reports the progress of a long job: its label and total work, then the work done. This class is silent."""

    def start(self, label: str, total: float) -> None: ...

    def advance(self, amount: float, note: str = "") -> None: ...


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    os.replace(part, path)


def prepare(recipe: Recipe, folder: Path, progress: Progress | None = None) -> None:
    """Read the sources and write `recipe.json`, `corpus.json`, `tokenizer.json` and finally `streams.npz`.

    Raises: InputError for a folder with a ladder of another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = json.dumps(recipe.to_json(), indent=1)
    known = folder / "recipe.json"
    if known.exists() and json.loads(known.read_text()) != json.loads(described):
        raise InputError(
            f"{folder} has a ladder with other settings, see {known}; choose an empty folder, or delete this one"
        )
    if (folder / "streams.npz").exists():
        return
    (progress or Progress()).start("reading the corpus", 0)
    _write(known, described)
    sources.fetch(recipe.sources, folder / "text")
    corpus = corpora.build(recipe.sources, folder / "text", recipe.excerpts, recipe.excerpt_bytes, recipe.train_bytes)
    tokenizer = corpora.train_tokenizer(corpus, recipe.vocabulary)
    _write(folder / "corpus.json", json.dumps(asdict(corpus), ensure_ascii=False))
    _write(folder / "tokenizer.json", tokenizer.to_str())
    part = folder / "streams.part.npz"
    np.savez(part, allow_pickle=False, **corpora.token_streams(corpus, tokenizer))
    os.replace(part, folder / "streams.npz")


def load_corpus(folder: Path) -> tuple[corpora.Corpus, Tokenizer]:
    parts = json.loads((folder / "corpus.json").read_text())
    documents = {side: tuple(corpora.Document(**d) for d in parts[side]) for side in parts}
    return corpora.Corpus(**documents), Tokenizer.from_file(str(folder / "tokenizer.json"))


def _train_one(recipe: Recipe, run: Run, folder: Path, tell: Callable[[float, str], None]) -> None:
    from csvjax.ladder.train import train

    with np.load(folder / "streams.npz") as streams:
        work = recipe.decoder(run).params + recipe.vocabulary * recipe.decoder(run).width
        before = 0

        def report(step: int, loss: float) -> None:
            nonlocal before
            tell(float(work * (step - before) * recipe.tokens_per_step), f"{run.name} step {step} loss {loss:.2f}")
            before = step

        train(recipe, run, dict(streams), folder, report)


def train_all(recipe: Recipe, folder: Path, jobs: int, progress: Progress | None = None) -> None:
    """Train all runs of the recipe, with `jobs` processes."""
    progress = progress or Progress()
    progress.start("training the ladder", sum(recipe.flops(run, recipe.steps) / 6 for run in recipe.runs))
    in_processes(_train_one, [(recipe, run, folder) for run in recipe.runs], jobs, progress)


class _Teller:
    """`Progress.advance` from another process."""

    def __init__(self, said: queue.Queue):
        self.said = said

    def __call__(self, amount: float, note: str = "") -> None:
        self.said.put((amount, note))


def in_processes(work: Callable[..., None], arguments: Sequence[tuple], jobs: int, progress: Progress) -> None:
    """Call `work(*a, tell)` for each `a` of `arguments`, with `jobs` processes of one thread each.

    `tell(amount, note)` advances `progress`. One job runs in this process. Small matrices gain little from a second
    thread: two processes with one thread train 1.1 to 1.4 times as fast as one process with two.
    """
    if jobs == 1:
        for a in arguments:
            work(*a, progress.advance)
        return
    context = multiprocessing.get_context("spawn")
    os.environ["NPROC"] = "1"  # number of threads, which XLA reads when a worker starts
    with context.Manager() as manager, ProcessPoolExecutor(jobs, context, _start_worker) as pool:
        others = set(multiprocessing.active_children())
        said = manager.Queue()
        waiting: set[Future] = {pool.submit(_until_stopped, work, *a, _Teller(said)) for a in arguments}
        try:
            while waiting:
                try:
                    progress.advance(*said.get(timeout=1.0))
                except queue.Empty:
                    for future in [f for f in waiting if f.done()]:
                        future.result()
                        waiting.remove(future)
        except BaseException:  # also after an interruption; saved work is used by the next call
            pool.shutdown(wait=False, cancel_futures=True)
            _stop(set(multiprocessing.active_children()) - others)
            raise


class _Stopped(BaseException):
    """Raised in a worker that must end, so that unfinished files are removed."""


def _start_worker() -> None:
    def stop(number: int, frame: object) -> None:
        raise _Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent handles it
    signal.signal(signal.SIGTERM, stop)


def _until_stopped(work: Callable[..., None], *arguments: Any) -> None:
    try:
        work(*arguments)
    except _Stopped:
        os._exit(1)  # do not start more work


def _stop(workers: Iterable[multiprocessing.process.BaseProcess], patience: float = 5.0) -> None:
    """End processes at their next step in Python; kill those that do not end within `patience` seconds."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(patience)
        worker.kill()
