"""Saves an evaluation as a run folder: a fit to all scores, predictions of held-out scores, metrics and the page."""

from __future__ import annotations

from csvjax.evaluate.crossfit import Evaluation
from csvjax.report.page import write_report
from csvjax.runs import RunWriter

__all__ = ["save_evaluation"]


def save_evaluation(found: Evaluation, run: RunWriter) -> None:
    """Write the files of a run, the status of the fits (choices.csv), the comparison (referee.csv) and the report."""
    found.fit.save(run.folder)
    run.write(found.predictions, found.figures)
    found.choices.to_csv(run.folder / "choices.csv", index=False, lineterminator="\n")
    found.referee.to_csv(run.folder / "referee.csv", index=False, lineterminator="\n")
    write_report(run.folder)
