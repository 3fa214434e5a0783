"""The first words of the page, and the fingerprints at its end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.infer.result import Status
from csvjax.report.fingerprint import fingerprints
from csvjax.report.read import Run, read_run
from csvjax.report.verdict import verdict
from csvjax.result.result import Result
from tests.result.conftest import dataset, fit, seen

__all__ = ["dataset", "fit", "seen"]


def answers(run: Run) -> dict[str, str]:
    return {answer.question: " ".join(answer.sentences) for answer in verdict(run)}


def of(run: Run, **changed: object) -> Run:
    return replace(run, **changed)  # type: ignore[arg-type]


@pytest.fixture
def plain_run(fit: Result) -> Run:
    columns = ["split", "law", "benchmark", "lm", "family", "observed", "mean", "lower90", "upper90"]
    return Run({}, {}, pd.DataFrame(columns=columns), pd.DataFrame(), fit=fit)


def test_what_predicts_is_said_in_words(plain_run: Run) -> None:
    said = answers(plain_run)
    assert said["What predicts the scores?"] == (
        "Training compute, what models of one family have in common and 1 capability that benchmarks share. The law "
        "was fitted to 38 scores of 13 models on 3 benchmarks, by a Laplace approximation."
    )
    assert "No score was held out" in said["How well?"]
    assert "No held-out score is known" in said["Are the intervals calibrated?"]


def test_errors_are_medians_in_points(made: Path) -> None:
    run = read_run(made)
    said = answers(run)["How well?"]
    cells = run.predictions.query("split == 'leave-one-out:family' and law == 'salience'")
    error = (cells["observed"] - cells["median"]).abs()
    assert f"half of the 120 held-out scores were predicted to within {100 * error.median():.1f} points" in said
    worst = error.groupby(cells["benchmark"]).median()
    assert f"worst: {worst.idxmax()} ({100 * worst.max():.1f} points)" in said
    elo = run.predictions.assign(**{name: 1000 * run.predictions[name] for name in ("observed", "mean", "median")})
    assert "points" not in answers(of(run, predictions=elo))["How well?"]


def test_doubts_are_named(plain_run: Run, fit: Result) -> None:
    assert "28" not in answers(plain_run)["What should you distrust?"]
    bad = replace(fit, status=Status(False, "not converged: look again"))
    few = np.asarray(fit.evidence.seen).copy()
    few[5:] = False
    bad = replace(bad, evidence=fit.evidence._replace(seen=few), left_out=~few)
    chains = pd.DataFrame({"quantity": ["logit", "parameters"], "rhat": [1.2, 9.0]})
    choices = pd.DataFrame({"converged": [True, False], "status": ["ok", "lost its way"]})
    said = answers(of(plain_run, fit=bad, convergence=chains, choices=choices))["What should you distrust?"]
    for words in (
        "1 of 2 fits did not converge; the first one: lost its way",
        "not converged: look again",
        "largest r-hat 1.200",
        "Only 5 models were fitted",
        "left out because the law cannot explain their scores",
        "times the compute of the largest fitted one",
    ):
        assert words in said


def test_a_mean_loss_that_predicts_as_well_is_told(made: Path) -> None:
    run = read_run(made)
    assert "The mean loss predicts at least as well" not in answers(run)["What should you distrust?"]
    p = run.predictions
    swapped = p.assign(law=p["law"].map({"mean_loss": "salience", "salience": "mean_loss"}))
    said = answers(of(run, predictions=swapped))["What should you distrust?"]
    assert "The mean loss predicts at least as well as salience for: each family left out in turn" in said


def test_fingerprints_are_of_the_values_and_the_names(fit: Result) -> None:
    before = dict(fingerprints(fit.dataset))
    data = fit.dataset
    assert data.scores is not None
    assert set(before) == {"models", "scores"}
    assert before["scores"].startswith("45 of 3 benchmarks, sha256 ")
    columns = replace(data, lms=data.lms[list(reversed(data.lms.columns))])
    assert dict(fingerprints(columns)) == before  # the order of columns does not matter
    score = data.scores.score.copy()
    score[3, 1] += 1e-9
    changed = dict(fingerprints(replace(data, scores=replace(data.scores, score=score))))
    assert changed["models"] == before["models"]
    assert changed["scores"] != before["scores"]
    renamed = replace(data.scores, benchmarks=("easy", "fair", "harder"))
    assert dict(fingerprints(replace(data, scores=renamed)))["scores"] != before["scores"]
