"""Computes losses of language models on a text, chunk by chunk, and keeps chunks that the store has already."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import zarr
from jax.sharding import Mesh

from csvjax.errors import InputError
from csvjax.lms.checkpoint import Checkpoint
from csvjax.lms.devices import make_mesh, place_batch, place_weights
from csvjax.losses import batch_size
from csvjax.losses import store as stores
from csvjax.losses.batches import Batch, Shapes, choose_shapes, cut_batches
from csvjax.losses.meeting import Meeting
from csvjax.losses.nll import scorer
from csvjax.losses.plan import Job, LossOptions, bytes_needed, check, plan
from csvjax.losses.schedule import Group, Score, chunk_losses, group_chunks
from csvjax.losses.units import EncodedText, TextDocument
from csvjax.names import some
from csvjax.objects import address

__all__ = ["Job", "LossOptions", "extract", "plan"]

_BEHIND = 8  # limit of chunks that wait to be stored

Settle = Callable[[Shapes, int], None]


def extract(
    lms: Sequence[Checkpoint],
    documents: Sequence[TextDocument],
    path: Path,
    options: LossOptions | None = None,
    tell: Callable[[str, int, int], None] = lambda lm, done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Compute the loss of each model on each token of the documents, and write them to a store for `read_losses`.

    Complete chunks in the store are kept; missing and damaged chunks are computed. All processes of one
    `jax.distributed` must call this function; the first one writes, and if one fails, all raise an error. In a single
    process, an InputError about one model does not stop the other models, and is raised at the end.

    Args:
        lms: the models, which must have the same tokenizer.
        documents: the text.
        path: the store; it is created if it does not exist.
        options: settings; None for the defaults.
        tell: called with the name of a model, its finished tokens and all its tokens to score, at the start and after
            each chunk.
        say: called with a line of text about the batches of a model.

    Raises: InputError for what `plan` refuses, for a store with other contents, and for a loss that is not finite.
    """
    options = options or LossOptions()
    meeting = Meeting()
    with meeting.held(), ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        check(lms, options)
        mesh = make_mesh(options.model)
        opened: dict[str, Future[Score]] = {}
        if (
            address(path) is None and not path.exists()
        ):  # nothing is done yet, so read the first weights while the text is prepared
            opened[lms[0].name] = reader.submit(_open, lms[0], options, mesh)
        text, jobs = plan(lms, documents, options)
        _compare(meeting, jobs, text, options)
        run = _Run(text, options, mesh, opened, meeting)
        if jax.process_index() == 0:
            _lead(jobs, run, path, tell, say, writer)
        else:
            _follow(jobs, run)


def _compare(meeting: Meeting, jobs: Sequence[Job], text: EncodedText, options: LossOptions) -> None:
    """Check that all processes do the same; otherwise they would wait for each other forever."""
    said = [(job.lm.name, job.settings(options.dtype)) for job in jobs]
    mine = zlib.crc32(repr((said, text.corpus, text.tokenizer, options)).encode()) % (1 << 31)
    if int(meeting.agree(mine)) != mine:
        raise InputError(
            f"expected the same models, text and options in all processes, found others in process "
            f"{jax.process_index()}; start every process with the same --lm, --text and options"
        )


class _Run:
    """What all models of one call share. `opened` has weights that are being read."""

    def __init__(
        self, text: EncodedText, options: LossOptions, mesh: Mesh, opened: dict[str, Future[Score]], meeting: Meeting
    ):
        self.text, self.options, self.mesh, self.opened, self.meeting = text, options, mesh, opened, meeting

    def losses(
        self, job: Job, bounds: np.ndarray, todo: np.ndarray, batch: int, settle: Settle
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Number and losses of each chunk to do. `batch` is that of an earlier run, or 0."""
        mask = np.zeros(len(bounds) - 1, bool)
        mask[todo] = True
        todo = np.flatnonzero(self.meeting.agree(mask))
        if not len(todo):
            return
        early = self.opened.pop(job.lm.name, None)
        score = _open(job.lm, self.options, self.mesh) if early is None else early.result()
        rows = self.mesh.shape["data"]
        batch = self.options.batch or int(self.meeting.agree(batch)) or self._choose_batch(job, rows, score)
        shapes = choose_shapes(job.windows[:, 2], job.context, batch * rows, rows)
        settle(shapes, batch)
        yield from chunk_losses(score, self._work(job, group_chunks(bounds, todo, shapes.tokens), shapes))

    def _work(self, job: Job, groups: Sequence[Group], shapes: Shapes) -> Iterator[tuple[Group, Iterator[Batch]]]:
        for g in groups:
            self.meeting.meet()
            yield g, cut_batches(self.text.ids, job.windows, job.first, (g.start, g.end), shapes)

    def _choose_batch(self, job: Job, rows: int, score: Score) -> int:
        """The number of tokens in a batch on each device, the same in all processes."""
        memory = self.options.memory
        needed = partial(bytes_needed, job.lm, self.options)

        def seconds(batch: int) -> float:
            height = Shapes(job.context, batch * rows, rows).height(job.context)
            tokens = np.zeros((height, job.context), np.int32)
            return float(self.meeting.agree(np.asarray(batch_size.seconds_of(lambda: score(tokens, tokens)))))

        if jax.default_backend() == "cpu":
            return batch_size.fit_memory(batch_size.PLAIN, job.context, memory, needed)
        # With fewer than eight batches, a larger batch is not worth the time to compile it.
        largest = max(job.context, int(job.windows[:, 2].sum()) // (8 * rows))
        return batch_size.grow(seconds, batch_size.fit_memory(largest, job.context, memory, needed))


def _open(lm: Checkpoint, options: LossOptions, mesh: Mesh) -> Score:
    """Read the weights, and return a function that computes the losses of a batch."""
    place, score = place_batch(mesh), scorer(lm.load(jnp.dtype(options.dtype), place_weights(mesh)))
    return lambda tokens, targets: score(place(tokens), place(targets))


def _lead(
    jobs: Sequence[Job],
    run: _Run,
    path: Path,
    tell: Callable[[str, int, int], None],
    say: Callable[[str], None],
    writer: ThreadPoolExecutor,
) -> None:
    options, text = run.options, run.text
    models = {job.lm.name: job.settings(options.dtype) for job in jobs}
    store = stores.open_store(path, models, text, options.first == "bos", options.chunk)
    failed: dict[str, InputError] = {}
    try:
        with stores.working(path):
            run.meeting.agree(int(stores.chunk_bounds(store)[1]))
            for job in jobs:
                try:
                    _score(job, run, store, tell, say, writer)
                except InputError as error:
                    if jax.process_count() > 1 or len(jobs) == 1:
                        raise
                    failed[job.lm.name] = error
                    say(f"{job.lm.name}: {error}; continuing with the other models")
    finally:
        stores.remove_empty(path)
    if failed:
        raise InputError(
            f"expected the losses of {len(jobs)} models, found errors for {some(failed)} "
            f"({next(iter(failed.values()))}); the losses of the other models are complete"
        )


def _score(
    job: Job,
    run: _Run,
    store: zarr.Group,
    tell: Callable[[str, int, int], None],
    say: Callable[[str], None],
    writer: ThreadPoolExecutor,
) -> None:
    """Compute the chunks of a model that are to be done. The model joins the store with the first of them."""
    lm, options = job.lm.name, run.options
    settings, bounds, states = job.settings(options.dtype), stores.chunk_bounds(store), stores.model_states(store, lm)
    mine = np.array_split(np.arange(len(states)), options.part[1])[options.part[0]]
    todo = mine[states[mine] != stores.WHOLE]
    done, total = 0, int(np.diff(bounds)[todo].sum())
    chosen = 0

    def settle(shapes: Shapes, batch: int) -> None:
        nonlocal chosen
        chosen = batch if options.batch is None and batch != batch_size.PLAIN else 0
        windows = f"{shapes.height(job.context)} windows of {job.context}"
        say(f"{lm}: {total:,} tokens to score in batches of {batch:,} on each device ({windows})")

    def write(chunk: int, losses: np.ndarray) -> None:
        stores.write_chunk(store, lm, chunk, losses, run.text, settings, chosen)

    tell(lm, done, total)
    found = run.losses(job, bounds, todo, stores.kept_batch(store, lm), settle)
    try:
        for size in _store(writer, write, found):
            done += size
            tell(lm, done, total)
    except Exception as error:
        run.meeting.finish(error, found)
        raise


def _store(
    writer: ThreadPoolExecutor,
    write: Callable[[int, np.ndarray], None],
    found: Iterator[tuple[int, np.ndarray]],
) -> Iterator[int]:
    """Write chunks in another thread while the next ones are computed; yield the number of tokens of each."""
    waiting: deque[tuple[Future[None], int]] = deque()
    for chunk, losses in found:
        waiting.append((writer.submit(write, chunk, losses), len(losses)))
        while waiting and (len(waiting) > _BEHIND or waiting[0][0].done()):
            future, size = waiting.popleft()
            future.result()
            yield size
    for future, size in waiting:
        future.result()
        yield size


def _follow(jobs: Sequence[Job], run: _Run) -> None:
    """Compute together with the first process, which is the only one that knows the store."""
    units = len(run.text.units)
    bounds = np.append(np.arange(0, units, int(run.meeting.agree(0))), units)
    for job in jobs:
        for _ in run.losses(job, bounds, np.array([], int), 0, lambda shapes, batch: None):
            pass
