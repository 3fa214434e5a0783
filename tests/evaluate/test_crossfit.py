"""The law on held-out scores: what a question hides is not given to a fit; cells are judged as those of methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.data.dataset import Dataset
from csvjax.evaluate import crossfit as module
from csvjax.evaluate.crossfit import crossfit, evaluate
from csvjax.evaluate.questions import questions
from csvjax.evaluate.referee import figures
from csvjax.infer import Map
from csvjax.law.model import Law
from csvjax.report.evaluation import save_evaluation
from csvjax.result.files import load
from csvjax.result.result import Result
from csvjax.runs import begin
from tests.result.conftest import BENCHMARKS, LAW, LMS, written
from tests.result.conftest import dataset as dataset

Seen = list[np.ndarray]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The scores that each fit was given; its parameters are written down."""
    masks: Seen = []

    def fit(data: Dataset, law: Law, *, seen: np.ndarray, **rest: object) -> Result:
        masks.append(seen)
        return written(data, seen, law)

    monkeypatch.setattr(module, "fit", fit)
    return masks


def test_what_a_question_hides_is_not_given_and_every_cell_is_asked_once(dataset: Dataset, given: Seen) -> None:
    asked = questions("models:3", dataset)
    told: list[str] = []
    found = crossfit(dataset, asked, {"law": LAW}, Map(), tell=told.append)
    assert len(given) == len(told) == 3
    for mask, question in zip(given, asked, strict=True):
        np.testing.assert_array_equal(mask, ~question.hidden)
    cells = found.predictions
    assert len(cells) == LMS * len(BENCHMARKS)
    assert not cells.duplicated(["lm", "benchmark"]).any()
    assert set(cells["law"]) == {"law"}
    assert cells["mean_loss"].isna().all()
    assert dataset.scores is not None
    table = pd.DataFrame(dataset.scores.score, dataset.lms.index, list(BENCHMARKS))
    for row in cells.to_dict("records"):
        assert row["observed"] == table.loc[row["lm"], row["benchmark"]]
    judged = found.judged.cells.merge(cells, on=["lm", "benchmark"], suffixes=("", "_again"))
    np.testing.assert_allclose(judged["crps"], judged["crps_again"], rtol=1e-6)
    np.testing.assert_allclose(judged["upper90"], judged["upper90_again"], rtol=1e-6)
    assert 0 < figures(found.judged.cells)["crps"][0] < 0.2
    assert list(found.choices["status"]) == ["written"] * 3


def test_an_evaluation_is_saved_as_a_run_with_a_fit_to_all(dataset: Dataset, given: Seen, tmp_path: Path) -> None:
    found = evaluate(dataset, {"flops": "flops>3e23"}, LAW, Map())
    assert given[-1].all()
    assert set(found.figures) == {"mae", "crps", "coverage90_flops"}
    assert list(found.referee["against"]) == ["best"]
    with begin(tmp_path / "run", {"command": "evaluate"}) as run:
        save_evaluation(found, run)
    assert load(tmp_path / "run").evidence.seen.all()
    assert {"choices.csv", "referee.csv", "report.html", "predictions.parquet"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
