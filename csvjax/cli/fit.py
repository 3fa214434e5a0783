"""`csvjax fit`: fit the law to the known scores that are not held out, and predict the other scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli import ending, inputs, show
from csvjax.cli import law_options as options
from csvjax.cli.holdout import inner_cells, seen_cells, target_names
from csvjax.cli.output import predictions, with_json
from csvjax.cli.source import Source, with_source
from csvjax.cli.values import size_in_bytes
from csvjax.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from csvjax.data.dataset import Dataset
    from csvjax.infer.choose import Choice
    from csvjax.law.model import Law
    from csvjax.result.result import Result

__all__ = ["fit"]

_MAX_CAPABILITIES = 4  # the largest number that --capabilities auto tries

Holdout = Annotated[
    list[str] | None,
    typer.Option(
        "--holdout",
        metavar="SPLIT",
        show_default=False,
        rich_help_panel="Held-out scores",
        help="Hide these scores from the fit and predict them, to see how well that works. csvjax compare --help lists "
        "the splits; of several folds, the first one is used. Can be repeated. Example: 'flops>1e23'.",
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(
        "--targets",
        metavar="A,B,...",
        show_default=False,
        rich_help_panel="Held-out scores",
        help="Hide and predict scores of these benchmarks only. Example: GSM8K,MMLU.",
    ),
]
Inner = Annotated[
    str | None,
    typer.Option(
        "--inner",
        metavar="SPLIT",
        show_default=False,
        rich_help_panel=options.MODEL,
        help="With --capabilities auto: choose the number that best predicts the scores that this split hides. "
        "Example: models:5.",
    ),
]


@with_json
@with_source()
def fit(
    source: Source,
    out: inputs.Out,
    quick: inputs.Quick = False,
    holdout: Holdout = None,
    targets: Targets = None,
    capabilities: options.Capabilities = None,
    inner: Inner = None,
    covariates: options.Covariates = None,
    effects: options.Effects = None,
    own: options.Own = False,
    tail: options.Tail = None,
    prior: options.Prior = None,
    keep_outliers: options.KeepOutliers = False,
    method: options.MethodName = "auto",
    draws: options.Draws = None,
    warmup: options.Warmup = None,
    starts: options.Starts = None,
    chains: options.Chains = None,
    cluster: options.ChainsOnCluster = None,
    memory: inputs.Memory = None,
    seed: inputs.Seed = 0,
) -> dict[str, Any]:
    """Fit the law to a table of scores, and predict blank and held-out scores, with intervals.

    Losses, training compute and model families are used if you have them.
    The run can be read by csvjax predict, inspect and report, and by csvjax.load in Python.

    Example: csvjax fit --scores scores.csv --losses losses.csv --out runs/mine
    """
    from csvjax import fitting, runs
    from csvjax.cluster import Where, connected
    from csvjax.infer import Nuts
    from csvjax.memory import drawing
    from csvjax.objects import address, refuse_remote
    from csvjax.prediction import unseen
    from csvjax.result.result import LEAST
    from csvjax.result.salient import with_losses

    how = options.MethodOptions(method, draws, warmup, starts, chains)
    made_of = options.LawOptions(capabilities, covariates, effects, own, tail, prior, keep_outliers)
    by = options.method_of(how, quick)
    runs.check_run(out)
    if chains is not None:
        refuse_remote(chains, "the folder of --chains")
    dataset = options.read_data(source, holdout or (), made_of)
    law, automatic = options.law_of(dataset, made_of, quick)
    if inner is not None and not automatic:
        raise InputError(
            "--inner needs --capabilities auto, found another value; leave out --inner or add --capabilities auto"
        )
    wanted = target_names(dataset, targets)
    seen = seen_cells(dataset, holdout or (), wanted)
    hidden = inner_cells(dataset, seen, wanted, inner)
    by, named = options.settled_method(by, how, dataset, seen)
    if cluster is not None and not isinstance(by, Nuts):
        raise InputError(
            f"--cluster needs --method nuts, whose chains are its tasks, found {named}; leave out --cluster or change "
            "--method"
        )
    limit = size_in_bytes(memory)
    draws = max(getattr(by, "draws", 1) * getattr(by, "chains", 1), LEAST)
    piece = inputs.draws_at_once(limit, draws, dataset)
    config = {
        "dataset": source.name,
        "command": "fit",
        "options": source.given,
        "models": len(dataset.lms),
        "targets": wanted if targets else None,
        "splits": list(holdout or ()),
        "inner": inner,
        "method": by,
        "seed": seed,
    }
    where = None if cluster is None else Where(cluster=cluster, memory=limit)
    shielded = ending.shielded(2 if cluster else 1)
    with drawing(piece), runs.begin(out, config) as run, shielded, connected(where), show.steps() as begin:
        chosen = _choose(dataset, seen, law, hidden, seed, begin) if automatic else None
        law = chosen.law if chosen else law
        tell = begin(3)
        tell(f"fitting {int(seen.sum())} scores of {int(seen.any(axis=1).sum())} models by {named}")
        found = fitting.fit(dataset, law, method=by, seen=seen, seed=seed, chains=chains, where=where)
        tell("saving the posterior draws")
        found.save(run.folder)
        tell("predicting")
        cells = unseen(found, seed)
        cells = with_losses(found, cells[cells["benchmark"].isin(wanted)].reset_index(drop=True))
        name = "law" if dataset.losses is None else "salience"
        cells = cells.assign(split=" and ".join(holdout or ()) or "no score", law=name)
        if len(cells):
            run.write(cells, _figures(cells))
        if chosen:
            chosen.table.to_csv(run.folder / "choice.csv", index=False, lineterminator="\n")
        run.write_config(**_told(found))
    typer.echo("; ".join([f"law: {options.law_words(law, named)}", *found.assumed]))
    typer.echo(str(found.status))
    if chosen:
        _show_choice(chosen, inner)
    if len(cells):
        show.prediction_table(cells, "scores that the fit has not seen")
    place = address(out) or out
    typer.echo(f"run: {place}")
    words = {"run": place, "law": options.law_words(law, named), "assumed": found.assumed, "status": str(found.status)}
    return {**words, "converged": found.status.ok, "predictions": predictions(cells)}


def _told(found: Result) -> dict[str, object]:
    """Facts of the fit that the configuration of its run records."""
    fitted = found.evidence.seen
    return {
        "law": found.law,
        "fitted models": int(fitted.any(axis=1).sum()),
        "fitted scores": int(fitted.sum()),
        "assumed": found.assumed,
        "status": str(found.status),
        "outliers": list(found.outliers),
    }


def _choose(
    dataset: Dataset, seen: np.ndarray, law: Law, hidden: Sequence[np.ndarray], seed: int, begin: show.Begin
) -> Choice:
    from dataclasses import replace

    from csvjax.infer.choose import choose

    # With 0 capabilities each benchmark is predicted from losses and covariates alone, which needs losses.
    smallest = 1 if dataset.losses is None else 0
    candidates = [replace(law, capabilities=k) for k in range(smallest, min(_MAX_CAPABILITIES, seen.shape[1]) + 1)]
    return choose(dataset, seen, candidates, hidden, seed, begin(len(candidates) * (1 + len(hidden))))


def _show_choice(chosen: Choice, inner: str | None) -> None:
    by = "log score on fitted scores that --inner hides" if inner else "evidence of the fitted scores"
    rows = [
        (str(k), f"{evidence:.1f}", "" if score != score else f"{score:.3f}", "yes" if ok else "no")
        for k, evidence, score, ok in chosen.table[
            ["capabilities", "log_evidence", "log_score", "converged"]
        ].itertuples(index=False, name=None)
    ]
    show.table(
        f"number of capabilities: {chosen.law.capabilities}, chosen by the {by}",
        ("capabilities", "log evidence", "log score", "converged"),
        rows,
    )


def _figures(cells: pd.DataFrame) -> dict[str, float]:
    from csvjax.evaluate.table import POOLED, score_table

    if not cells["observed"].notna().any():
        return {}
    metrics = score_table(cells)
    row = metrics[metrics["benchmark"] == POOLED].iloc[0]
    found = {name: float(row[name]) for name in ("mae", "crps")}
    return found | {f"coverage{level}_model": float(row[f"coverage{level}"]) for level in (50, 80, 90)}
