"""Which columns become benchmarks, which are told as ignored and why, and what the scores are worth."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from csvjax.data.evidence import about
from csvjax.data.read_scores import Reading, read_scores, read_tables
from csvjax.data.rules import ReadingRules, names_from
from csvjax.errors import InputError

RNG = np.random.default_rng(5)
N = 12
SKILL = np.linspace(-1.5, 1.5, N)


def board(**more: Any) -> pd.DataFrame:
    """Three benchmarks in percent, and columns that are none."""
    scores = {
        name: (100 / (1 + np.exp(shift - SKILL))).round(2) for name, shift in (("IFEval", 0), ("BBH", 0.4), ("Own", 1))
    }
    frame = pd.DataFrame({"Model": [f"m{i}" for i in range(N)], **scores})
    return frame.assign(**more)


def read(frame: pd.DataFrame, **rules: Any) -> Reading:
    return read_tables([frame], ReadingRules(**rules))


NO_BENCHMARKS: dict[str, tuple[Any, str]] = {
    "Rank": (list(range(1, N + 1)), "a rank"),
    "Average ⬆️": (board()[["IFEval", "BBH", "Own"]].mean(axis=1).round(2), "average"),
    "Total": (board()[["IFEval", "BBH", "Own"]].mean(axis=1).round(2), "the average of the other columns"),
    "Hub ❤️": (RNG.integers(0, 90, N), "likes"),
    "CO₂ cost (kg)": (RNG.uniform(1, 60, N), "its unit is kg"),
    "price": (RNG.uniform(1, 60, N), "a cost"),
    "latency (ms)": (RNG.uniform(1, 60, N), "its unit is ms"),
    "release year": ([2023] * N, "a date"),
    "Merged": ([True, False] * (N // 2), "a flag"),
    "is chat": ([1, 0] * (N // 2), "a flag"),
    "Arena Elo": (RNG.uniform(900, 1300, N), "a rating"),
    "loss|c4": (RNG.uniform(2, 4, N), "a loss"),
    "seed": (RNG.integers(0, 99, N), "a setting"),
    "hidden size": ([1024] * N, "a setting"),
    "weights on disk": (RNG.uniform(1e3, 1e4, N), "neither fractions nor percent"),
    "note": (["good"] * N, "text"),
    "nothing": ([None] * N, "blank"),
    "mmlu_stderr": (RNG.uniform(0.5, 1, N), "standard error, but not of another column"),
    "Own_std": (RNG.uniform(0.5, 1, N), "the spread of Own"),
    "Own lower": (RNG.uniform(0.5, 1, N), "an end of an interval of Own"),
    "Own,norm": (RNG.uniform(-1, 40, N), "rescaled by chance"),
    "Unnamed: 0": (list(range(N)), "only numbers the rows"),
}


@pytest.mark.parametrize("column", NO_BENCHMARKS)
def test_what_is_no_benchmark_is_told_with_the_reason(column: str) -> None:
    values, reason = NO_BENCHMARKS[column]
    found = read(board(**{column: values}))
    assert found.scores.benchmarks == ("IFEval", "BBH", "Own")
    assert reason in dict(found.described.ignored)[column]


@pytest.mark.parametrize("values", [list(range(3, 3 + 4 * N, 4)), [12, 24] * (N // 2)])
def test_whole_numbers_beside_fractions_are_no_scores(values: list[int]) -> None:
    frame = board()
    frame[["IFEval", "BBH", "Own"]] /= 100
    found = read(frame.assign(blocks=values))
    assert "blocks" not in found.scores.benchmarks
    assert "whole numbers" in dict(found.described.ignored)["blocks"]


@pytest.mark.parametrize(
    "name", ["bbh_date_understanding", "TimeQA", "MMLU (5-shot, acc)", "gsm8k_cost_acc", "StepGame acc", "MATH Lvl 5"]
)
def test_words_within_the_names_of_benchmarks_do_not_count(name: str) -> None:
    found = read(board(**{name: (100 / (1 + np.exp(0.3 - 0.5 * SKILL))).round(2)}))
    assert name in found.scores.benchmarks


def test_a_column_that_is_named_is_read_whatever_it_seems_to_be() -> None:
    found = read(board(Rank=list(range(1, N + 1))), benchmarks=["Rank", "Own"], score_unit="percent")
    assert found.scores.benchmarks == ("Rank", "Own")


def test_equal_scores_stay_and_are_told() -> None:
    frame = pd.DataFrame({"model": ["a", "b", "c", "d", "e"], "x": 0.5, "y": 0.5, "z": 0.5})
    found = read(frame)
    assert found.scores.benchmarks == ("x", "y", "z")
    assert "the scores of no benchmark vary between models" in found.described.said


def test_standard_errors_give_numbers_of_items() -> None:
    p = np.array([0.4, 0.5, 0.6, 1.0])
    frame = pd.DataFrame(
        {"model": list("abcd"), "x": p, "x_stderr": np.sqrt(p * (1 - p) / 500), "y": p, "y_se": p / 10}
    )
    table, _ = read_scores(frame)
    assert table.benchmarks == ("x", "y")
    assert table.n_items[0] == 500
    table, _ = read_scores(frame, n_items={"x": 300})
    assert table.n_items[0] == 300
    percent = frame.assign(x=100 * p, x_stderr=100 * frame["x_stderr"], y=100 * p)
    assert read_scores(percent)[0].n_items[0] == 500
    assert np.isnan(read_scores(frame.assign(x_stderr="N/A"))[0].n_items[0])


def test_a_fraction_beside_percentages_is_found() -> None:
    frame = board(humaneval=(1 / (1 + np.exp(1 - SKILL))).round(3))
    found = read(frame)
    assert [note.unit for note in found.described.benchmarks] == ["percent", "percent", "percent", "fraction"]
    assert found.scores.score[-1, -1] == frame["humaneval"].iloc[-1]
    with pytest.raises(
        InputError, match=r"column 'humaneval': expected scores whose unit is clear.*'humaneval': 'percent'"
    ):
        read(frame, score_unit="percent")
    given = read(frame, score_unit={"humaneval": "percent"})
    np.testing.assert_allclose(given.scores.score[:, -1], frame["humaneval"] / 100)
    both = read(frame, score_unit={"": "percent", "humaneval": 1})
    np.testing.assert_array_equal(both.scores.score, found.scores.score)


@pytest.mark.parametrize(
    ("values", "doubt"),
    [([0.1, 0.1, 0.0] * (N // 3), "fractions or small percentages"), ([0.0] * N, None), ([0.9, 1.4] * (N // 2), None)],
)
def test_low_columns_beside_percentages(values: list[float], doubt: str | None) -> None:
    frame = board(hard=values)
    if doubt is None:
        assert read(frame).described.benchmarks[-1].unit == "percent"
    else:
        with pytest.raises(InputError, match=doubt):
            read(frame)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([4.5, 6.1, 7.7], "may be percentages, losses or marks out of 10"),
        ([0.4, 0.5, 1.7], "expected a score between 0 and 1, found 1.7"),
        ([0.4, 0.5, 30.2], "expected a score between 0 and 1, found 30.2"),
        ([0.4, 0.5, -0.1], "expected a score between 0 and 1, found -0.1"),
    ],
)
def test_a_slip_or_another_scale_is_an_error(values: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_scores(pd.DataFrame({"model": list("abc"), "x": values}))
    with pytest.raises(InputError, match="no column of scores named 'X'"):
        read_scores(pd.DataFrame({"model": list("abc"), "x": [0.1, 0.2, 0.3]}), score_unit={"X": 1})


def test_names_with_commas_are_found_among_the_columns() -> None:
    known = ("y,z", "x", "a,b,c", "c")
    assert names_from(["y,z"], known) == ("y,z",)
    assert names_from(["x,y,z"], known) == ("x", "y,z")
    assert names_from(["a,b,c,c", " x "], known) == ("a,b,c", "c", "x")
    assert names_from(['"p,q",x'], known) == ("p,q", "x")


def test_a_name_alone_tells_little() -> None:
    assert about("IFEval") is None
    assert about("loss|text") == "it is a loss"
    assert about("epoch", fractions=True) == "it is a setting"
    assert about("word_unscrambling") is None


def test_the_description_is_lines_and_json() -> None:
    found = read(board(Rank=list(range(1, N + 1))), floors={"Own": 0.2}, n_items={"BBH": 100}).described
    lines = "\n".join(found.lines())
    assert f"read {N} models from the frame" in lines
    assert (
        "benchmark IFEval: percent, 12 scores from 0.182 to 0.818, chance 0 (from its name), "
        "items unknown (usually 541)" in lines
    )
    assert "chance 0.2 (given)" in lines
    assert "100 items (given)" in lines
    assert "ignored Rank: it is a rank" in lines
    told = found.to_json()
    assert told["ignored"] == [{"column": "Rank", "reason": "it is a rank"}]
    assert told["benchmarks"][0]["n_items"] is None


def test_amounts_that_look_like_thousands_or_billions_are_told() -> None:
    found = read(board(tokens=np.linspace(0.1, 15, N)))
    assert any("the largest number of tokens is 15" in sentence for sentence in found.described.said)


def test_rows_that_repeat_another_one_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("model,x\na,0.5\na,0.5\nb,0.4\n")
    found = read_tables([path], ReadingRules())
    assert found.scores.lms == ("a", "b")
    assert "1 rows are copies of another row and are left out" in found.described.said
