"""What is chosen is what the training split says; held-out scores change nothing."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.infer import choose as module
from csvjax.infer.choose import candidates, choose
from csvjax.infer.outliers import Cleaned
from csvjax.infer.result import Fit, Status
from csvjax.law.model import Evidence, Law, Priors
from tests.result.conftest import BENCHMARKS, LAW, LMS, place, written
from tests.result.conftest import dataset as dataset
from tests.result.conftest import seen as seen


def test_candidates_are_every_combination() -> None:
    found = candidates(
        (1, 2), [("flops",), ()], [Priors(), Priors(gain_sd=1.0)], effects=("family",), tails=(0.0, 0.25)
    )
    assert len(set(found)) == 16
    assert {law.effects for law in found} == {("family",)}


def hidden(first: int, last: int) -> np.ndarray:
    """The scores of some models."""
    rows = np.arange(LMS)
    return np.repeat(((rows >= first) & (rows < last))[:, None], len(BENCHMARKS), axis=1)


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    """Draws that are written down in place of those of a search: in the later ones without most of the gain."""

    def fit(density: object, evidence: Evidence, method: object, key: jax.Array, folder: None, law: Law) -> Cleaned:
        number = len(made)
        made.append(0)
        one = written(dataset, np.ones((LMS, 3), bool))
        x = one.x.copy()
        x[..., place(one, "gain")] *= 1.0 if number in (0, 1) else 0.1
        facts = {"potential": np.asarray(10.0 + number), "log_volume": np.asarray(2.0)}
        fit = Fit(method, x, None, Status(True, "written"), facts)
        return Cleaned(fit, evidence, np.zeros(LMS, bool), 0.0)

    made: list[int] = []
    monkeypatch.setattr(module, "fit_without_outliers", fit)


@pytest.mark.usefixtures("no_search")
def test_the_better_forecast_is_chosen_and_hidden_scores_do_not_matter(dataset: Dataset, seen: np.ndarray) -> None:
    told: list[str] = []
    best, table = choose(dataset, seen, [LAW, LAW], [hidden(8, 13)], tell=told.append)
    assert best == LAW
    assert table["log_score"].is_monotonic_decreasing
    assert table["log_score"][0] > table["log_score"][1] + 0.1  # models without a gain do not foresee the stronger ones
    assert list(table["log_evidence"]) == [-8, -10]
    assert told[:2] == ["K = 1, flops: evidence", "K = 1, flops: inner part 1 of 1"]


@pytest.mark.usefixtures("no_search")
def test_without_hidden_scores_the_evidence_decides(dataset: Dataset, seen: np.ndarray) -> None:
    other = replace(LAW, priors=Priors(gain_sd=1.0), tail=0.25)
    best, table = choose(dataset, seen, [LAW, other])
    assert best == LAW
    assert table["log_score"].isna().all()
    assert list(table["priors"]) == ["", "gain_sd=1, tail=0.25"]


def test_parts_that_hide_nothing_or_too_much_are_told(dataset: Dataset, seen: np.ndarray) -> None:
    with pytest.raises(InputError, match="found none in part 1"):
        choose(dataset, seen, [LAW], [hidden(13, 15)])
    with pytest.raises(InputError, match="leave a score of every benchmark"):
        choose(dataset, seen, [LAW], [hidden(0, 13)])
    with pytest.raises(InputError, match="laws to choose among, found none"):
        choose(dataset, seen, [])


@pytest.mark.slow
def test_compute_that_explains_the_scores_is_chosen(dataset: Dataset, seen: np.ndarray) -> None:
    """By search. Scores rise with compute alone, so that without it the strongest models cannot be foreseen."""
    among = candidates((1,), [(), ("flops",)], effects=())
    by_score = choose(dataset, seen, among, [hidden(9, 13)])
    by_evidence = choose(dataset, seen, among)
    assert by_score.law.covariates == by_evidence.law.covariates == ("flops",)
    scores = dataset.scores
    assert scores is not None
    other = replace(dataset, scores=replace(scores, score=np.where(seen, scores.score, 0.1)))
    np.testing.assert_array_equal(choose(other, seen, among, [hidden(9, 13)]).table, by_score.table)
