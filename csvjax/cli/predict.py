"""`csvjax predict`: what a fit says of models without scores, or of new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from csvjax.cli import show
from csvjax.cli.inputs import Seed
from csvjax.cli.predict_joint import JointQuestion, predict_joint_run
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["predict"]

# What the file says, in words that need no manual.
_COLUMNS = {
    "lm": "lm",
    "benchmark": "benchmark",
    "mean": "predicted",
    "mean_lower90": "mean_score_lower90",
    "mean_upper90": "mean_score_upper90",
    "lower90": "new_observation_lower90",
    "upper90": "new_observation_upper90",
    "observed": "observed",
}


def _joint(help: str, metavar: str) -> Any:
    return typer.Option(metavar=metavar, show_default=False, help=f"Joint law: {help}")


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder that csvjax fit made.")],
    losses: Annotated[
        Path | None,
        typer.Option(metavar="PATH", show_default=False, help="Losses of new models on the text of the fit."),
    ] = None,
    lms: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", show_default=False, help="Families of the new models (columns lm, family)."),
    ] = None,
    scores: Annotated[Path | None, _joint("some scores of new models, and what is known of them.", "TABLE")] = None,
    flops: Annotated[float | None, _joint("training compute of a model that is not made yet.", "NUMBER")] = None,
    params: Annotated[float | None, _joint("its parameters, where they are a covariate.", "NUMBER")] = None,
    tokens: Annotated[float | None, _joint("its training tokens, where they are a covariate.", "NUMBER")] = None,
    family: Annotated[str | None, _joint("its family (default: a new one).", "NAME")] = None,
    reach: Annotated[
        list[str] | None, _joint("the compute at which a model reaches this score.", "BENCHMARK=SCORE")
    ] = None,
    interval: Annotated[
        Literal["equal-tailed", "highest-density"] | None, _joint("kind of interval (default: equal-tailed).", "KIND")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="CSV", show_default=False, help="Write the predictions to this file.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Predict the scores that a fit has not seen, those of new models, or those at a target compute.

    Two 90 % intervals: of the mean score of models of which the same is known, and of a new observation, which has the
    scatter of a single model and the noise of a finite number of test items as well.
    """
    from csvjax import runs
    from csvjax.data.files import read_lms
    from csvjax.data.read_losses import read_losses
    from csvjax.laws.posterior import load_fit
    from csvjax.laws.unseen import predict_new, unseen_cells

    config = runs.read_config(run)
    question = JointQuestion(scores, flops, params, tokens, family, reach, interval)
    if out is not None and out.is_dir():
        raise InputError(f"expected a file to write to, found the folder {out}; choose another --out")
    if config.get("law") == "joint":
        if reach and out is not None:
            raise InputError("expected --out with a table of predictions, found --reach, whose answer is a sentence")
        found = predict_joint_run(run, question, losses, lms, seed)
        _told(found, out, f"scores that the fit has not seen, {interval or 'equal-tailed'} intervals")
        return
    if question.given:
        raise InputError(
            f"expected a run of the joint law with {', '.join(question.given)}, found one of another law in {run}; fit "
            f"with --law joint"
        )
    if lms is not None and losses is None:
        raise InputError("expected --losses with --lms, found --lms alone; give the losses of the new models")
    fit, dataset = load_fit(run)
    if losses is None:
        found = unseen_cells(fit, dataset, seed)
        if found.empty:
            raise InputError(f"expected models without scores in {run}, found none; give new ones with --losses")
    else:
        found = predict_new(fit, dataset, read_losses(losses), None if lms is None else read_lms(lms), seed)
    _told(found, out, "models that the fit has not seen")


def _told(found: pd.DataFrame, out: Path | None, title: str) -> None:
    """Print predictions, or write them to a file; nothing where a question had no table for an answer."""
    from csvjax.atomic import replacing

    if found.empty:
        return
    if out is None:
        show.prediction_table(found, title)
        return
    with replacing(out.resolve()) as part:
        found[list(_COLUMNS)].rename(columns=_COLUMNS).to_csv(part, index=False, lineterminator="\n")
    typer.echo(f"{len(found)} predictions: {out}")
