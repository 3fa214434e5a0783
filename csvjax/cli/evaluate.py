"""`csvjax evaluate`: both laws on held-out models of any dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from csvjax.cli import inputs, show
from csvjax.errors import InputError

__all__ = ["evaluate"]

Splits = Annotated[
    list[str],
    typer.Option(
        "--split",
        metavar="SPLIT",
        show_default=False,
        help="leave-one-out:COLUMN, weak-to-strong:COLUMN[:TOP] or COLUMN>NUMBER; may be repeated.",
    ),
]


def evaluate(
    split: Splits,
    out: inputs.Out,
    data: inputs.Data = None,
    losses: inputs.Losses = None,
    scores: inputs.Scores = None,
    common: inputs.Common = False,
    benchmarks: inputs.Benchmarks = None,
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
    quick: inputs.Quick = False,
    seed: inputs.Seed = 0,
) -> None:
    """Hold models out, predict them by mean loss and by salience, and compare with what they scored."""
    import numpy as np

    from csvjax import runs
    from csvjax.demo import QUICK, count_steps, save_evaluation
    from csvjax.demo import evaluate as judge
    from csvjax.laws.fit_salience import Settings

    source = inputs.Source(
        data, losses, scores, common, benchmarks, lm_column, family_column, params_column, tokens_column, flops_column,
        params_unit, tokens_unit, flops_unit, score_unit, items, floor, None,
    )  # fmt: skip
    if repeated := sorted({text for text in split if split.count(text) > 1}):
        raise InputError(f"expected every split once, found {', '.join(repeated)} more than once; name it once")
    runs.check_out(out)
    dataset = inputs.read_source(source)
    scored = np.isfinite(dataset.measured()[0].score).any(axis=1)
    dataset = dataset.subset(list(dataset.lms.index[scored]))
    kinds = {_kind(text): text for text in split}
    if len(kinds) < len(split):  # two splits of one column
        kinds = {text: text for text in split}
    settings = QUICK if quick else Settings()
    total = count_steps(dataset, kinds)
    config = {
        "dataset": source.name,
        "command": "evaluate",
        "options": source.given,
        "models": len(dataset.lms),
        "splits": split,
        "laws": {"mean_loss": settings.mean_loss, "salience": settings},
        "seed": seed,
    }
    with runs.begin(out, config) as run, show.steps() as begin:
        found = judge(dataset, kinds, settings, seed, begin(total))
        save_evaluation(found, run)
    show.metrics_table(found.metrics)
    typer.echo(f"report: {out / 'report.html'}")


def _kind(split: str) -> str:
    """The column of a split: what is unseen."""
    return split.split(":")[1] if ":" in split else split.split(">")[0].strip()
