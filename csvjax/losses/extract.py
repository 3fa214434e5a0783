"""From text and language models to a store of losses: chunk by chunk, and whatever is there already is left alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from csvjax.errors import InputError
from csvjax.lms.checkpoint import Checkpoint
from csvjax.lms.devices import gather, make_mesh, place_batch, place_weights
from csvjax.lms.transformer import Transformer
from csvjax.losses import store as stores
from csvjax.losses.batches import Batch, Shapes, cut_batches
from csvjax.losses.nll import LanguageModel, scorer
from csvjax.losses.units import EncodedText, TextDocument, encode_text
from csvjax.losses.windows import list_windows

__all__ = ["Options", "Task", "chunk_losses", "extract", "plan"]

_AHEAD = 2  # batches that are on their way to the devices while one is computed
LONGEST = 4096  # tokens of a context, where none is asked for


@dataclass(frozen=True)
class Options:
    """How losses are extracted. `context`: tokens that a window holds; None: what the model was made for, 4096 at most.

    `stride`: tokens from one window to the next; None: half the context. `first`: "bos" to score the first token of a
    document after the tokenizer's beginning of text, "unscored" to leave it out. `dtype`: of the weights. `batch`:
    tokens of a batch, on each device along the data axis. `chunk`: tokens of a chunk of a new store. `model`: devices
    that each model is spread over. `part`: (i, n) to compute every n-th chunk from the i-th on, for side by side work.
    """

    context: int | None = None
    stride: int | None = None
    first: str = "bos"
    dtype: str = "float32"
    batch: int = 2048
    chunk: int = stores.CHUNK
    model: int = 1
    part: tuple[int, int] = (0, 1)


@dataclass(frozen=True, eq=False)
class Task:
    """A model and the windows that it reads. `first`: the token before each document, None where none is."""

    lm: Checkpoint
    context: int
    stride: int
    first: int | None
    windows: np.ndarray

    def settings(self, dtype: str) -> dict[str, Any]:
        """What the losses depend on, for the store."""
        return {
            "family": self.lm.shape.family,
            "params": self.lm.shape.params,
            "weights": self.lm.fingerprint,
            "dtype": dtype,
            "context": self.context,
            "stride": self.stride,
            "first": self.first,
        }


def plan(
    lms: Sequence[Checkpoint], documents: Sequence[TextDocument], options: Options
) -> tuple[EncodedText, tuple[Task, ...]]:
    """The text as tokens, and what each model has to do.

    Raises: InputError for models with different tokenizers, a context that a model does not have, a tokenizer that has
    no token to begin with or more tokens than its model, and text without tokens.
    """
    if options.first not in ("bos", "unscored"):
        raise InputError(f"expected the first token to be 'bos' or 'unscored', found {options.first!r}; choose one")
    definition = lms[0].tokenizer.to_str()
    for lm in lms[1:]:
        if lm.tokenizer.to_str() != definition:
            raise InputError(
                f"expected models with one tokenizer in a store, found another in {lm.name!r} than in {lms[0].name!r}; "
                "give each tokenizer a store, and bring the stores together with csvjax losses join"
            )
    text = encode_text(documents, lms[0].tokenizer, options.first == "bos")
    if not len(text.units):
        raise InputError("expected text with tokens to score, found none; give files with more text")
    return text, tuple(_task(lm, text, options) for lm in lms)


def _task(lm: Checkpoint, text: EncodedText, options: Options) -> Task:
    longest = lm.shape.context
    context = min(longest, LONGEST) if options.context is None else options.context
    if not 1 <= context <= longest:
        raise InputError(
            f"expected a context from 1 to the {longest} tokens that {lm.name!r} was made for, found {context}; "
            "choose a shorter one"
        )
    if options.first == "bos" and lm.first is None:
        raise InputError(
            f"expected a token that begins or ends a text in the tokenizer of {lm.name!r}, found none; "
            "choose --first unscored"
        )
    largest = max([int(ids.max(initial=0)) for ids in text.ids] + [lm.first or 0])
    if largest >= lm.shape.vocabulary:  # else JAX would read another token's embedding
        raise InputError(
            f"expected tokens below {lm.shape.vocabulary}, the vocabulary of {lm.name!r}, found {largest}; its "
            "tokenizer is of another model"
        )
    stride = max(1, context // 2) if options.stride is None else options.stride
    windows, _ = list_windows([len(ids) for ids in text.ids], context, stride, options.first == "bos")
    return Task(lm, context, stride, lm.first if options.first == "bos" else None, windows)


Score = Callable[[np.ndarray, np.ndarray], Array]


def _scorer(model: LanguageModel, mesh: Mesh) -> Score:
    place, score = place_batch(mesh), scorer(model)
    return lambda tokens, targets: score(place(tokens), place(targets))


def chunk_losses(
    score: Score, batches: Sequence[tuple[int, int, Iterator[Batch]]]
) -> Iterator[tuple[int, Float[np.ndarray, " token"]]]:
    """The losses of each chunk, given as (its number, its tokens, its batches), in order.

    Batches are sent ahead, so the host prepares one and stores another while the devices compute.
    """
    waiting: deque[tuple[int, Batch | None, Any]] = deque()
    losses = {chunk: np.full(size, np.nan, np.float32) for chunk, size, _ in batches}

    def take() -> Iterator[tuple[int, np.ndarray]]:
        chunk, batch, found = waiting.popleft()
        if batch is None:
            yield chunk, losses.pop(chunk)
        else:
            batch.scatter(gather(found), losses[chunk])

    for chunk, _, parts in batches:
        for batch in parts:
            waiting.append((chunk, batch, score(batch.tokens, batch.targets)))
            while len(waiting) > _AHEAD:
                yield from take()
        waiting.append((chunk, None, None))
    while waiting:
        yield from take()


def extract(
    lms: Sequence[Checkpoint],
    documents: Sequence[TextDocument],
    path: Path,
    options: Options = Options(),
    tell: Callable[[str, int, int], None] = lambda lm, done, total: None,
) -> None:
    """Losses of each model on each token of the documents, in the store at `path`, which `read_losses` reads.

    What is there and whole is kept; chunks that are absent, or damaged, are computed. Processes of one
    `jax.distributed` call this together, and the first one writes. `tell`: called with a model, and its tokens that are
    done and all to do, at its beginning and after each chunk.
    Raises: InputError for what `plan` refuses, a store of something else, and a loss that is not finite.
    """
    text, tasks = plan(lms, documents, options)
    mesh, leads = make_mesh(options.model), jax.process_index() == 0
    names = [task.lm.name for task in tasks]
    if len(set(names)) < len(names):
        raise InputError(f"expected models with names of their own, found {names}; name them with --lm NAME=PATH")
    models = {task.lm.name: task.settings(options.dtype) for task in tasks}
    if not leads:
        _follow(tasks, text, options, mesh)
        return
    store = stores.open_store(path, models, text, options.first == "bos", options.chunk)
    with stores.working(path):
        states, bounds = stores.chunk_states(store), stores.chunk_bounds(store)
        _agreed(int(bounds[1]))
        rows = stores.attribute(store, "lms")
        mine = np.arange(states.shape[1]) % options.part[1] == options.part[0]
        for task in tasks:
            todo = np.flatnonzero(mine & (states[rows.index(task.lm.name)] != stores.WHOLE))
            done, total = 0, int(np.diff(bounds)[todo].sum())
            tell(task.lm.name, done, total)
            for chunk, losses in _run(task, text, options, mesh, bounds, todo):
                stores.write_chunk(store, task.lm.name, chunk, losses, text)
                done += len(losses)
                tell(task.lm.name, done, total)


def _run(
    task: Task, text: EncodedText, options: Options, mesh: Mesh, bounds: np.ndarray, todo: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    mask = np.zeros(len(bounds) - 1, bool)
    mask[todo] = True
    todo = np.flatnonzero(_agreed(mask))
    if not len(todo):
        return
    rows = mesh.shape["data"]
    shapes = Shapes(task.context, options.batch * rows, rows)
    model: Transformer = task.lm.load(jnp.dtype(options.dtype), place_weights(mesh))

    def batches(chunk: int) -> Iterator[Batch]:
        borders = int(bounds[chunk]), int(bounds[chunk + 1])
        return cut_batches(text.ids, task.windows, task.first, borders, shapes)

    work = [(int(c), int(bounds[c + 1] - bounds[c]), batches(int(c))) for c in todo]
    yield from chunk_losses(_scorer(model, mesh), work)


def _agreed(value: np.ndarray | int) -> np.ndarray:
    """What the first process says, on every process."""
    if jax.process_count() == 1:
        return np.asarray(value)
    from jax.experimental.multihost_utils import broadcast_one_to_all

    return np.asarray(broadcast_one_to_all(np.asarray(value)))


def _follow(tasks: Sequence[Task], text: EncodedText, options: Options, mesh: Mesh) -> None:
    """Compute along with the first process, which alone knows the store."""
    units = len(text.units)
    bounds = np.append(np.arange(0, units, int(_agreed(0))), units)
    for _ in chain.from_iterable(_run(t, text, options, mesh, bounds, np.array([], int)) for t in tasks):
        pass
