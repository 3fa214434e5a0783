from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError

NAMES = ("a", "b", "模型")
UNITS = pd.DataFrame({"token": ["x", "y"], "document": "d", "domain": "t", "start": [0, 1], "bytes": 1})


def lms_of(names: tuple[str, ...], **more: Any) -> pd.DataFrame:
    """Models whose every number can be told from their name."""
    value = [float(sum(name.encode())) + 1 for name in names]
    family = pd.array([f"family of {name}" for name in names], dtype="str")
    columns: dict[str, Any] = {"family": family, "params": value, "tokens": np.nan, "flops": value}
    return pd.DataFrame({**columns, **more}, pd.Index(names, name="lm", dtype=str))


def scores_of(names: tuple[str, ...]) -> ScoreTable:
    return ScoreTable(
        names, ("x", "y"), np.array([[sum(name.encode()) % 10 / 10, np.nan] for name in names]).reshape(-1, 2)
    )


def losses_of(names: tuple[str, ...]) -> LossTable:
    return LossTable(names, np.array([[sum(name.encode()), 1.0] for name in names]).reshape(-1, 2), UNITS)


def assert_told_by_name(dataset: Dataset, names: tuple[str, ...]) -> None:
    """Every part of the dataset has these models in this order, each with what belongs to it."""
    assert tuple(dataset.lms.index) == names
    pd.testing.assert_frame_equal(dataset.lms, lms_of(names))
    assert dataset.scores is not None
    assert dataset.losses is not None
    assert dataset.scores.lms == dataset.losses.lms == names
    np.testing.assert_array_equal(dataset.scores.score, scores_of(names).score)
    np.testing.assert_array_equal(dataset.losses.loss, losses_of(names).loss)


@given(st.lists(st.text(min_size=1, max_size=6), max_size=5, unique=True), st.randoms())
def test_align_puts_every_part_into_the_order_of_the_models(names: list[str], random: Any) -> None:
    shuffled = []
    for _ in range(3):
        random.shuffle(names)
        shuffled.append(tuple(names))
    dataset = align(lms_of(shuffled[0]), scores_of(shuffled[1]), losses_of(shuffled[2]))
    assert_told_by_name(dataset, shuffled[0])


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=3, unique=True), min_size=3, max_size=3),
)
def test_common_keeps_what_all_parts_share(names: list[list[str]]) -> None:
    one, two, three = (tuple(part) for part in names)
    shared = tuple(name for name in one if name in two and name in three)
    parts = lms_of(one), scores_of(two), losses_of(three)
    if shared:
        assert_told_by_name(align(*parts, common=True), shared)
    else:
        with pytest.raises(InputError, match="models that lms and scores and losses share, found none: lms begin with"):
            align(*parts, common=True)
    if not set(one) == set(two) == set(three):
        with pytest.raises(InputError, match="only in"):
            align(*parts)


def test_models_on_one_side_only_are_named() -> None:
    many = tuple(f"m{i}" for i in range(9))
    with pytest.raises(InputError) as caught:
        align(lms_of((*NAMES, *many)), scores_of((*NAMES, "other")))
    said = str(caught.value)
    assert "found 'm0', 'm1', 'm2' and 6 more only in lms and 'other' only in scores" in said
    assert "common=True" in said


def test_parts_may_be_absent() -> None:
    dataset = align(losses=losses_of(NAMES))
    assert dataset.scores is None
    assert list(dataset.lms["family"]) == list(NAMES)
    assert dataset.lms[["params", "tokens", "flops"]].isna().all(axis=None)
    assert align(lms_of(NAMES)).losses is None
    assert align(scores=scores_of(NAMES), losses=losses_of(NAMES[::-1])).losses is not None
    with pytest.raises(InputError, match="give at least one"):
        align()


def test_subset_takes_models_in_the_order_asked_for() -> None:
    dataset = align(lms_of(NAMES), scores_of(NAMES), losses_of(NAMES))
    assert_told_by_name(dataset.subset(["模型", "a"]), ("模型", "a"))
    assert_told_by_name(dataset.subset([]), ())
    assert align(lms_of(NAMES)).subset(["b"]).scores is None
    with pytest.raises(InputError, match="found no lm named 'A': the nearest is 'a'"):
        dataset.subset(["A"])


def test_columns_of_the_caller_are_kept_and_its_frame_left_alone() -> None:
    frame = lms_of(NAMES, run=["r", "r", "s"], params=[1, 2, None]).rename_axis(None)
    before = frame.copy()
    dataset = align(frame, scores_of(NAMES))
    assert list(dataset.lms["run"]) == ["r", "r", "s"]
    assert dataset.lms["params"].dtype == np.float64
    pd.testing.assert_frame_equal(frame, before)
    nullable = frame.convert_dtypes()
    pd.testing.assert_series_equal(align(nullable).lms["params"], dataset.lms["params"])


@pytest.mark.parametrize(
    ("lms", "says"),
    [
        (lms_of(NAMES).drop(columns="tokens"), "none named 'tokens'"),
        (lms_of(NAMES, tokens=[1, 0, 1]), "tokens of lm 'b' to be a number above 0, or NaN if unknown, found 0"),
        (lms_of(NAMES, flops=[1, 1, np.inf]), "flops of lm '模型' .* found inf"),
        (lms_of(NAMES, params=["7B", 1, 1]), "params of lm 'a' .* found '7B'"),
        (lms_of(NAMES, family=["f", None, "g"]), "family of lm 'b'"),
        (lms_of(("a", "b", "a")), "each lm once, found 'a' as number 1 and number 3"),
        (lms_of(NAMES).reset_index(drop=True), "name of lm number 1, found 0"),
    ],
)
def test_a_wrong_frame_is_refused(lms: pd.DataFrame, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Dataset(lms)


def test_parts_in_another_order_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"expected scores of the same models in the same order.*align\(lms, scores, losses\)"
    ):
        Dataset(lms_of(NAMES), scores_of(NAMES[::-1]))
    with pytest.raises(InputError, match="expected losses of the same models"):
        Dataset(lms_of(NAMES), scores_of(NAMES), losses_of(NAMES[:2]))
