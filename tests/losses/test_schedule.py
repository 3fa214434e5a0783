"""Batches are full whatever the chunk is, and a chunk that is computed again is in the batches that it was in."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.losses.batches import Batch, Shapes, choose_shapes, cut_batches
from csvjax.losses.schedule import Group, chunk_losses, group_chunks
from csvjax.losses.windows import list_windows

CONTEXT, STRIDE = 64, 32


def corpus(tokens: int, longest: int = 1500) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    lengths: list[int] = []
    while sum(lengths) < tokens:
        lengths.append(int(rng.integers(1, longest)))
    return [rng.integers(0, 1000, n).astype(np.int32) for n in lengths]


def work(
    documents: list[np.ndarray], chunk: int, batch: int, todo: np.ndarray | None = None
) -> Iterator[tuple[Group, Iterator[Batch]]]:
    windows, count = list_windows([len(d) for d in documents], CONTEXT, STRIDE)
    bounds = np.append(np.arange(0, count, chunk), count)
    shapes = choose_shapes(windows[:, 2], CONTEXT, batch)
    todo = np.arange(len(bounds) - 1) if todo is None else todo
    for group in group_chunks(bounds, todo, batch):
        yield group, cut_batches(documents, windows, 0, (group.start, group.end), shapes)


@pytest.mark.parametrize("chunk", [100, 1024, 4096, 100_000])
def test_rows_of_batches_are_full_whatever_the_chunk_is(chunk: int) -> None:
    documents = corpus(400_000)
    batches = [batch for _, part in work(documents, chunk, 4096) for batch in part]
    full = sum(len(batch.rows) for batch in batches) / sum(len(batch.tokens) for batch in batches)
    assert full >= 0.97


def score(tokens: np.ndarray, targets: np.ndarray) -> jax.Array:
    """Something that tells whether a row is where it was, and with whom."""
    return jnp.asarray(targets + np.arange(len(tokens))[:, None] / 100 + tokens.sum() % 97 / 1000, jnp.float32)


@pytest.mark.parametrize("chunk", [100, 700, 4096])
def test_a_chunk_does_not_depend_on_which_others_are_done(chunk: int) -> None:
    documents = corpus(20_000)
    whole = dict(chunk_losses(score, work(documents, chunk, 512)))
    assert sum(map(len, whole.values())) == sum(map(len, documents))
    assert all(np.isfinite(losses).all() for losses in whole.values())
    rng = np.random.default_rng(1)
    for _ in range(5):
        todo = np.flatnonzero(rng.random(len(whole)) < 0.3)
        again = dict(chunk_losses(score, work(documents, chunk, 512, todo)))
        assert sorted(again) == todo.tolist()
        for number, losses in again.items():
            assert losses.tobytes() == whole[number].tobytes()


def test_a_resumed_group_computes_only_batches_that_it_needs() -> None:
    documents = corpus(20_000)
    seen: list[int] = []

    def counted(tokens: np.ndarray, targets: np.ndarray) -> jax.Array:
        seen.append(1)
        return score(tokens, targets)

    dict(chunk_losses(counted, work(documents, 500, 512)))
    everything = len(seen)
    seen.clear()
    dict(chunk_losses(counted, work(documents, 500, 512, np.array([3]))))
    assert len(seen) < everything / 5


def test_chunks_come_before_their_group_is_done() -> None:
    documents = [np.arange(20_000, dtype=np.int32) % 1000]
    drawn: list[int] = []

    def noted(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            drawn.append(1)
            yield batch

    parts = ((group, noted(batches)) for group, batches in work(documents, 500, 512))
    results = chunk_losses(score, parts)
    next(results)
    assert len(drawn) <= 6  # 500 tokens are 16 windows in 2 or 3 batches, and 2 are ahead
    results.close()


def test_shapes_of_a_text_are_few() -> None:
    windows, _ = list_windows([len(d) for d in corpus(400_000)], CONTEXT, STRIDE)
    assert choose_shapes(windows[:, 2], CONTEXT, 4096) == Shapes(CONTEXT, 4096)
