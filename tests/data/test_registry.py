"""What is known of benchmarks by name, and what a user's file changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from csvjax.data import registry
from csvjax.data.read_scores import Reading, read_scores, read_tables
from csvjax.data.registry import Benchmark, known, read_registry
from csvjax.data.rules import ReadingRules
from csvjax.errors import InputError

OWN = read_registry(Path(registry.__file__).parent / "benchmarks.toml")


def write(folder: Path, text: str) -> Path:
    path = folder / "benchmarks.toml"
    path.write_text(text)
    return path


def read(folder: Path, text: str, *frames: pd.DataFrame, **rules: Any) -> Reading:
    return read_tables(list(frames), ReadingRules(registry=read_registry(write(folder, text)), **rules))


def test_the_file_of_csvjax_is_whole() -> None:
    assert len(OWN) >= 100
    for entry in OWN:
        assert entry.group, entry.name
        choices = None if not entry.chance else 1 / entry.chance
        assert choices is None or choices == pytest.approx(round(choices)), entry.name


@pytest.mark.parametrize(
    ("name", "found", "items"),
    [
        ("MMLU (5-shot, acc)", "mmlu", 14042),
        ("hendrycksTest", None, None),
        ("hendrycks_test", "mmlu", 14042),
        ("mmlu_abstract_algebra", "mmlu", None),
        ("ARC-C", "arc_challenge", 1172),
        ("SWE-bench Verified", "swe_bench_verified", 500),
        ("SWE-bench Multimodal", "swe_bench", None),
        ("arc_agi_2", "arc_agi", None),
        ("mine", None, None),
    ],
)
def test_a_name_is_that_of_the_longest_benchmark_in_it(name: str, found: str | None, items: int | None) -> None:
    entry = known(name)
    assert (entry and entry.name, entry and entry.items) == (found, items)


def test_ratings_and_losses_are_no_fractions() -> None:
    frame = pd.DataFrame({"model": list("abcd"), "mmlu": [0.3, 0.4, 0.5, 0.6], "wikitext": [12.1, 11, 9, 8]})
    frame["Chatbot Arena"] = [1001, 1100, 1200, 1300]
    frame["MT-Bench"] = [6.1, 7.2, 8.3, 8.9]
    found = read_tables([frame], ReadingRules())
    assert found.scores.benchmarks == ("mmlu",)
    assert dict(found.described.ignored) == {
        "wikitext": "it is a loss",
        "Chatbot Arena": "it is a rating",
        "MT-Bench": "its scores are not fractions",
    }


FRAME = pd.DataFrame(
    {
        "model": list("abc"),
        "mmlu": [0.3, 0.4, np.nan],
        "MMLU (5-shot)": [0.35, np.nan, 0.5],
        "wrong": [0.9, 0.8, 0.7],
        "speed": [11, 20, 40],
    }
)
TEXT = """
[mmlu]
aliases = ["MMLU (5-shot)"]
chance = 0.2
items = 100
[wrong]
better = "lower"
ceiling = 0.9
[speed]
link = "minutes"
"""


def test_a_users_file_goes_before_names_and_tables(tmp_path: Path) -> None:
    found = read(tmp_path, TEXT, FRAME)
    assert found.scores.benchmarks == ("mmlu", "wrong", "speed")
    np.testing.assert_allclose(found.scores.score, [[0.3, 0.1, 11], [0.4, 0.2, 20], [0.5, 0.3, 40]])
    np.testing.assert_array_equal(found.scores.floor, [0.2, np.nan, np.nan])
    np.testing.assert_array_equal(found.scores.ceiling, [np.nan, 0.9, np.nan])
    np.testing.assert_array_equal(found.scores.n_items, [100, np.nan, np.nan])
    assert [scale.word for scale in found.scores.scales] == ["fraction", "fraction", "minutes (logarithm)"]
    assert any("are read as mmlu" in sentence for sentence in found.described.said)
    assert found.described.benchmarks[0].items_from == "given by the registry"


def test_shots_are_benchmarks_of_their_own_without_it(tmp_path: Path) -> None:
    assert read_scores(FRAME[["model", "mmlu", "MMLU (5-shot)"]])[0].benchmarks == ("mmlu", "MMLU (5-shot)")
    long = pd.DataFrame({"model": list("abc"), "task": "sciq", "n_shot": [0, 0, 5], "value": [0.5, 0.6, 0.7]})
    assert read_scores(long)[0].benchmarks == ("sciq (0-shot)", "sciq (5-shot)")
    merged = read(tmp_path, '[sciq]\naliases = ["sciq (0-shot)", "sciq (5-shot)"]', long)
    assert merged.scores.benchmarks == ("sciq",)
    np.testing.assert_array_equal(merged.scores.score[:, 0], [0.5, 0.6, 0.7])


def test_metrics_are_benchmarks_of_their_own_without_it(tmp_path: Path) -> None:
    one = pd.DataFrame({"model": ["a"], "task": ["sciq"], "metric": ["acc"], "value": [0.5]})
    two = pd.DataFrame({"model": ["b"], "task": ["sciq"], "metric": ["acc_norm"], "value": [0.6]})
    found = read_tables([one, two], ReadingRules())
    assert found.scores.benchmarks == ("sciq", "sciq:acc_norm")
    assert any("another metric in a later table" in sentence for sentence in found.described.said)


def test_names_of_the_registry_can_be_chosen(tmp_path: Path) -> None:
    found = read(tmp_path, TEXT, FRAME, benchmarks=["wrong,mmlu"], joined=True)
    assert found.scores.benchmarks == ("wrong", "mmlu")
    assert found.scores.score[2, 1] == 0.5


def test_python_takes_a_path(tmp_path: Path) -> None:
    table, _ = read_scores(FRAME, registry=write(tmp_path, TEXT))
    assert table.benchmarks == ("mmlu", "wrong", "speed")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a", "expected TOML"),
        ("a = 1", "begin it with"),
        ("[a]\nchanse = 0.5", "the nearest is 'chance'"),
        ("[a]\nchance = 25", "give a number from 0 to 1"),
        ("[a]\nchance = 0.5\nceiling = 0.5", "chance to be below the ceiling, found 0.5 and 0.5"),
        ("[a]\nitems = 1.5", "a whole number above 0"),
        ("[a]\nitems = true", "a whole number above 0"),
        ("[a]\nbetter = 'up'", "'higher' or 'lower'"),
        ("[a]\nlink = 'probit'", "one of fraction, elo"),
        ("[a]\naliases = 'b'", "a list of names"),
        ("[a]\naliases = ['B']\n[b]", "'b' for 'a' and for 'b'"),
    ],
)
def test_a_faulty_file_is_refused_with_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_registry(write(tmp_path, text))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no file"):
        read_registry(tmp_path / "no.toml")
    assert Benchmark("X-Y", ("x_y",)).spellings == ("x_y",)
