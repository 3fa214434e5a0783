"""From text and language models to a store of losses: chunk by chunk, and whatever is there already is left alone."""

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
from csvjax.losses.plan import Options, Task, bytes_needed, check, plan
from csvjax.losses.schedule import Group, Score, chunk_losses, group_chunks
from csvjax.losses.units import EncodedText, TextDocument
from csvjax.names import some

__all__ = ["Options", "Task", "extract", "plan"]

_BEHIND = 8  # chunks that wait to be stored, at most

Settle = Callable[[Shapes, int], None]


def extract(
    lms: Sequence[Checkpoint],
    documents: Sequence[TextDocument],
    path: Path,
    options: Options | None = None,
    tell: Callable[[str, int, int], None] = lambda lm, done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Losses of each model on each token of the documents, in the store at `path`, which `read_losses` reads.

    What is there and whole is kept; chunks that are absent, or damaged, are computed. Processes of one
    `jax.distributed` call this together, and the first one writes; where one of them fails, all raise. In one process
    an InputError of a model does not stop the others, and is raised at the end. `tell`: called with a model, and its
    tokens that are done and all to do, at its beginning and after each chunk. `say`: called with a line on a model's
    batches.
    Raises: InputError for what `plan` refuses, a store of something else, and a loss that is not finite.
    """
    options = options or Options()
    meeting = Meeting()
    with meeting.held(), ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        check(lms, options)
        names = [lm.name for lm in lms]
        if len(set(names)) < len(names):
            raise InputError(f"expected models with names of their own, found {names}; name them with --lm NAME=PATH")
        mesh = make_mesh(options.model)
        opened: dict[str, Future[Score]] = {}
        if not path.exists():  # all is to do, so the first weights are read while the text is prepared
            opened[names[0]] = reader.submit(_open, lms[0], options, mesh)
        text, tasks = plan(lms, documents, options)
        _compare(meeting, tasks, text, options)
        run = _Run(text, options, mesh, opened, meeting)
        if jax.process_index() == 0:
            _lead(tasks, run, path, tell, say, writer)
        else:
            _follow(tasks, run)


def _compare(meeting: Meeting, tasks: Sequence[Task], text: EncodedText, options: Options) -> None:
    """Processes that do not do the same would wait for each other."""
    said = [(task.lm.name, task.settings(options.dtype)) for task in tasks]
    mine = zlib.crc32(repr((said, text.corpus, text.tokenizer, options)).encode()) % (1 << 31)
    if int(meeting.agree(mine)) != mine:
        raise InputError(
            f"expected the models, the text and the options of the first process, found others in process "
            f"{jax.process_index()}; start every process with the same --lm, --text and options"
        )


class _Run:
    """What the models of one call share. `opened`: weights that are being read."""

    def __init__(
        self, text: EncodedText, options: Options, mesh: Mesh, opened: dict[str, Future[Score]], meeting: Meeting
    ):
        self.text, self.options, self.mesh, self.opened, self.meeting = text, options, mesh, opened, meeting

    def losses(
        self, task: Task, bounds: np.ndarray, todo: np.ndarray, batch: int, settle: Settle
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(chunk, losses) of the chunks to do. `batch`: that of a run before, or 0."""
        mask = np.zeros(len(bounds) - 1, bool)
        mask[todo] = True
        todo = np.flatnonzero(self.meeting.agree(mask))
        if not len(todo):
            return
        early = self.opened.pop(task.lm.name, None)
        score = _open(task.lm, self.options, self.mesh) if early is None else early.result()
        rows = self.mesh.shape["data"]
        batch = self.options.batch or int(self.meeting.agree(batch)) or self._choose_batch(task, rows, score)
        shapes = choose_shapes(task.windows[:, 2], task.context, batch * rows, rows)
        settle(shapes, batch)
        yield from chunk_losses(score, self._work(task, group_chunks(bounds, todo, shapes.tokens), shapes))

    def _work(self, task: Task, groups: Sequence[Group], shapes: Shapes) -> Iterator[tuple[Group, Iterator[Batch]]]:
        for g in groups:
            self.meeting.meet()
            yield g, cut_batches(self.text.ids, task.windows, task.first, (g.start, g.end), shapes)

    def _choose_batch(self, task: Task, rows: int, score: Score) -> int:
        """Tokens of a batch on each device, the same on every process."""
        memory = self.options.memory
        needed = partial(bytes_needed, task.lm, self.options)

        def seconds(batch: int) -> float:
            height = Shapes(task.context, batch * rows, rows).height(task.context)
            tokens = np.zeros((height, task.context), np.int32)
            return float(self.meeting.agree(np.asarray(batch_size.seconds_of(lambda: score(tokens, tokens)))))

        if jax.default_backend() == "cpu":
            return batch_size.fit_memory(batch_size.PLAIN, task.context, memory, needed)
        # At least eight batches, or a larger one is not worth its time to compile.
        largest = max(task.context, int(task.windows[:, 2].sum()) // (8 * rows))
        return batch_size.grow(seconds, batch_size.fit_memory(largest, task.context, memory, needed))


def _open(lm: Checkpoint, options: Options, mesh: Mesh) -> Score:
    """The losses of a batch, as a function, once the weights are read."""
    place, score = place_batch(mesh), scorer(lm.load(jnp.dtype(options.dtype), place_weights(mesh)))
    return lambda tokens, targets: score(place(tokens), place(targets))


def _lead(
    tasks: Sequence[Task],
    run: _Run,
    path: Path,
    tell: Callable[[str, int, int], None],
    say: Callable[[str], None],
    writer: ThreadPoolExecutor,
) -> None:
    options, text = run.options, run.text
    models = {task.lm.name: task.settings(options.dtype) for task in tasks}
    store = stores.open_store(path, models, text, options.first == "bos", options.chunk)
    failed: dict[str, InputError] = {}
    try:
        with stores.working(path):
            run.meeting.agree(int(stores.chunk_bounds(store)[1]))
            for task in tasks:
                try:
                    _score(task, run, store, tell, say, writer)
                except InputError as error:
                    if jax.process_count() > 1 or len(tasks) == 1:
                        raise
                    failed[task.lm.name] = error
                    say(f"{task.lm.name}: {error}; the other models go on")
    finally:
        stores.remove_empty(path)
    if failed:
        raise InputError(
            f"expected the losses of {len(tasks)} models, found none for some of the chunks of {some(failed)} "
            f"({next(iter(failed.values()))})"
        )


def _score(
    task: Task,
    run: _Run,
    store: zarr.Group,
    tell: Callable[[str, int, int], None],
    say: Callable[[str], None],
    writer: ThreadPoolExecutor,
) -> None:
    """The chunks of a model that are to be done, into the store, which the model joins with the first of them."""
    lm, options = task.lm.name, run.options
    settings, bounds, states = task.settings(options.dtype), stores.chunk_bounds(store), stores.model_states(store, lm)
    mine = np.array_split(np.arange(len(states)), options.part[1])[options.part[0]]
    todo = mine[states[mine] != stores.WHOLE]
    done, total = 0, int(np.diff(bounds)[todo].sum())
    chosen = 0

    def settle(shapes: Shapes, batch: int) -> None:
        nonlocal chosen
        chosen = batch if options.batch is None and batch != batch_size.PLAIN else 0
        windows = f"{shapes.height(task.context)} windows of {task.context}"
        say(f"{lm}: {total:,} tokens to score in batches of {batch:,} on each device ({windows})")

    def write(chunk: int, losses: np.ndarray) -> None:
        stores.write_chunk(store, lm, chunk, losses, run.text, settings, chosen)

    tell(lm, done, total)
    found = run.losses(task, bounds, todo, stores.kept_batch(store, lm), settle)
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
    """Write chunks in a thread of its own, while the next ones are computed; the tokens of each that is written."""
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


def _follow(tasks: Sequence[Task], run: _Run) -> None:
    """Compute along with the first process, which alone knows the store."""
    units = len(run.text.units)
    bounds = np.append(np.arange(0, units, int(run.meeting.agree(0))), units)
    for task in tasks:
        for _ in run.losses(task, bounds, np.array([], int), 0, lambda shapes, batch: None):
            pass
