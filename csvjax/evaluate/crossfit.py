"""Fits the law for every question of a split to the scores that the question shows, and judges its predictions.

The questions are those of `csvjax compare`. The law is fitted by `csvjax.fit` to the dataset itself, so that the fit
sees everything about a model that a user's fit would see: losses, run, any covariate.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from csvjax.cluster import Lost, Where, connected, run_all
from csvjax.cluster import Tell as Said
from csvjax.data.dataset import Dataset
from csvjax.errors import FitWarning, InputError
from csvjax.evaluate.compare import Comparison, Outcome
from csvjax.evaluate.compare_table import comparison_table
from csvjax.evaluate.judged import judge_cells
from csvjax.evaluate.questions import Question, questions
from csvjax.evaluate.table import POOLED, score_table
from csvjax.fitting import fit
from csvjax.infer import Method
from csvjax.law.model import Law
from csvjax.names import positions
from csvjax.prediction import draw_fitted, summary
from csvjax.result.result import Result
from csvjax.result.salient import with_losses

__all__ = ["Crossfit", "Evaluation", "count_fits", "crossfit", "evaluate", "figures_of", "laws_beside"]

Tell = Callable[[str], None]


class Crossfit(NamedTuple):
    """Predictions of held-out scores.

    Attributes:
        predictions: rows of `csvjax.prediction.summary` with split, fold, law, mean_loss and salient_loss.
        judged: the same cells for the referee, with the law as the method.
        choices: a row for each fit, with its status.
    """

    predictions: pd.DataFrame
    judged: Comparison
    choices: pd.DataFrame


class Evaluation(NamedTuple):
    """The evaluation of a law.

    Attributes:
        predictions: predictions of all splits and laws, as in `Crossfit`.
        choices: a row for each fit, as in `Crossfit`.
        metrics: `score_table` of the predictions.
        referee: `comparison_table` of the predictions, with intervals.
        figures: the main results, see `figures_of`.
        fit: a fit of the last law to all scores.
    """

    predictions: pd.DataFrame
    choices: pd.DataFrame
    metrics: pd.DataFrame
    referee: pd.DataFrame
    figures: dict[str, float]
    fit: Result


def laws_beside(law: Law, dataset: Dataset) -> dict[str, Law]:
    """The law by name. If there are losses, the same law without salience (the mean loss) comes first."""
    if dataset.losses is None:
        return {"law": law}
    return {"mean_loss": replace(law, priors=law.priors._replace(strength=0.0)), "salience": law}


def crossfit(
    dataset: Dataset,
    asked: Sequence[Question],
    laws: Mapping[str, Law],
    method: Method,
    seed: int = 0,
    tell: Tell = lambda sentence: None,
    where: Where | None = None,
) -> Crossfit:
    """Fit every law for every question, without the scores that the question hides, and predict these.

    Each law and question is a job; `where` says where it runs, None for this process.

    Raises: InputError if a job is lost each time that it runs.
    """
    jobs = [
        _Job(dataset, question, name, law, method, seed, i)
        for i, question in enumerate(asked)
        for name, law in laws.items()
    ]
    found: dict[int, _Fold] = {}
    for number, fold in run_all(jobs, _judge, where or Where(), tell):
        if isinstance(fold, Lost):
            job = jobs[number]
            raise InputError(
                f"expected {len(jobs)} fits, found that the one of {job.question.split}: {job.question.name} was lost: "
                f"{fold.reason}; run the same command again, or leave out --cluster"
            )
        found[number] = fold
    folds = [found[number] for number in range(len(jobs))]
    whole = [fold for fold in folds if fold.judged is not None]
    outcomes = pd.DataFrame([fold.outcome for fold in whole], columns=list(Outcome._fields))
    comparison = Comparison(pd.concat([fold.judged for fold in whole], ignore_index=True), outcomes)
    choices = pd.DataFrame([fold.choice for fold in whole])
    return Crossfit(pd.concat([fold.predictions for fold in folds], ignore_index=True), comparison, choices)


class _Job(NamedTuple):
    """A law to fit for a question; number: of the question."""

    dataset: Dataset
    question: Question
    name: str
    law: Law
    method: Method
    seed: int
    number: int


class _Fold(NamedTuple):
    """Predictions of a question; judged is None where its benchmarks have other units than the first one."""

    predictions: pd.DataFrame
    judged: pd.DataFrame | None
    outcome: Outcome
    choice: dict[str, object]


def _judge(job: _Job, tell: Said) -> _Fold:
    dataset, question, name = job.dataset, job.question, job.name
    scores = dataset.scores
    assert scores is not None  # without scores there is no question
    first = scores.scales[int(scores.bounded.argmax())]  # a fraction, if there is one
    common = np.array([scale == first for scale in scores.scales])
    at = positions(question.targets, scores.benchmarks, "benchmark")
    cells = np.zeros(scores.score.shape, bool)
    cells[:, at] = question.asked
    tell(f"{question.split}: {question.name}, {name}")
    begun = time.process_time()
    found = _fitted(dataset, job.law, job.method, np.isfinite(scores.score) & ~question.hidden, job.seed)
    drawn = draw_fitted(found, job.seed + job.number)
    table = with_losses(found, summary(drawn, cells, dataset.lms, scores))
    table = table.assign(split=question.split, fold=question.name, law=name)
    alike = common[at]  # errors in several units have no common mean
    kept = at[alike]
    draws = drawn.score[:, :, kept].astype(float)
    judged = None
    if alike.any():
        judged = judge_cells(
            scores.lms, [str(family) for family in dataset.lms["family"]],
            [name for name, its in zip(question.targets, alike, strict=True) if its], question.asked[:, alike],
            scores.score[:, kept], draws.mean(axis=0), draws, job.seed,
        ).assign(split=question.split, question=question.name, method=name)  # fmt: skip
    count, seconds = int(question.asked.sum()), round(time.process_time() - begun, 3)
    outcome = Outcome(question.split, question.name, name, "ok", "", count, count, seconds)
    said = {"status": str(found.status), "converged": found.status.ok, "left out": ", ".join(found.outliers)}
    return _Fold(table, judged, outcome, {"split": question.split, "fold": question.name, "law": name, **said})


def _fitted(
    dataset: Dataset, law: Law, method: Method, seen: np.ndarray, seed: int, where: Where | None = None
) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the table of choices has the status
        return fit(dataset, law, method=method, seen=seen, seed=seed, where=where)


def count_fits(dataset: Dataset, kinds: Mapping[str, str], law: Law) -> int:
    """The number of fits of `evaluate`, which is how often it calls `tell`."""
    folds = sum(len(questions(split, dataset)) for split in kinds.values())
    return 1 + len(laws_beside(law, dataset)) * folds


def evaluate(
    dataset: Dataset,
    kinds: Mapping[str, str],
    law: Law,
    method: Method,
    seed: int = 0,
    tell: Tell = lambda sentence: None,
    where: Where | None = None,
) -> Evaluation:
    """Evaluate a law, and the same law with the mean loss, on several splits; then fit the law to all scores.

    Args:
        dataset: the data.
        kinds: splits by name.
        law: the law.
        method: the inference method of each fit.
        seed: seed of all random numbers.
        tell: called with a sentence before each fit.
        where: where each fit of a fold, and each chain of the last fit, runs as a job; None for this process.

    Raises: InputError for a text that is not a split, for a split with an empty side, and for a job that is lost.
    """
    laws = laws_beside(law, dataset)
    asked = [question for split in kinds.values() for question in questions(split, dataset)]
    assert dataset.scores is not None
    with connected(where):
        found = crossfit(dataset, asked, laws, method, seed, tell, where)
        tell("all models")
        whole = _fitted(dataset, law, method, np.isfinite(dataset.scores.score), seed, where)
    metrics = score_table(found.predictions)
    table = comparison_table(found.judged)
    return Evaluation(found.predictions, found.choices, metrics, table, figures_of(metrics, kinds), whole)


def figures_of(metrics: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, float]:
    """The main results in a table of metrics, for splits by name.

    `coverage90_KIND` is the share of held-out scores inside their 90 % intervals, for each split. With salience, in the
    first split: `r2_gain`, the mean over benchmarks of R2(salience) - R2(mean loss); `worst_task_gain`, the smallest of
    these differences; `crps_ratio`, the mean CRPS of salience divided by that of the mean loss. Without salience: `mae`
    and `crps` of the first split.
    """
    values = {
        (row["split"], row["law"], row["benchmark"]): {n: float(row[n]) for n in ("r2", "mae", "crps", "coverage90")}
        for row in metrics.to_dict("records")
    }
    first = next(iter(kinds.values()))
    pooled = {(split, law): row for (split, law, benchmark), row in values.items() if benchmark == POOLED}
    law = "salience" if (first, "salience") in pooled else "law"
    covered = {f"coverage90_{kind}": pooled[split, law]["coverage90"] for kind, split in kinds.items()}
    if law == "law":
        return {name: pooled[first, law][name] for name in ("mae", "crps")} | covered
    gain = np.array(
        [
            values[first, law, benchmark]["r2"] - values[first, "mean_loss", benchmark]["r2"]
            for split, name, benchmark in values
            if (split, name) == (first, law) and benchmark != POOLED
        ]
    )
    gain = gain[np.isfinite(gain)]  # R2 is not defined if held-out scores do not differ
    return {
        "r2_gain": float(gain.mean()) if gain.size else float("nan"),
        "worst_task_gain": float(gain.min()) if gain.size else float("nan"),
        **covered,
        "crps_ratio": pooled[first, law]["crps"] / pooled[first, "mean_loss"]["crps"],
    }
