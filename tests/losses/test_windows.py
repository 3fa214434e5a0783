"""Windows: every token scored once, at its place, with as much context as the stride promises."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvjax.errors import InputError
from csvjax.losses.windows import plan_windows

BOS = 0


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[list[int]], int, int, int | None]:
    """Documents of distinct tokens from 1 on, a context, a stride, and a beginning or none."""
    lengths = draw(st.lists(st.integers(0, 40), max_size=4))
    ends = np.cumsum([0, *lengths])
    documents = [list(range(1 + a, 1 + b)) for a, b in pairwise(ends)]
    context = draw(st.integers(1, 17))
    return documents, context, draw(st.integers(1, context)), draw(st.sampled_from([BOS, None]))


@given(plans())
def test_each_token_is_scored_once_after_its_own_past(plan: tuple[list[list[int]], int, int, int | None]) -> None:
    documents, context, stride, bos = plan
    windows = plan_windows(documents, context, stride, bos)
    units = [(i, token) for document in documents for i, token in enumerate(document) if i or bos is not None]
    assert windows.count == len(units)
    assert sorted(windows.unit[windows.scored]) == list(range(len(units)))
    before = {token: document[:i] for document in documents for i, token in enumerate(document)}
    for w, t in np.argwhere(windows.scored):
        _, token = units[windows.unit[w, t]]
        assert windows.targets[w, t] == token
        past = [*([] if bos is None else [bos]), *before[token]]
        assert list(windows.tokens[w, : t + 1]) == past[len(past) - t - 1 :]
        assert t + 1 >= min(len(past), context - stride + 1)
        if len(past) < context:
            assert t + 1 == len(past)
    assert windows.tokens.shape == windows.targets.shape == windows.unit.shape
    assert windows.tokens.shape[1] == context


@given(st.integers(0, 200), st.integers(1, 40))
def test_windows_start_a_stride_apart_and_the_last_ends_with_the_document(length: int, context: int) -> None:
    windows = plan_windows([np.arange(1, length + 1)], context, context, BOS)
    assert len(windows.tokens) == -(-length // context)
    if length >= context:
        assert windows.targets[-1, -1] == length


@pytest.mark.parametrize("stride", [0, -1, 9])
def test_a_stride_that_skips_tokens_is_refused(stride: int) -> None:
    with pytest.raises(InputError, match="stride from 1 to the context of 8"):
        plan_windows([[1, 2]], 8, stride)
