"""Accuracy of a language model on the ladder's tasks: the choice of the highest summed log-likelihood wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Int
from tokenizers import Tokenizer

from csvjax.errors import InputError
from csvjax.ladder.corpus import END_OF_TEXT
from csvjax.ladder.tasks import Task
from csvjax.losses.nll import LanguageModel, blocked_nll

__all__ = ["EncodedTasks", "encode_tasks", "score_tasks"]

TOKENS = 4096  # tokens of a batch: enough to keep the matrix products busy, few enough for the caches


@dataclass(frozen=True)
class Bucket:
    """Batches of one shape. Row r of batch i predicts `target[i, r, p]` from the state at `position[i, r, p]`."""

    tokens: Int[np.ndarray, "batch row token"]
    position: Int[np.ndarray, "batch row point"]
    target: Int[np.ndarray, "batch row point"]
    choice: Int[np.ndarray, "batch row point"]  # index among all choices of all items; -1 is padding


@dataclass(frozen=True)
class EncodedTasks:
    """All choices of all items, encoded once for every model. `first[i]` is item i's first choice."""

    names: tuple[str, ...]
    task: Int[np.ndarray, " item"]
    first: Int[np.ndarray, " item"]
    answer: Int[np.ndarray, " item"]
    choices: int
    buckets: tuple[Bucket, ...]


Row = tuple[list[int], list[tuple[int, int, int]]]  # input tokens; (position, target, choice)


def encode_tasks(tasks: Sequence[Task], tokenizer: Tokenizer, context: int) -> EncodedTasks:
    """End-of-text, context and choice of every item as tokens; at most `context` of them, the context's first ones go.

    Choices that differ in their last token only share one row, as the last token is never read.
    Raises InputError where a choice alone is too long.
    """
    end = tokenizer.encode(END_OF_TEXT).ids[0]
    rows: dict[tuple[int, ...], Row] = {}
    items = [(t, item) for t, task in enumerate(tasks) for item in task.items]
    before = tokenizer.encode_batch([item.context for _, item in items])
    after = iter(tokenizer.encode_batch([choice for _, item in items for choice in item.choices]))
    first, choice = [], 0
    for (t, item), head in zip(items, before, strict=True):
        first.append(choice)
        endings = [next(after).ids for _ in item.choices]
        room = context - max(map(len, endings))
        if room < 0:
            raise InputError(
                f"expected choices of at most {context} tokens in task {tasks[t].name}, found {max(map(len, endings))}"
            )
        start = [end, *head.ids[max(0, len(head.ids) - room) :]]
        for ending in endings:
            inputs = start + ending[:-1]
            _, points = rows.setdefault(tuple(inputs), (inputs, []))
            points += [(len(start) - 1 + i, target, choice) for i, target in enumerate(ending)]
            choice += 1
    return EncodedTasks(
        tuple(task.name for task in tasks),
        np.array([t for t, _ in items]),
        np.array(first),
        np.array([item.answer for _, item in items]),
        choice,
        tuple(_buckets(list(rows.values()))),
    )


def _buckets(rows: Sequence[Row]) -> Iterator[Bucket]:
    """Rows with few points (8 at most) or many, and of nearly one length; each shape compiles once.

    What fills less than two batches joins the next longer rows.
    """
    for few in (True, False):
        shapes: dict[int, list[Row]] = {}
        for row in rows:
            if few == (len(row[1]) <= 8):
                shapes.setdefault(-(-len(row[0]) // 8) * 8, []).append(row)
        waiting: list[Row] = []
        for length in sorted(shapes):
            waiting += shapes[length]
            if len(waiting) * length > 2 * TOKENS or length == max(shapes):
                yield _bucket(waiting, length)
                waiting = []


def _bucket(rows: Sequence[Row], length: int) -> Bucket:
    batches = -(-len(rows) * length // TOKENS)
    size = -(-len(rows) // batches)
    points = max(len(p) for _, p in rows)
    tokens = np.zeros((batches * size, length), np.int32)
    table = np.zeros((batches * size, points, 3), np.int32)
    table[..., 2] = -1
    for r, (inputs, found) in enumerate(rows):
        tokens[r, : len(inputs)] = inputs
        table[r, : len(found)] = found
    position, target, choice = np.moveaxis(table.reshape(batches, size, points, 3), -1, 0)
    return Bucket(tokens.reshape(batches, size, length), position, target, choice)


@partial(jax.jit, static_argnames="graph")
def _points(graph: nnx.GraphDef, params: nnx.State, tokens: Array, position: Array, target: Array) -> Array:
    model = nnx.merge(graph, params)
    states = jnp.take_along_axis(model.hidden_states(tokens), position[..., None], axis=1)
    return blocked_nll(states.reshape(-1, states.shape[-1]), model.head, target.reshape(-1)).reshape(target.shape)


def score_tasks(model: LanguageModel, tasks: EncodedTasks) -> dict[str, float]:
    """Accuracy on each task, in [0, 1]: the share of items whose answer has the lowest loss of all choices."""
    loss = np.zeros(tasks.choices)
    graph, params = nnx.split(model)
    for bucket in tasks.buckets:
        for tokens, position, target, choice in zip(
            bucket.tokens, bucket.position, bucket.target, bucket.choice, strict=True
        ):
            found = np.asarray(_points(graph, params, tokens, position, target), np.float64)
            np.add.at(loss, choice[choice >= 0], found[choice >= 0])
    right = _right(loss, tasks)
    return {name: float(right[tasks.task == t].mean()) for t, name in enumerate(tasks.names)}


def _right(loss: np.ndarray, tasks: EncodedTasks) -> Bool[np.ndarray, " item"]:
    counts = np.diff(np.append(tasks.first, tasks.choices))
    best = [int(np.argmin(loss[f : f + n])) for f, n in zip(tasks.first, counts, strict=True)]
    return np.asarray(best) == tasks.answer
