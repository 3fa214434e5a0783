"""Floors and ceilings: what is given, what a name says, and what the scores contradict."""

import numpy as np
import pytest

from csvjax.data.bounds import Bounds, chance_of, find_bounds
from csvjax.data.scores import ScoreTable

LMS = 20


@pytest.mark.parametrize(
    ("name", "chance"),
    [
        ("MMLU", 0.25),
        ("mmlu_5shot", 0.25),
        ("MMLU (5-shot)", 0.25),
        ("mmlu_pro", 0.1),
        ("MMLU-Pro", 0.1),
        ("arc_challenge", 0.25),
        ("ARC-C", 0.25),
        ("WinoGrande", 0.5),
        ("GSM8K", 0.0),
        ("gsm8k_cot", 0.0),
        ("mmluish", None),
        ("my benchmark", None),
        ("", None),
    ],
)
def test_names_tell_the_score_of_guessing(name: str, chance: float | None) -> None:
    assert chance_of(name) == chance


def bounds(
    name: str,
    score: np.ndarray,
    floor: float = np.nan,
    items: float = 1000.0,
    ceiling: float = np.nan,
    seen: np.ndarray | None = None,
) -> Bounds:
    one = np.ones(1)
    table = ScoreTable(
        tuple(f"m{i}" for i in range(len(score))), (name,), score[:, None], items * one, floor * one, ceiling * one
    )
    return find_bounds(table, np.ones((len(score), 1), bool) if seen is None else seen[:, None])


HIGH = np.linspace(0.3, 0.9, LMS)


def test_a_floor_that_nobody_gave_is_that_of_the_name_and_is_told() -> None:
    found = bounds("MMLU", HIGH)
    assert found.floor[0] == 0.25
    assert found.told == ("floors assumed from the names of benchmarks: MMLU 0.25",)
    given = bounds("MMLU", HIGH, floor=0.0)
    assert given.floor[0] == 0
    assert given.told == ()


def test_a_floor_of_which_nothing_is_known_is_inferred_below_one_half_and_its_ceiling() -> None:
    found = bounds("mine", HIGH)
    assert np.isnan(found.floor[0])
    assert np.isnan(found.ceiling[0])
    assert found.floor_most[0] == 0.5
    assert not found.floor_near[0]
    assert found.told == ("floors inferred, between 0 and 0.5: mine",)
    low = bounds("mine", HIGH / 3, ceiling=0.4)
    assert low.floor_most[0] == 0.4
    assert low.ceiling[0] == 0.4
    # Guessing cannot be worth more than the best score.
    assert np.isnan(bounds("winogrande", HIGH / 3, ceiling=0.4).floor[0])


def test_one_score_far_below_the_floor_contradicts_it() -> None:
    # Of 1000 items guessed with 0.25 the standard error is 0.0137; five of them are 0.068.
    for low, contradicted in ((0.19, False), (0.175, True)):
        found = bounds("mine", np.r_[low, HIGH], floor=0.25)
        assert np.isnan(found.floor[0]) == contradicted
        assert found.floor_near[0] == contradicted
        if contradicted:
            assert found.floor_most[0] == 0.25
            (told,) = found.told
            assert told == (
                "scores of mine lie below the given floor 0.25 (the lowest is 0.175), so its floor is inferred, at "
                "most 0.25"
            )
    assert "scores of MMLU lie below its chance level 0.25" in bounds("MMLU", np.r_[0.1, HIGH]).told[0]


def test_the_mean_of_all_models_below_the_floor_contradicts_it() -> None:
    # Each is one standard error low, the mean of 20 then 4.5.
    score = np.full(LMS, 0.25 - 0.0137)
    assert bounds("mine", score, floor=0.25).floor_near[0]
    assert not bounds("mine", score[:4], floor=0.25).floor_near[0]


def test_the_luck_of_few_items_contradicts_nothing() -> None:
    rng = np.random.default_rng(0)
    for items in (20, 400):
        for _ in range(20):
            guessed = rng.binomial(items, 0.25, LMS) / items
            assert not bounds("mine", guessed, floor=0.25, items=items).floor_near[0]
    # Where the number of items is not known 200 are assumed: a standard error of 0.031.
    assert not bounds("mine", np.r_[0.11, HIGH], floor=0.25, items=np.nan).floor_near[0]
    assert bounds("mine", np.r_[0.09, HIGH], floor=0.25, items=np.nan).floor_near[0]


def test_scores_that_are_not_seen_contradict_nothing() -> None:
    score = np.r_[0.0, HIGH]
    assert bounds("mine", score, floor=0.25).floor_near[0]
    found = bounds("mine", score, floor=0.25, seen=np.arange(LMS + 1) > 0)
    assert found.floor[0] == 0.25
    assert bounds("mine", score, floor=0.25, seen=np.zeros(LMS + 1, bool)).floor[0] == 0.25


def test_a_floor_of_zero_is_never_contradicted() -> None:
    assert bounds("gsm8k", np.zeros(LMS)).floor[0] == 0


def test_the_table_is_not_written_to() -> None:
    table = ScoreTable(("a", "b"), ("mmlu",), np.array([[0.0], [0.1]]), np.full(1, 100.0), np.full(1, 0.25))
    find_bounds(table, np.ones((2, 1), bool))
    assert table.floor[0] == 0.25
