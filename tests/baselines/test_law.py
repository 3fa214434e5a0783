"""The law as a method: who decides between numbers of capabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import pytest

from csvjax.baselines.law import LawFit, LawMethod, Member, _inner_parts, dataset_of
from csvjax.baselines.view import View, hide
from csvjax.data.dataset import Dataset

Make = Callable[..., Dataset]
TARGETS = ("u", "v")


def view_of(data: Dataset, training: str) -> View:
    """Rows of the `training` families, each of them a letter, are known; of the others the targets are asked."""
    train = data.lms["family"].isin(list(training)).to_numpy()
    return hide(data, train, TARGETS)


@pytest.mark.parametrize(("training", "count"), [("ab", 2), ("abcd", 4), ("a", 0)])
def test_few_families_decide_where_others_are_asked(make: Make, training: str, count: int) -> None:
    view = view_of(make(gaps=0.0), training)
    parts = _inner_parts(view, dataset_of(view, view, False))
    assert len(parts) == count
    for part, name in zip(parts, training, strict=False):
        np.testing.assert_array_equal(part[:, :2].all(axis=1), view.family == name)
        assert not part[:, 2:].any()


def test_evidence_decides_where_families_are_known(make: Make) -> None:
    data = make(gaps=0.0)
    large = (data.lms["params"] > 5e10).to_numpy()
    view = hide(data, ~large, TARGETS)
    assert _inner_parts(view, dataset_of(view, view, False)) == []


def test_shares_follow_what_inner_folds_say(make: Make) -> None:
    view = view_of(make(), "ab")
    method = LawMethod("law", frozenset({"compute"}))
    none = np.zeros(0, bool)
    members = [Member(None, None, np.zeros((1, 1)), value, none) for value in (0.0, 50.0)]  # type: ignore[arg-type]
    by_evidence = LawFit(method, view, False, members)
    by_folds = replace(by_evidence, inner=np.array([np.log(3.0), 0.0]))
    np.testing.assert_allclose(by_evidence.shares, [0, 1], atol=1e-12)
    np.testing.assert_allclose(by_folds.shares, [0.75, 0.25])


def test_a_fit_to_two_families_is_weighed_by_leaving_them_out(make: Make) -> None:
    view = view_of(make(gaps=0.0), "ab")
    method = LawMethod("law", frozenset({"compute"}), (0, 1), family=False, count=20)
    found = method.fit(view, jax.random.key(0))
    assert found.inner is not None
    assert found.inner.shape == (2,)
    assert np.isfinite(found.inner).all()
    assert found.shares.sum() == pytest.approx(1.0)
