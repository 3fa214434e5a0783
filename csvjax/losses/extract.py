"""From text and language models to a store of losses: chunk by chunk, and whatever is there already is left alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from csvjax.errors import InputError
from csvjax.lms.checkpoint import Checkpoint
from csvjax.lms.devices import make_mesh, place_batch, place_weights
from csvjax.losses import batch_size
from csvjax.losses import store as stores
from csvjax.losses.batches import Shapes, choose_shapes, cut_batches
from csvjax.losses.nll import scorer
from csvjax.losses.plan import Options, Task, bytes_needed, check, plan
from csvjax.losses.schedule import Score, chunk_losses, group_chunks
from csvjax.losses.units import EncodedText, TextDocument

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
    `jax.distributed` call this together, and the first one writes. `tell`: called with a model, and its tokens that are
    done and all to do, at its beginning and after each chunk. `say`: called with a line on a model's batches.
    Raises: InputError for what `plan` refuses, a store of something else, and a loss that is not finite.
    """
    options = options or Options()
    check(lms, options)
    names = [lm.name for lm in lms]
    if len(set(names)) < len(names):
        raise InputError(f"expected models with names of their own, found {names}; name them with --lm NAME=PATH")
    mesh = make_mesh(options.model)
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        opened: dict[str, Future[Score]] = {}
        if not path.exists():  # all is to do, so the first weights are read while the text is prepared
            opened[names[0]] = reader.submit(_open, lms[0], options, mesh)
        text, tasks = plan(lms, documents, options)
        run = _Run(text, options, mesh, opened)
        if jax.process_index() == 0:
            _lead(tasks, run, path, tell, say, writer)
        else:
            _follow(tasks, run)


class _Run:
    """What the models of one call share. `opened`: weights that are being read."""

    def __init__(self, text: EncodedText, options: Options, mesh: Mesh, opened: dict[str, Future[Score]]):
        self.text, self.options, self.mesh, self.opened = text, options, mesh, opened

    def losses(
        self, task: Task, bounds: np.ndarray, todo: np.ndarray, batch: int, settle: Settle
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(chunk, losses) of the chunks to do. `batch`: that of a run before, or 0."""
        mask = np.zeros(len(bounds) - 1, bool)
        mask[todo] = True
        todo = np.flatnonzero(_agreed(mask))
        if not len(todo):
            return
        early = self.opened.pop(task.lm.name, None)
        score = _open(task.lm, self.options, self.mesh) if early is None else early.result()
        rows = self.mesh.shape["data"]
        batch = self.options.batch or int(_agreed(batch)) or _choose_batch(task, self.options, rows, score)
        shapes = choose_shapes(task.windows[:, 2], task.context, batch * rows, rows)
        settle(shapes, batch)
        groups = group_chunks(bounds, todo, shapes.tokens)
        work = ((g, cut_batches(self.text.ids, task.windows, task.first, (g.start, g.end), shapes)) for g in groups)
        yield from chunk_losses(score, work)


def _open(lm: Checkpoint, options: Options, mesh: Mesh) -> Score:
    """The losses of a batch, as a function, once the weights are read."""
    place, score = place_batch(mesh), scorer(lm.load(jnp.dtype(options.dtype), place_weights(mesh)))
    return lambda tokens, targets: score(place(tokens), place(targets))


def _choose_batch(task: Task, options: Options, rows: int, score: Score) -> int:
    """Tokens of a batch on each device, the same on every process."""
    needed = partial(bytes_needed, task.lm, options)

    def seconds(batch: int) -> float:
        tokens = np.zeros((Shapes(task.context, batch * rows, rows).height(task.context), task.context), np.int32)
        return float(_agreed(np.asarray(batch_size.seconds_of(lambda: score(tokens, tokens)))))

    if jax.default_backend() == "cpu":
        return batch_size.fit_memory(batch_size.PLAIN, task.context, options.memory, needed)
    # At least eight batches, or a larger one is not worth its time to compile.
    largest = max(task.context, int(task.windows[:, 2].sum()) // (8 * rows))
    return batch_size.grow(seconds, batch_size.fit_memory(largest, task.context, options.memory, needed))


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
    with stores.working(path):
        states, bounds = stores.chunk_states(store), stores.chunk_bounds(store)
        _agreed(int(bounds[1]))
        rows = stores.attribute(store, "lms")
        mine = np.array_split(np.arange(states.shape[1]), options.part[1])[options.part[0]]
        for task in tasks:
            lm = task.lm.name
            todo = mine[states[rows.index(lm), mine] != stores.WHOLE]
            done, total = 0, int(np.diff(bounds)[todo].sum())

            def settle(shapes: Shapes, batch: int, task: Task = task, total: int = total) -> None:
                if options.batch is None and batch != batch_size.PLAIN:
                    stores.keep_batch(store, task.lm.name, batch)
                windows = f"{shapes.height(task.context)} windows of {task.context}"
                say(f"{task.lm.name}: {total:,} tokens to score in batches of {batch:,} on each device ({windows})")

            def write(chunk: int, losses: np.ndarray, lm: str = lm) -> None:
                stores.write_chunk(store, lm, chunk, losses, text)

            tell(lm, done, total)
            for size in _store(writer, write, run.losses(task, bounds, todo, stores.kept_batch(store, lm), settle)):
                done += size
                tell(lm, done, total)


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
    bounds = np.append(np.arange(0, units, int(_agreed(0))), units)
    for task in tasks:
        for _ in run.losses(task, bounds, np.array([], int), 0, lambda shapes, batch: None):
            pass


def _agreed(value: np.ndarray | int) -> np.ndarray:
    """What the first process says, on every process."""
    if jax.process_count() == 1:
        return np.asarray(value)
    from jax.experimental.multihost_utils import broadcast_one_to_all

    return np.asarray(broadcast_one_to_all(np.asarray(value)))
