from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from csvjax.baselines.view import View, hide
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError

TRAIN = np.arange(20) % 4 < 3  # the largest of each family is held out
TARGETS = ("x", "y")


@pytest.fixture
def view(make: Callable[..., Dataset]) -> View:
    return hide(make(), TRAIN, TARGETS)


def test_a_view_has_the_targets_of_the_training_rows_alone(make: Callable[..., Dataset], view: View) -> None:
    scores = make().measured()[0]
    np.testing.assert_array_equal(view.target[TRAIN], scores.score[TRAIN][:, [3, 4]])
    assert np.isnan(view.target[~TRAIN]).all()
    np.testing.assert_array_equal(view.train, TRAIN)
    np.testing.assert_array_equal(view.score, scores.score[:, :3])
    np.testing.assert_array_equal(view.floor, [0.25, 0.0])
    np.testing.assert_array_equal(view.score_floor, [0.25, 0.0, 0.5])


def test_bounds_that_are_not_known_are_0_and_1(view: View) -> None:
    known = replace(view, floor=np.array([np.nan, 0.5]), ceiling=np.array([np.nan, 0.9]))
    np.testing.assert_array_equal(known.bounds, [[0, 0.5], [1, 0.9]])
    np.testing.assert_array_equal(known.all_bounds[0], [0, 0.5, *view.score_floor])
    np.testing.assert_array_equal(known.all_bounds[1], [1, 0.9, 1, 1, 1])


def test_only_blanks_what_is_not_needed_of_the_rows_to_predict(view: View) -> None:
    nothing = view.only(frozenset())
    assert set(nothing.family[~TRAIN]) == {""}
    for name in ("params", "tokens", "flops", "score", "loss", "target"):
        assert np.isnan(getattr(nothing, name)[~TRAIN]).all()
        np.testing.assert_array_equal(getattr(nothing, name)[TRAIN], getattr(view, name)[TRAIN])
    np.testing.assert_array_equal(nothing.family[TRAIN], view.family[TRAIN])
    everything = view.only(frozenset({"scores", "compute", "family", "losses"}))
    np.testing.assert_array_equal(everything.loss, view.loss)
    np.testing.assert_array_equal(everything.family, view.family)
    compute = view.only(frozenset({"compute"}))
    np.testing.assert_array_equal(compute.flops, view.flops)
    assert np.isnan(compute.score[~TRAIN]).all()


def test_rows_are_taken_in_order_and_may_come_twice(view: View) -> None:
    taken = view.take(np.array([7, 2, 7]))
    assert list(taken.family) == ["b", "a", "b"]
    np.testing.assert_array_equal(taken.loss, view.loss[[7, 2, 7]])
    np.testing.assert_array_equal(taken.target, view.target[[7, 2, 7]])
    assert taken.size is view.size


def test_a_view_needs_scores_of_its_targets(make: Callable[..., Dataset]) -> None:
    dataset = make()
    with pytest.raises(InputError, match="found one without"):
        hide(Dataset(dataset.lms), TRAIN, TARGETS)
    with pytest.raises(InputError, match="no benchmark named 'z'"):
        hide(dataset, TRAIN, ("z",))
    with pytest.raises(InputError, match="target 'x' in the training rows, found none"):
        hide(dataset, np.zeros(20, bool), TARGETS)
