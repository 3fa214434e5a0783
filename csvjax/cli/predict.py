"""`csvjax predict`: what a fit says of models without scores, or of new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from csvjax.cli import show
from csvjax.cli.inputs import Seed
from csvjax.errors import InputError

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
    out: Annotated[
        Path | None, typer.Option(metavar="CSV", show_default=False, help="Write the predictions to this file.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Predict the scores that a fit has not seen, or those of new models.

    Two 90 % intervals: of the mean score of models with such losses, and of a new observation, which has the scatter
    of a single model and the noise of a finite number of test items as well.
    """
    from csvjax import runs
    from csvjax.atomic import replacing
    from csvjax.dataset_files import read_lms
    from csvjax.losses.read import read_losses
    from csvjax.posterior import load_fit
    from csvjax.unseen import predict_new, unseen_cells

    runs.read_config(run)
    if lms is not None and losses is None:
        raise InputError("expected --losses with --lms, found --lms alone; give the losses of the new models")
    if out is not None and out.is_dir():
        raise InputError(f"expected a file to write to, found the folder {out}; choose another --out")
    fit, dataset = load_fit(run)
    if losses is None:
        found = unseen_cells(fit, dataset, seed)
        if found.empty:
            raise InputError(f"expected models without scores in {run}, found none; give new ones with --losses")
    else:
        found = predict_new(fit, dataset, read_losses(losses), None if lms is None else read_lms(lms), seed)
    if out is None:
        show.prediction_table(found, "models that the fit has not seen")
        return
    with replacing(out.resolve()) as part:
        found[list(_COLUMNS)].rename(columns=_COLUMNS).to_csv(part, index=False, lineterminator="\n")
    typer.echo(f"{len(found)} predictions: {out}")
