"""What is chosen is what the training split says; held-out scores change nothing."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.evaluate.splits import Fold
from csvjax.infer.result import Fit, Status
from csvjax.joint import choose as module
from csvjax.joint.choose import candidates, choose
from csvjax.laws.joint_model import JointEvidence, JointPriors
from csvjax.laws.outliers import Cleaned
from tests.joint.conftest import LMS, written


def test_candidates_are_every_combination() -> None:
    found = candidates((1, 2), [("flops",), ()], [JointPriors(), JointPriors(gain_sd=1.0)], families=False)
    assert len(set(found)) == 8
    assert {s.families for s in found} == {False}


def fold(first: int, last: int) -> Fold:
    test = (np.arange(LMS) >= first) & (np.arange(LMS) < last)
    return Fold(f"{first} to {last}", ~test & (np.arange(LMS) < last), test)


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    """Draws that are written down in place of those of a search: with half the gain, all else alike."""

    def fit(density: object, evidence: JointEvidence, method: object, key: jax.Array, *more: object) -> Cleaned:
        number = len(made)
        made.append(0)
        one = written(dataset, np.ones((LMS, 3), bool))
        x = one.x.copy()
        at = int(np.argmin(np.abs(x.mean(axis=(0, 1)) - 1.3)))
        x[..., at] *= 1.0 if number in (0, 1) else 0.1
        facts = {"potential": np.asarray(10.0 + number), "log_volume": np.asarray(2.0)}
        fit = Fit(method, x, None, Status(True, "written"), facts)
        return Cleaned(fit, evidence, np.zeros(LMS, bool), 0.0)

    made: list[int] = []
    monkeypatch.setattr(module, "fit_without_outliers", fit)


@pytest.mark.usefixtures("no_search")
def test_the_better_forecast_is_chosen_and_hidden_scores_do_not_matter(dataset: Dataset, seen: np.ndarray) -> None:
    among = candidates((1,), priors=[JointPriors(), JointPriors()])
    told: list[str] = []
    best, table = choose(dataset, seen, among, [fold(8, 13)], tell=told.append)
    assert best == among[0]
    assert table["log_score"].is_monotonic_decreasing
    assert table["log_score"][0] > table["log_score"][1] + 0.1  # models without a gain do not foresee the stronger ones
    assert list(table["log_evidence"]) == [-8, -10]
    assert told[:2] == ["K = 1, flops: evidence", "K = 1, flops: inner fold 1 of 1"]


@pytest.mark.usefixtures("no_search")
def test_without_folds_the_evidence_decides(dataset: Dataset, seen: np.ndarray) -> None:
    among = candidates((1,), priors=[JointPriors(), JointPriors(gain_sd=1.0)])
    best, table = choose(dataset, seen, among)
    assert best == among[0]
    assert table["log_score"].isna().all()
    assert list(table["priors"]) == ["", "gain_sd=1"]


def test_folds_that_hide_nothing_or_too_much_are_told(dataset: Dataset, seen: np.ndarray) -> None:
    with pytest.raises(InputError, match="found none in fold '13 to 15'"):
        choose(dataset, seen, candidates((1,)), [fold(13, 15)])
    with pytest.raises(InputError, match="leave a score of every benchmark"):
        choose(dataset, seen, candidates((1,)), [fold(0, 13)])
    with pytest.raises(InputError, match="settings to choose among, found none"):
        choose(dataset, seen, [])


@pytest.mark.slow
def test_compute_that_explains_the_scores_is_chosen(dataset: Dataset, seen: np.ndarray) -> None:
    """By search. Scores rise with compute alone, so that without it the strongest models cannot be foreseen."""
    among = candidates((1,), [(), ("flops",)], families=False)
    by_score = choose(dataset, seen, among, [fold(9, 13)])
    by_evidence = choose(dataset, seen, among)
    assert by_score.settings.covariates == by_evidence.settings.covariates == ("flops",)
    scores = dataset.scores
    assert scores is not None
    other = replace(dataset, scores=replace(scores, score=np.where(seen, scores.score, 0.1)))
    np.testing.assert_array_equal(choose(other, seen, among, [fold(9, 13)]).table, by_score.table)
