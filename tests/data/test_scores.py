from collections.abc import Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError

SMALL: dict[str, Any] = {
    "lms": ("a", "b"),
    "benchmarks": ("x", "y", "z"),
    "score": np.array([[0, 0.5, 1], [np.nan] * 3]),
}


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    """Up to five models and four benchmarks, or none, with any names and any cells missing."""
    name = st.text(min_size=1, max_size=8)
    lms = tuple(draw(st.lists(name, max_size=5, unique=True)))
    benchmarks = tuple(draw(st.lists(name, max_size=4, unique=True)))
    cell = st.floats(0, 1) | st.just(np.nan)
    score = draw(arrays(np.float64, (len(lms), len(benchmarks)), elements=cell))
    return {"lms": lms, "benchmarks": benchmarks, "score": score}


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the shapes that tests check before the table itself can."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def test_without_more_floor_ceiling_and_items_are_unknown() -> None:
    table = ScoreTable(**SMALL)
    np.testing.assert_array_equal(table.floor, np.full(3, np.nan))
    assert np.isnan(table.ceiling).all()
    assert np.isnan(table.n_items).all()
    unknown = ScoreTable(**SMALL, floor=np.array([np.nan, 0, 0.25]))
    np.testing.assert_array_equal(unknown.floor, [np.nan, 0, 0.25])


def test_the_table_keeps_its_own_read_only_copy() -> None:
    score = SMALL["score"].copy()
    table = ScoreTable(("a", "b"), ("x", "y", "z"), score)
    score[0, 0] = 0.25
    assert table.score[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        table.score[0, 0] = 0.25


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"score": np.array([[0, 0.5, 43.2], [0, 0, 0]])}, "found 43.2 for lm 'a' on benchmark 'z'"),
        ({"score": np.array([[0, 0, 0], [0, -0.1, 0]])}, "found -0.1 for lm 'b' on benchmark 'y'"),
        ({"score": np.array([[0, 0, 0], [0, np.inf, 0]])}, "found inf for lm 'b' on benchmark 'y'"),
        ({"score": np.zeros((3, 2))}, r"score \[lm, benchmark\] of shape \(2, 3\), found \(3, 2\)"),
        ({"lms": ("a", "a")}, "each lm once, found 'a' as number 1 and number 2"),
        ({"benchmarks": ("x", "y", "x")}, "each benchmark once, found 'x' as number 1 and number 3"),
        ({"benchmarks": ("x", "", "y")}, "name of benchmark number 2, found ''"),
        ({"n_items": np.array([1.0, 2.0])}, r"n_items \[benchmark\] of shape \(3,\), found \(2,\)"),
        ({"n_items": np.array([1, 0.5, 1])}, "at least 1 test item, found 0.5 for benchmark 'y'"),
        ({"floor": np.array([0, 0, 1.0])}, "floor 1 and ceiling 1 for benchmark 'z'"),
        ({"floor": np.array([0, 0, 0.5]), "ceiling": np.array([1, 1, 0.4])}, "floor 0.5 and ceiling 0.4"),
        ({"floor": np.array([0, 0.5, 0]), "ceiling": np.array([1, np.inf, 1])}, "ceiling inf for benchmark 'y'"),
        ({"ceiling": np.array([1, 1, 1.1])}, "ceiling 1.1 for benchmark 'z'"),
    ],
)
def test_a_wrong_table_is_refused_with_the_cell_or_name_at_fault(
    unchecked: None, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        ScoreTable(**{**SMALL, **change})


def test_select_reorders_every_part_and_knows_the_nearest_name() -> None:
    table = ScoreTable(**SMALL, n_items=np.array([10.0, 20, 30]), floor=np.array([0, 0.25, 0.5]))
    part = table.select(lms=["b", "a"], benchmarks=["z", "y"])
    np.testing.assert_array_equal(part.score, [[np.nan, np.nan], [1, 0.5]])
    np.testing.assert_array_equal(part.n_items, [30, 20])
    np.testing.assert_array_equal(part.floor, [0.5, 0.25])
    with pytest.raises(InputError, match="no benchmark named 'Y': the nearest is 'y'"):
        table.select(benchmarks=["Y"])
    with pytest.raises(InputError, match="each lm once"):
        table.select(lms=["a", "a"])
    with pytest.raises(InputError, match=r"write \['a'\]"):
        table.select(lms="a")


@given(parts(), st.randoms())
def test_selecting_in_another_order_and_back_changes_nothing(some: dict[str, Any], random: Any) -> None:
    table = ScoreTable(**some)
    lms, benchmarks = list(table.lms), list(table.benchmarks)
    random.shuffle(lms)
    random.shuffle(benchmarks)
    there = table.select(lms=lms, benchmarks=benchmarks)
    back = there.select(lms=table.lms, benchmarks=table.benchmarks)
    np.testing.assert_array_equal(back.score, table.score)
    for m, lm in enumerate(lms):
        for b, benchmark in enumerate(benchmarks):
            was = table.score[table.lms.index(lm), table.benchmarks.index(benchmark)]
            np.testing.assert_array_equal(there.score[m, b], was)


@given(parts())
def test_the_frame_has_the_names_and_the_cells(some: dict[str, Any]) -> None:
    table = ScoreTable(**some)
    frame = table.to_frame()
    assert (tuple(frame.index), tuple(frame.columns), frame.index.name) == (table.lms, table.benchmarks, "lm")
    np.testing.assert_array_equal(frame.to_numpy(float), table.score)
