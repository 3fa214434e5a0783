from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest

from csvjax.errors import InputError
from csvjax.evaluate import splits


@pytest.fixture
def lms() -> pd.DataFrame:
    """Three families, three sizes, four checkpoints: 36 models, and one whose covariates are unknown."""
    rows = [
        {"lm": f"{f}-{n:g}-{s}", "family": f, "size": f"{n:g}", "params": n, "step": float(s), "flops": 6 * n * s}
        for f, n, s in product(("a", "b", "c"), (1e4, 1e5, 1e6), (64, 128, 256, 512))
    ]
    unknown = {"lm": "closed", "family": None, "size": None, "params": np.nan, "step": np.nan, "flops": np.nan}
    return pd.DataFrame([*rows, unknown]).set_index("lm")


TEXTS = ["leave-one-out:family", "weak-to-strong:params", "weak-to-strong:step:2", "flops>1e8"]


@pytest.mark.parametrize("text", TEXTS)
def test_every_fold_is_two_disjoint_sides_of_the_known_models(lms: pd.DataFrame, text: str) -> None:
    split = splits.parse_split(text, lms)
    assert split.name == text
    assert split.unplaced == ("closed",)
    for fold in split.folds:
        assert fold.train.dtype == fold.test.dtype == bool
        assert fold.train.any()
        assert fold.test.any()
        assert not (fold.train & fold.test).any()
        assert np.array_equal(fold.train | fold.test, lms["family"].notna().to_numpy())


@pytest.mark.parametrize("text", TEXTS)
def test_the_inner_split_never_sees_a_test_row(lms: pd.DataFrame, text: str) -> None:
    for fold in splits.parse_split(text, lms).folds:
        for inside in splits.inner(text, lms, fold.train).folds:
            assert inside.train.any()
            assert inside.test.any()
            assert not (inside.train & inside.test).any()
            assert np.array_equal(inside.train | inside.test, fold.train)


def test_leave_one_out_predicts_each_model_once_and_a_family_as_a_whole(lms: pd.DataFrame) -> None:
    folds = splits.leave_one_out(lms, "family").folds
    assert [f.name for f in folds] == ["family=a", "family=b", "family=c"]
    assert np.array_equal(sum(f.test.astype(int) for f in folds), lms["family"].notna().astype(int))
    assert all(lms["family"][f.test].nunique() == 1 for f in folds)


def test_weak_to_strong_holds_out_the_largest_distinct_values(lms: pd.DataFrame) -> None:
    (fold,) = splits.weak_to_strong(lms, "step", top=2).folds
    assert set(lms["step"][fold.test]) == {256, 512}
    assert set(lms["step"][fold.train]) == {64, 128}
    (inside,) = splits.inner("weak-to-strong:params", lms, splits.weak_to_strong(lms, "params").folds[0].train).folds
    assert set(lms["params"][inside.test]) == {1e5}


def test_a_threshold_holds_out_what_is_above_it_and_its_inner_split_about_the_same_share(lms: pd.DataFrame) -> None:
    (fold,) = splits.threshold(lms, "flops", 1e8).folds
    assert lms["flops"][fold.test].min() > 1e8 >= lms["flops"][fold.train].max()
    (inside,) = splits.inner("flops>1e8", lms, fold.train).folds
    assert lms["flops"][inside.test].min() > lms["flops"][inside.train].max()
    assert abs(inside.test.sum() / fold.train.sum() - fold.test.sum() / 36) < 0.15  # three models share each value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("leave-one-out:familly", "column 'familly', which the table of models does not have: the nearest is 'family'"),
        ("weak-to-strong:size", "must hold numbers"),
        ("weak-to-strong:params:3", "more than 3 different values of 'params', found 3"),
        ("weak-to-strong:params:0", "at least one"),
        ("flops>1e30", "on both sides, found 'flops' from"),
        ("flops>many", "is none of the splits"),
        ("flops", "is none of the splits"),
    ],
)
def test_a_split_that_cannot_be_made_says_what_was_found(lms: pd.DataFrame, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        splits.parse_split(text, lms)


@pytest.mark.parametrize(
    ("text", "train"),
    [
        ("leave-one-out:family", lambda lms: lms["family"] == "a"),
        ("weak-to-strong:params", lambda lms: lms["params"] == 1e4),
        ("flops>1e8", lambda lms: lms["flops"] < 4e6),
    ],
)
def test_training_rows_that_do_not_differ_cannot_be_split_again(
    lms: pd.DataFrame, text: str, train: Callable[[pd.DataFrame], pd.Series]
) -> None:
    with pytest.raises(InputError, match="found 1"):
        splits.inner(text, lms, train(lms).to_numpy(bool))


def test_a_column_without_any_value_is_one_sentence(lms: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no 'flops'"):
        splits.threshold(lms.assign(flops=np.nan), "flops", 1.0)
