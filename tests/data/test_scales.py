"""Scores without bounds: how they are given, read, kept and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.data.dataset import align
from csvjax.data.files import load_dataset, save_dataset
from csvjax.data.import_scores import long_frame
from csvjax.data.read_scores import read_scores, read_tables
from csvjax.data.rules import ReadingRules
from csvjax.data.scales import FRACTION, SCALES, Scale, find_scale
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError

WIDE = pd.DataFrame(
    {
        "model": list("abcd"),
        "mmlu": [0.3, 0.4, 0.5, 0.6],
        "Arena": [1001, 1100, 1200, 1300.5],
        "wikitext": [12.5, 11, 9.25, np.nan],
    }
)
UNITS = {"Arena": "elo", "wikitext": "perplexity"}


@pytest.mark.parametrize("word", [word for word in SCALES if word != "fraction"])
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_word_and_its_scale_are_the_same_thing(word: str, better: str) -> None:
    scale = find_scale(f"{word}:{better}")
    assert scale.better == better
    assert find_scale(scale.code) == scale
    assert find_scale(word).code == word
    assert not scale.bounded


@pytest.mark.parametrize("text", ["much", "elo:up", "fraction:lower", ""])
def test_another_word_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(InputError, match="one of fraction, elo, number"):
        find_scale(text)


def test_scores_keep_their_unit_beside_fractions() -> None:
    table, _ = read_scores(WIDE, score_unit=UNITS)
    assert table.benchmarks == ("mmlu", "Arena", "wikitext")
    assert table.scales == (FRACTION, SCALES["elo"], SCALES["perplexity"])
    np.testing.assert_array_equal(table.score, WIDE[["mmlu", "Arena", "wikitext"]])
    chosen = table.select(benchmarks=["wikitext", "mmlu"])
    assert chosen.scales == (SCALES["perplexity"], FRACTION)


def test_a_long_table_has_the_same_scores() -> None:
    long = WIDE.melt("model", var_name="benchmark", value_name="score").dropna()
    wide, tall = (read_scores(frame, score_unit=UNITS)[0] for frame in (WIDE, long))
    assert tall.scales == wide.scales
    np.testing.assert_array_equal(tall.score, wide.score)


def test_without_a_word_they_are_left_out_as_before() -> None:
    assert read_scores(WIDE)[0].benchmarks == ("mmlu",)


def test_they_survive_a_folder(tmp_path: Path) -> None:
    table, lms = read_scores(WIDE, score_unit={"Arena": "elo", "wikitext": "nats:higher"})
    save_dataset(align(lms, table), tmp_path)
    found = load_dataset(tmp_path, losses=False).scores
    assert found is not None
    assert found.scales == table.scales
    np.testing.assert_array_equal(found.score, table.score)


def test_they_survive_an_import() -> None:
    reading = read_tables([WIDE], ReadingRules(score_unit=UNITS))
    found, _ = read_scores(long_frame(reading))
    assert found.scales == reading.scores.scales
    np.testing.assert_array_equal(found.score, reading.scores.score)


def test_a_column_scale_of_something_else_is_no_unit() -> None:
    long = WIDE[["model", "mmlu"]].melt("model", var_name="benchmark", value_name="score").assign(scale="7B")
    assert read_scores(long)[0].scales == (FRACTION,)


def test_two_tables_must_agree_on_the_unit() -> None:
    other = pd.DataFrame({"model": ["e", "f"], "Arena": [0.3, 0.4]})
    long = WIDE[["model", "Arena"]].melt("model", var_name="benchmark", value_name="score").assign(scale="elo")
    with pytest.raises(InputError, match=r"expected one unit for Arena, found Elo in .* and fraction in"):
        read_scores([long, other])


@pytest.mark.parametrize(
    ("scale", "value", "says"),
    [
        (SCALES["perplexity"], 0.0, "a number above 0"),
        (SCALES["elo"], np.inf, "a finite number"),
        (Scale("log", "dollars"), -1.0, "a number above 0"),
    ],
)
def test_a_score_that_cannot_be_is_named(scale: Scale, value: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        ScoreTable(("a",), ("x",), np.array([[value]]), scale=scale)


def test_a_cell_that_cannot_be_is_named() -> None:
    with pytest.raises(InputError, match=r"row 2.*wikitext.*a number above 0 \(perplexity"):
        read_scores(WIDE.assign(wikitext=[3.0, -2.0, 1.0, 1.0]), score_unit={"wikitext": "perplexity"})


def test_a_scale_that_no_word_tells_is_refused() -> None:
    with pytest.raises(InputError, match="expected a scale of"):
        ScoreTable(("a",), ("x",), np.array([[3.0]]), scale=Scale("identity", "points"))


def test_a_unit_of_a_column_that_no_table_has_is_refused() -> None:
    with pytest.raises(InputError, match="found 'Arna'"):
        read_scores([WIDE, WIDE.assign(model=list("efgh"))], score_unit={"Arna": "elo"})


def test_the_unit_of_all_others_leaves_the_scales_of_a_table() -> None:
    long = WIDE.melt("model", var_name="benchmark", value_name="score").dropna()
    long["scale"] = long["benchmark"].map({"mmlu": "fraction", "Arena": "Elo", "wikitext": "NATS"})
    long.loc[long["benchmark"] == "mmlu", "score"] *= 100
    found, _ = read_scores(long, score_unit="percent")
    assert found.scales == (FRACTION, SCALES["elo"], SCALES["nats"])
    assert found.score[0].tolist() == [0.3, 1001, 12.5]
    long.iloc[-1, long.columns.get_loc("scale")] = "bits"
    with pytest.raises(InputError, match="expected one scale for 'wikitext', found bits, nats"):
        read_scores(long, score_unit="percent")


def test_a_unit_for_all_makes_no_benchmark_of_a_year() -> None:
    found, _ = read_scores(WIDE.assign(year=[2021, 2022, 2023, 2024]), score_unit={"Arena": "elo", "wikitext": "nats"})
    assert found.benchmarks == ("mmlu", "Arena", "wikitext")
    assert "year" not in read_scores(WIDE.assign(year=2021), score_unit="elo")[0].benchmarks


def test_percent_signs_and_ratings_do_not_go_together() -> None:
    with pytest.raises(InputError, match="expected no percent signs"):
        read_scores(pd.DataFrame({"model": ["a", "b"], "Arena": ["10%", "20%"]}), score_unit={"Arena": "elo"})


def test_items_that_a_table_tells_are_those_of_fractions() -> None:
    long = WIDE.melt("model", var_name="benchmark", value_name="score").dropna().assign(n_items=100)
    found, _ = read_scores(long, score_unit=UNITS)
    np.testing.assert_array_equal(found.n_items, [100, np.nan, np.nan])


def test_bounds_and_items_are_those_of_fractions() -> None:
    with pytest.raises(InputError, match="no floor, ceiling or number of items"):
        ScoreTable(("a",), ("x",), np.array([[3.0]]), floor=np.array([0.2]), scale=SCALES["elo"])
