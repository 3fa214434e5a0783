"""The whole ladder in one folder: corpus, tokenizer, runs; each is kept, and a second call goes on where it was."""

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
    """What a long job says: `total` units of work named `label`, then how many are done. The base class is silent."""

    def start(self, label: str, total: float) -> None: ...

    def advance(self, amount: float, note: str = "") -> None: ...


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    os.replace(part, path)


def prepare(recipe: Recipe, folder: Path, progress: Progress | None = None) -> None:
    """Fetch the sources; write `recipe.json`, `corpus.json`, `tokenizer.json` and `streams.npz` (the last one last)."""
    folder.mkdir(parents=True, exist_ok=True)
    described = json.dumps(recipe.to_json(), indent=1)
    known = folder / "recipe.json"
    if known.exists() and json.loads(known.read_text()) != json.loads(described):
        raise InputError(
            f"{folder} holds a ladder of another recipe: expected the one in {known}; "
            "choose an empty folder, or delete this one"
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
    """Train every run of the recipe, `jobs` at a time."""
    progress = progress or Progress()
    progress.start("training the ladder", sum(recipe.flops(run, recipe.steps) / 6 for run in recipe.runs))
    in_processes(_train_one, [(recipe, run, folder) for run in recipe.runs], jobs, progress)


class _Teller:
    """`Progress.advance` of another process."""

    def __init__(self, said: queue.Queue):
        self.said = said

    def __call__(self, amount: float, note: str = "") -> None:
        self.said.put((amount, note))


def in_processes(work: Callable[..., None], arguments: Sequence[tuple], jobs: int, progress: Progress) -> None:
    """Call `work(*a, tell)` for each `a` of `arguments`, `jobs` at a time, each in a process with one thread.

    `tell(amount, note)` advances `progress`. With one job all happens in this process. Small matrices gain little from
    a second thread: two processes of one thread train 1.1 to 1.4 times as fast as one process of two.
    """
    if jobs == 1:
        for a in arguments:
            work(*a, progress.advance)
        return
    context = multiprocessing.get_context("spawn")
    os.environ["NPROC"] = "1"  # read by XLA when a worker starts: the size of its thread pool
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
        except BaseException:  # an interruption too; what has been saved is gone on with
            pool.shutdown(wait=False, cancel_futures=True)
            _stop(set(multiprocessing.active_children()) - others)
            raise


class _Stopped(BaseException):
    """A worker was asked to end; raised wherever it is, so that files on their way are taken back."""


def _start_worker() -> None:
    def stop(number: int, frame: object) -> None:
        raise _Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the parent decides
    signal.signal(signal.SIGTERM, stop)


def _until_stopped(work: Callable[..., None], *arguments: Any) -> None:
    try:
        work(*arguments)
    except _Stopped:
        os._exit(1)  # no next piece of work


def _stop(workers: Iterable[multiprocessing.process.BaseProcess], patience: float = 5.0) -> None:
    """End processes: at their next step in Python, or, where they compile for longer than `patience` seconds, then."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(patience)
        worker.kill()
