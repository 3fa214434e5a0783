"""`csvjax fit`: a law fitted to the models that have scores; the others are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from csvjax.cli import inputs, show
from csvjax.cli.fit_joint import JointOptions, fit_joint_law
from csvjax.errors import FitWarning, InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from csvjax.data.dataset import Dataset

__all__ = ["default_inner", "fit", "training_rows"]

_MANY = 30  # families; leaving one out in turn costs as many fits

Holdout = Annotated[
    list[str] | None,
    typer.Option(
        "--holdout",
        metavar="SPLIT",
        show_default=False,
        help="Hide the scores of these models from the fit: weak-to-strong:COLUMN[:TOP] or COLUMN>NUMBER.",
    ),
]
Inner = Annotated[
    str | None,
    typer.Option(
        "--inner",
        metavar="SPLIT",
        show_default=False,
        help="How the strength of the salience is chosen (default: each family left out in turn, if there are enough), "
        "or the number of capabilities of the joint law (default: by its evidence).",
    ),
]
Law = Annotated[
    Literal["salience", "joint"],
    typer.Option("--law", help="Salience of tokens for each benchmark, or capabilities shared by all benchmarks."),
]
Targets = Annotated[
    str | None,
    typer.Option(
        "--targets",
        metavar="A,B,...",
        show_default=False,
        help="Joint law: the benchmarks to predict; --holdout hides these alone (default: all).",
    ),
]
Capabilities = Annotated[
    str | None,
    typer.Option(
        "--capabilities",
        metavar="K|auto",
        show_default=False,
        help="Joint law: the number of capabilities (default: 2), or auto to choose it from the fitted scores.",
    ),
]
Covariates = Annotated[
    str | None,
    typer.Option(
        "--covariates",
        metavar="A,B,...",
        show_default=False,
        help="Joint law: of flops, params, tokens and products such as params*tokens, or none (default: flops, or "
        "params where no FLOPs are known).",
    ),
]
FitMethod = Annotated[
    str | None,
    typer.Option(
        "--method", metavar="NAME", show_default=False, help="Joint law: map, laplace, svi or nuts (default: laplace)."
    ),
]
Chains = Annotated[
    Path | None,
    typer.Option(
        "--chains",
        metavar="FOLDER",
        show_default=False,
        help="Joint law by nuts: keep the chains here, so that the same command goes on after it was stopped.",
    ),
]
Prior = Annotated[
    list[str] | None,
    typer.Option(
        "--prior",
        metavar="NAME=NUMBER",
        show_default=False,
        help="Joint law: another prior setting, by its name in csvjax.laws.joint_model.JointPriors, such as loading=2.",
    ),
]
KeepOutliers = Annotated[
    bool | None,
    typer.Option(
        "--keep-outliers",
        show_default=False,
        help="Joint law: fit also models whose scores look like anything rather than what the others let expect.",
    ),
]


def fit(
    out: inputs.Out,
    data: inputs.Data = None,
    losses: inputs.Losses = None,
    scores: inputs.Scores = None,
    common: inputs.Common = False,
    benchmarks: inputs.Benchmarks = None,
    holdout: Holdout = None,
    inner: Inner = None,
    law: Law = "salience",
    targets: Targets = None,
    capabilities: Capabilities = None,
    covariates: Covariates = None,
    method: FitMethod = None,
    chains: Chains = None,
    prior: Prior = None,
    keep_outliers: KeepOutliers = None,
    lm_column: inputs.LmColumn = None,
    family_column: inputs.FamilyColumn = None,
    params_column: inputs.ParamsColumn = None,
    tokens_column: inputs.TokensColumn = None,
    flops_column: inputs.FlopsColumn = None,
    params_unit: inputs.ParamsUnit = None,
    tokens_unit: inputs.TokensUnit = None,
    flops_unit: inputs.FlopsUnit = None,
    score_unit: inputs.ScoreUnit = None,
    items: inputs.Items = None,
    floor: inputs.Floors = None,
    ceiling: inputs.Ceilings = None,
    quick: inputs.Quick = False,
    seed: inputs.Seed = 0,
) -> None:
    """Fit scores to losses, or (--law joint) to each other, compute, families and losses.

    Models without scores, and those held out, are predicted with intervals.
    """
    import warnings

    from csvjax import runs
    from csvjax.demo import QUICK
    from csvjax.evaluate import splits
    from csvjax.laws.crossfit import unit_salience
    from csvjax.laws.fit_salience import Settings, fit_salience
    from csvjax.laws.posterior import save_fit
    from csvjax.laws.unseen import unseen_cells

    source = inputs.Source(
        data, losses, scores, common, benchmarks, lm_column, family_column, params_column, tokens_column, flops_column,
        params_unit, tokens_unit, flops_unit, score_unit, items, floor, ceiling,
    )  # fmt: skip
    options = JointOptions(targets, capabilities, covariates, method, chains, prior, keep_outliers)
    if law == "joint":
        return fit_joint_law(out, source, options, holdout or (), inner, quick, seed)
    if only := [*options.given, *(["--ceiling"] if ceiling else [])]:
        raise InputError(f"expected {', '.join(only)} with --law joint alone, found it without; add --law joint")
    if scores is not None and losses is None and data is None:
        raise InputError(
            "expected --losses with --scores for the salience law, found --scores alone; give losses, or fit scores to "
            "each other with --law joint"
        )
    runs.check_out(out)
    dataset = inputs.read_source(source)
    train = training_rows(dataset, holdout or ())
    choose_by = default_inner(dataset.lms[train]) if inner is None else inner
    folds = splits.inner(choose_by, dataset.lms, train).folds
    settings = QUICK if quick else Settings()
    config = {
        "dataset": source.name,
        "command": "fit",
        "options": source.given,
        "models": len(dataset.lms),
        "fitted models": int(train.sum()),
        "splits": list(holdout or ()),
        "inner": choose_by,
        "settings": settings,
        "seed": seed,
    }
    with runs.begin(out, config) as run, show.steps() as begin:
        tell = begin(3)
        tell(f"fitting {len(dataset.measured()[0].benchmarks)} benchmarks to {int(train.sum())} models")
        found = fit_salience(dataset, train, folds, settings, seed)
        tell("saving the posterior draws")
        save_fit(found, dataset, run.folder)
        tell("predicting")
        cells = unseen_cells(found, dataset, seed)
        cells = cells.assign(split=" and ".join(holdout or ()) or "no score", law="salience")
        if len(cells):
            run.write(cells, {}, unit_salience(dataset, found))
        run.write_config(strength=found.strength, status=found.status)
    if not found.mode.converged.all():
        warnings.warn(found.status, FitWarning, stacklevel=1)
    else:
        typer.echo(found.status)
    typer.echo(f"mean strength of the salience: {found.strength:.3g} (0 is the mean loss), weighed by {choose_by}")
    if len(cells):
        show.prediction_table(cells, "models that the fit has not seen")
    typer.echo(f"run: {out}")


def training_rows(dataset: Dataset, holdout: Sequence[str]) -> np.ndarray:
    """The models to fit [lm]: those with a score that no split of `holdout` hides.

    A model of which a split cannot tell, because its column is blank, is hidden too.

    Raises: InputError for splits of several folds, fewer models than three, and benchmarks left without a score.
    """
    import numpy as np

    scores = dataset.measured()[0]
    train = np.isfinite(scores.score).any(axis=1)
    for text in holdout:
        train &= inputs.single_fold(text, dataset, "evaluate").train
    if train.sum() < 3:
        raise InputError(f"expected three or more models with scores to fit, found {train.sum()}; give more scores")
    blank = np.isnan(scores.score[train]).all(axis=0)
    for benchmark in np.array(scores.benchmarks)[blank]:
        raise InputError(
            f"expected scores of the fitted models on every benchmark, found none for {str(benchmark)!r}; leave it "
            f"out with --benchmarks"
        )
    return train


def default_inner(lms: pd.DataFrame) -> str:
    """The split by which the strength is chosen: families in turn, if there are three or more and not too many; else
    the strongest quarter by the first amount that has three different values.

    Raises: InputError if neither can be done.
    """
    families = lms["family"].nunique()
    if 3 <= families <= _MANY:
        return "leave-one-out:family"
    for column in ("flops", "params", "tokens"):
        if (levels := lms[column].nunique()) >= 3:
            return f"weak-to-strong:{column}:{max(1, levels // 4)}"
    if families >= 2:
        return "leave-one-out:family"
    raise InputError(
        "expected two or more families, or three values of flops, params or tokens, to choose the strength of the "
        "salience by, found neither; name a split with --inner"
    )
