"""The law on every question of a split: fitted to what the question lets be seen, and judged by the referee.

A question is what `csvjax compare` asks of its methods. The law is fitted by `csvjax.fit` to the dataset itself, so
that everything a user's fit would see of a model is there: its losses, its run, any covariate.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from csvjax.data.dataset import Dataset
from csvjax.errors import FitWarning
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
    """predictions: rows of `csvjax.prediction.summary` with split, fold, law, mean_loss and salient_loss. judged: the
    same cells for the referee, the law as the method. choices: a row for each fit, with its status.
    """

    predictions: pd.DataFrame
    judged: Comparison
    choices: pd.DataFrame


class Evaluation(NamedTuple):
    """Predictions and choices of every split and law (`Crossfit`); metrics: `score_table` of the predictions; referee:
    `comparison_table`, with intervals; figures: the headline; fit: of the last law, to all scores.
    """

    predictions: pd.DataFrame
    choices: pd.DataFrame
    metrics: pd.DataFrame
    referee: pd.DataFrame
    figures: dict[str, float]
    fit: Result


def laws_beside(law: Law, dataset: Dataset) -> dict[str, Law]:
    """The law by its name, after the same one without salience where there are losses."""
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
) -> Crossfit:
    """Every law on every question; nothing that is fitted has seen a score that the question hides."""
    scores = dataset.scores
    assert scores is not None  # else there would be no question
    predictions, judged, outcomes, choices = [], [], [], []
    for i, question in enumerate(asked):
        at = positions(question.targets, scores.benchmarks, "benchmark")
        cells = np.zeros(scores.score.shape, bool)
        cells[:, at] = question.asked
        for name, law in laws.items():
            tell(f"{question.split}: {question.name}, {name}")
            begun = time.process_time()
            found = _fitted(dataset, law, method, np.isfinite(scores.score) & ~question.hidden, seed)
            drawn = draw_fitted(found, seed + i)
            table = with_losses(found, summary(drawn, cells, dataset.lms, scores))
            predictions.append(table.assign(split=question.split, fold=question.name, law=name))
            alike = scores.bounded[at] == scores.bounded[at].any()  # errors in several units have no common mean
            kept = at[alike]
            draws = drawn.score[:, :, kept].astype(float)
            judged.append(
                judge_cells(
                    scores.lms, [str(family) for family in dataset.lms["family"]],
                    [name for name, its in zip(question.targets, alike, strict=True) if its], question.asked[:, alike],
                    scores.score[:, kept], draws.mean(axis=0), draws, seed,
                ).assign(split=question.split, question=question.name, method=name)
            )  # fmt: skip
            count, seconds = int(question.asked.sum()), round(time.process_time() - begun, 3)
            outcomes.append(Outcome(question.split, question.name, name, "ok", "", count, count, seconds))
            said = {"status": str(found.status), "converged": found.status.ok, "left out": ", ".join(found.outliers)}
            choices.append({"split": question.split, "fold": question.name, "law": name, **said})
    comparison = Comparison(pd.concat(judged, ignore_index=True), pd.DataFrame(outcomes, columns=list(Outcome._fields)))
    return Crossfit(pd.concat(predictions, ignore_index=True), comparison, pd.DataFrame(choices))


def _fitted(dataset: Dataset, law: Law, method: Method, seen: np.ndarray, seed: int) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the table of choices says it
        return fit(dataset, law, method=method, seen=seen, seed=seed)


def count_fits(dataset: Dataset, kinds: Mapping[str, str], law: Law) -> int:
    """How often `evaluate` calls `tell`."""
    folds = sum(len(questions(split, dataset)) for split in kinds.values())
    return 1 + len(laws_beside(law, dataset)) * folds


def evaluate(
    dataset: Dataset,
    kinds: Mapping[str, str],
    law: Law,
    method: Method,
    seed: int = 0,
    tell: Tell = lambda sentence: None,
) -> Evaluation:
    """The law, and the mean loss beside it, on every split of `kinds` (name -> text of a split); then a fit to all.

    Raises: InputError for a split that is none, or that has an empty side.
    """
    laws = laws_beside(law, dataset)
    asked = [question for split in kinds.values() for question in questions(split, dataset)]
    found = crossfit(dataset, asked, laws, method, seed, tell)
    metrics = score_table(found.predictions)
    assert dataset.scores is not None
    tell("all models")
    whole = _fitted(dataset, law, method, np.isfinite(dataset.scores.score), seed)
    table = comparison_table(found.judged)
    return Evaluation(found.predictions, found.choices, metrics, table, figures_of(metrics, kinds), whole)


def figures_of(metrics: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, float]:
    """The headline of a table of metrics: coverage90_KIND, the share of held-out scores inside the 90 % interval in
    every split. With salience also r2_gain, mean over benchmarks of R2(salience) - R2(mean loss) in the first split;
    worst_task_gain, the least of these; crps_ratio, CRPS of salience over that of the mean loss, each the mean over
    benchmarks, in the first split. Without: mae and crps of the first split.
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
    gain = gain[np.isfinite(gain)]  # R2 is not defined where held-out scores do not differ
    return {
        "r2_gain": float(gain.mean()) if gain.size else float("nan"),
        "worst_task_gain": float(gain.min()) if gain.size else float("nan"),
        **covered,
        "crps_ratio": pooled[first, law]["crps"] / pooled[first, "mean_loss"]["crps"],
    }
