"""Long tables with any column names, several metrics, parts of benchmarks; and several tables as one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from csvjax.data.read_scores import Reading, read_scores, read_tables
from csvjax.data.rules import ReadingRules
from csvjax.errors import InputError


def long(**more: Any) -> pd.DataFrame:
    rows = [(lm, task, metric) for lm in "abc" for task in ("arc_easy", "piqa") for metric in ("acc", "acc_norm")]
    frame = pd.DataFrame(rows, columns=["model", "task", "metric"])
    frame["value"] = [0.3 + 0.02 * i for i in range(len(rows))]
    return frame.assign(**more)


def read(*frames: pd.DataFrame, **rules: Any) -> Reading:
    return read_tables(list(frames), ReadingRules(**rules))


def test_one_metric_of_each_task_is_taken_and_the_others_have_names() -> None:
    found = read(long())
    assert found.scores.benchmarks == ("arc_easy", "piqa")
    np.testing.assert_allclose(found.scores.score[0], [0.3, 0.34])
    assert any("are read by 'acc'" in sentence for sentence in found.described.said)
    other = read(long(), metric="acc_norm").scores
    np.testing.assert_allclose(other.score[0], [0.32, 0.36])
    named = read(long(), benchmarks=["piqa:acc_norm,arc_easy"], joined=True).scores
    assert named.benchmarks == ("piqa:acc_norm", "arc_easy")
    np.testing.assert_allclose(named.score[0], [0.36, 0.3])
    with pytest.raises(InputError, match="found none named 'f1'"):
        read(long(), metric="f1")


def test_columns_of_any_name_can_be_given() -> None:
    frame = long().rename(columns={"task": "what", "value": "how much", "metric": "by"})
    columns = {"benchmark": "what", "score": "how much", "metric": "by"}
    np.testing.assert_array_equal(read(frame, columns=columns).scores.score, read(long()).scores.score)
    with pytest.raises(InputError, match="expected a column of scores, found none; name it with score_column"):
        read(frame, columns={"benchmark": "what"})


def test_standard_errors_and_shots() -> None:
    frame = long()[lambda f: f["metric"] == "acc"]
    error = np.sqrt(frame["value"] * (1 - frame["value"]) / 400)
    assert list(read_scores(frame.assign(stderr=error))[0].n_items) == [400, 400]
    twice = pd.concat([frame.assign(n_shot=0), frame.assign(n_shot=5, value=frame["value"] + 0.1)])
    found = read_scores(twice)[0]
    assert set(found.benchmarks) == {f"{task} ({n}-shot)" for task in ("arc_easy", "piqa") for n in (0, 5)}
    with pytest.raises(InputError, match="one row for each benchmark of lm 'a'"):
        read_scores(pd.concat([frame, frame]))


def test_units_are_found_for_each_benchmark() -> None:
    frame = pd.DataFrame(
        {"model": list("abcabc"), "task": ["p"] * 3 + ["f"] * 3, "value": [21.5, 33.1, 47.9, 0.301, 0.422, 0.517]}
    )
    found = read(frame)
    assert [note.unit for note in found.described.benchmarks] == ["percent", "fraction"]
    np.testing.assert_allclose(found.scores.score[0], [0.215, 0.301])
    losses = pd.DataFrame(
        {"model": list("abc"), "task": "wikitext", "metric": "word_perplexity", "value": [12.1, 9, 8]}
    )
    both = read(pd.concat([frame, losses]))
    assert both.scores.benchmarks == ("p", "f")
    assert dict(both.described.ignored)["wikitext"] == "it is a loss"


def test_parts_of_a_benchmark_are_left_out_unless_named() -> None:
    frame = pd.DataFrame(
        {"lm": ["a"] * 3, "benchmark": ["mmlu", "law", "art"], "score": [0.5, 0.4, 0.6], "group": ["", "mmlu", "mmlu"]}
    )
    assert read(frame).scores.benchmarks == ("mmlu",)
    assert read(frame, benchmarks=["law", "mmlu"]).scores.benchmarks == ("law", "mmlu")
    frame = frame[1:]
    assert read(frame).scores.benchmarks == ("law", "art")


def test_several_tables_are_one_and_the_first_counts() -> None:
    one = pd.DataFrame({"model": ["a", "b"], "family": ["F", "G"], "x": [0.1, 0.2]})
    two = pd.DataFrame({"model": ["b", "c"], "params": [1e9, 2e9], "x": [0.25, 0.3], "y": [0.5, 0.6]})
    found = read(one, two)
    assert (found.scores.lms, found.scores.benchmarks) == (("a", "b", "c"), ("x", "y"))
    np.testing.assert_array_equal(found.scores.score, [[0.1, np.nan], [0.2, 0.5], [0.3, 0.6]])
    assert list(found.lms["family"]) == ["F", "G", "c"]
    np.testing.assert_array_equal(found.lms["params"], [np.nan, 1e9, 2e9])
    (said,) = [sentence for sentence in found.described.said if "the first one counts" in sentence]
    assert "x of b is 0.2" in said
    assert "0.25" in said
    assert not read(one, two.assign(x=[0.2, 0.3])).described.said
    assert read(one, two, benchmarks=["y", "x"]).scores.benchmarks == ("y", "x")
    with pytest.raises(InputError, match="at least one table"):
        read_tables([], ReadingRules())
