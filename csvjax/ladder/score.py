"""Accuracy of a language model on the tasks of the ladder; it answers with the most likely choice."""

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

TOKENS = 4096  # tokens in a batch: enough for efficient products, few enough for the caches


@dataclass(frozen=True)
class Bucket:
    """Batches of the same shape. Row r of batch i predicts `target[i, r, p]` from the state at `position[i, r, p]`."""

    tokens: Int[np.ndarray, "batch row token"]
    position: Int[np.ndarray, "batch row point"]
    target: Int[np.ndarray, "batch row point"]
    choice: Int[np.ndarray, "batch row point"]  # index among all choices of all items; -1 is padding


@dataclass(frozen=True)
class EncodedTasks:
    """All choices of all items, encoded once for all models. `first[i]` is the first choice of item i."""

    names: tuple[str, ...]
    task: Int[np.ndarray, " item"]
    first: Int[np.ndarray, " item"]
    answer: Int[np.ndarray, " item"]
    choices: int
    buckets: tuple[Bucket, ...]


Row = tuple[list[int], list[tuple[int, int, int]]]  # input tokens; (position, target, choice)


def encode_tasks(tasks: Sequence[Task], tokenizer: Tokenizer, context: int) -> EncodedTasks:
    """Encode end-of-text, context and choice of every item; the start of a long context is cut to `context` tokens.

    Choices that differ only in their last token share one row, because the last token is not an input.

    Raises: InputError for a choice that is too long.
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
        left = context - max(map(len, endings))
        if left < 0:
            raise InputError(
                f"expected choices of at most {context} tokens in task {tasks[t].name}, found "
                f"{max(map(len, endings))}; shorten them"
            )
        start = [end, *head.ids[max(0, len(head.ids) - left) :]]
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
    """Group rows with few points (at most 8) or many, and with similar lengths; each shape is compiled once.

    Rows that fill less than two batches join the next longer rows.
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
    """Accuracy on each task: the share of items whose right choice has the lowest loss."""
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
