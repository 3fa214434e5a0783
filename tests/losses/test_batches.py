"""Batches hold every window that a chunk needs, in few shapes, and nothing that depends on other chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from csvjax.losses.batches import Shapes, choose_shapes, cut_batches
from csvjax.losses.windows import list_windows, plan_windows

BOS = 0


@st.composite
def work(draw: st.DrawFn) -> tuple[list[np.ndarray], int, int, int | None, int, tuple]:
    lengths = draw(st.lists(st.integers(0, 300), max_size=5))
    ends = np.cumsum([0, *lengths])
    documents = [np.arange(1 + a, 1 + b, dtype=np.int32) for a, b in pairwise(ends)]
    context = draw(st.sampled_from([5, 64, 100, 200]))
    stride = draw(st.integers(max(1, context // 8), context))
    shorter = draw(st.sampled_from([(), (3,), (2, 4)] if context == 5 else [(), (40,), (16, 32)]))
    sizes = context, draw(st.sampled_from([1, 300, 1000])), draw(st.sampled_from([1, 3])), shorter
    return documents, context, stride, draw(st.sampled_from([BOS, None])), draw(st.integers(1, 400)), sizes


@settings(max_examples=40)
@given(work())
def test_each_unit_is_scored_once_by_the_window_that_is_meant_to(given_work: tuple) -> None:
    documents, context, stride, bos, chunk, sizes = given_work
    shapes = Shapes(*sizes)
    table, count = list_windows([len(d) for d in documents], context, stride, bos is not None)
    wanted = plan_windows(documents, context, stride, bos)
    target, left = np.zeros(count, int), np.zeros(count, int)
    target[wanted.unit[wanted.scored]] = wanted.targets[wanted.scored]
    left[wanted.unit[wanted.scored]] = np.nonzero(wanted.scored)[1]
    for start in range(0, count, chunk):
        bounds = start, min(start + chunk, count)
        found, place = np.full(bounds[1] - start, -1.0), np.full(bounds[1] - start, -1.0)
        for batch in cut_batches(documents, table, bos, bounds, shapes):
            assert batch.tokens.shape[1] in shapes.lengths
            assert batch.tokens.shape[0] == shapes.height(batch.tokens.shape[1])
            assert batch.tokens.shape[0] % shapes.rows == 0
            for _, first, end, at in batch.rows.tolist():
                assert (found[at : at + end - first] == -1).all()
            batch.scatter(batch.targets, found)
            batch.scatter(np.broadcast_to(np.arange(batch.tokens.shape[1]), batch.tokens.shape), place)
            # The token before a target in its document is the input at its place.
            for row, first, end, _ in batch.rows.tolist():
                inputs, targets = batch.tokens[row, first:end], batch.targets[row, first:end]
                assert all(t == i + 1 or i == BOS for i, t in zip(inputs, targets, strict=True))
        np.testing.assert_array_equal(found, target[slice(*bounds)])
        np.testing.assert_array_equal(place, left[slice(*bounds)])


@settings(max_examples=40)
@given(work())
def test_at_most_one_batch_of_a_chunk_has_empty_rows(given_work: tuple) -> None:
    documents, context, stride, bos, _, sizes = given_work
    shapes = Shapes(*sizes)
    table, count = list_windows([len(d) for d in documents], context, stride, bos is not None)
    batches = list(cut_batches(documents, table, bos, (0, count), shapes))
    assert sum(len(batch.rows) < len(batch.tokens) for batch in batches) <= 1
    assert sum(len(batch.rows) for batch in batches) == len(table)


def test_a_length_has_its_own_program_only_where_that_saves_padding() -> None:
    many, few = np.full(5000, 60), np.full(10, 60)
    full = np.full(100, 1024)
    assert choose_shapes(full, 1024, 2048).lengths == (1024,)
    assert choose_shapes(np.concatenate([full, few]), 1024, 2048).lengths == (1024,)
    assert choose_shapes(np.concatenate([full, many]), 1024, 2048).lengths[0] == 64
    assert choose_shapes(np.concatenate([full, many]), 1024, 2**20).lengths == (1024,)
