import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvjax.data.numerals import looks_numeric, parse, vote


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,300", "2,700.5"], [1300, 2700.5]),
        (["1.300,5", "350"], [1300.5, 350]),
        (["1,300,000", "350"], [1.3e6, 350]),
        (["1.300.000", "2"], [1.3e6, 2]),
        (["0,5", "0,25"], [0.5, 0.25]),
        (["0.400", "0.450"], [0.4, 0.45]),
        (["3.195", "2.881"], [3.195, 2.881]),
        (["45.1%", "50 %", "-"], [45.1, 50, math.nan]),
        (["1 300", "20\u202f000", "7'000"], [1300, 20000, 7000]),
        (["\u22120.5", "N/A", "", "1e-3"], [-0.5, math.nan, math.nan, 1e-3]),
        ([".5", "5."], [0.5, 5]),
    ],
)
def test_marks_of_a_column_are_read_in_one_way(cells: list[str], values: list[float]) -> None:
    found = parse(cells)
    assert (found.wrong, found.doubtful) == (None, None)
    np.testing.assert_array_equal(found.values, values)


def test_percent_signs_are_told() -> None:
    assert parse(["45%", "50"]).percent
    assert not parse(["45", "50"]).percent


@pytest.mark.parametrize(
    ("cells", "point", "comma"),
    [(["350", "1,300"], [350, 1300], [350, 1.3]), (["350", "1.300"], [350, 1.3], [350, 1300])],
)
def test_two_readings_are_doubtful_until_the_decimal_mark_is_known(
    cells: list[str], point: list[float], comma: list[float]
) -> None:
    assert parse(cells).doubtful == cells[1]
    np.testing.assert_allclose(parse(cells, ".").values, point)
    np.testing.assert_allclose(parse(cells, ",").values, comma)
    assert parse(cells, ".").doubtful is None


@pytest.mark.parametrize(
    ("cells", "wrong"), [(["0.5", "bad"], 1), (["0.5 (0.1)"], 0), (["1_0"], 0), (["1,30,0"], 0), (["7B"], 0)]
)
def test_what_is_no_number_is_named(cells: list[str], wrong: int) -> None:
    assert parse(cells).wrong == wrong


def test_a_column_votes_only_if_one_mark_alone_explains_it() -> None:
    assert vote(["0.5", "1"]) == "."
    assert vote(["0,5", "NA"]) == ","
    assert vote(["1,300"]) is None
    assert vote(["1", "2"]) is None
    assert vote(["text", "0.5"]) is None


def test_most_of_the_cells_decide_whether_a_column_is_meant_as_numbers() -> None:
    assert looks_numeric(["0.5", "bad", "1"])
    assert looks_numeric(["0.4 (0.1)", ""])
    assert not looks_numeric(["a1", "7b", "12"])
    assert not looks_numeric(["", "NA"])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_what_python_writes_is_read_to_the_last_bit(values: list[float]) -> None:
    found = parse([repr(value) for value in values], ".")
    np.testing.assert_array_equal(found.values, values)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_any_text_is_read_or_named(cells: list[str]) -> None:
    found = parse(cells)
    assert len(found.values) == len(cells)
    assert found.wrong is None or 0 <= found.wrong < len(cells)


@pytest.mark.parametrize(
    ("cell", "value", "percent"),
    [
        ("30.1 ± 1.3", 30.1, False),
        ("0.301±0.013", 0.301, False),
        ("30.1% +/- 1.3%", 30.1, True),
        ("30.1 (±1.3)", 30.1, False),
        ("86.4*", 86.4, False),
        ("86.4 †", 86.4, False),
    ],
)
def test_what_stands_behind_a_number_is_left_out(cell: str, value: float, percent: bool) -> None:
    found = parse([cell, "12.5"])
    assert (found.values.tolist(), found.percent, found.wrong, found.behind) == ([value, 12.5], percent, None, True)


def test_an_exponent_is_no_uncertainty() -> None:
    found = parse(["1e+3", "2 000"])
    assert (found.values.tolist(), found.behind) == ([1000.0, 2000.0], False)
