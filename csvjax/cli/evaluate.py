"""`csvjax evaluate`: how well the law predicts held-out scores of a dataset."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from csvjax.cli import ending, inputs, show
from csvjax.cli import law_options as options
from csvjax.cli.output import with_json
from csvjax.cli.source import Source, with_source
from csvjax.errors import FitWarning, InputError

__all__ = ["evaluate"]

Splits = Annotated[
    list[str],
    typer.Option(
        "--split",
        metavar="SPLIT",
        show_default=False,
        help="Which scores to hide; csvjax compare --help lists the splits. Can be repeated. Example: families:5.",
    ),
]


@with_json
@with_source()
def evaluate(
    source: Source,
    split: Splits,
    out: inputs.Out,
    quick: inputs.Quick = False,
    capabilities: options.Capabilities = None,
    covariates: options.Covariates = None,
    effects: options.Effects = None,
    own: options.Own = False,
    tail: options.Tail = None,
    prior: options.Prior = None,
    keep_outliers: options.KeepOutliers = False,
    method: options.ManyFits = "laplace",
    draws: options.Draws = None,
    warmup: options.Warmup = None,
    starts: options.Starts = None,
    cluster: inputs.Cluster = None,
    seed: inputs.Seed = 0,
) -> dict[str, Any]:
    """Hide scores, predict them with the law of csvjax fit, and measure errors and coverage of intervals.

    If there are losses, the same law with the mean loss (equal weights for all text) is evaluated too.
    The run also contains a fit to all scores, which csvjax predict and inspect can read.

    Example: csvjax evaluate --scores scores.csv --split leave-one-out:family --out runs/check
    """
    import warnings

    from csvjax import runs
    from csvjax.cluster import Where
    from csvjax.evaluate.crossfit import count_fits
    from csvjax.evaluate.crossfit import evaluate as judge
    from csvjax.objects import address
    from csvjax.report.evaluation import save_evaluation

    made_of = options.LawOptions(capabilities, covariates, effects, own, tail, prior, keep_outliers)
    by = options.method_of(options.MethodOptions(method, draws, warmup, starts), quick)
    if by is None:
        raise InputError(
            "expected --method to be map, laplace, svi or nuts, found auto, which only csvjax fit has; choose one"
        )
    if repeated := sorted({text for text in split if split.count(text) > 1}):
        raise InputError(f"expected each --split once, found {', '.join(repeated)} more than once; give it once")
    runs.check_run(out)
    dataset = options.read_data(source, split, made_of)
    law, automatic = options.law_of(dataset, made_of, quick)
    if automatic:
        raise InputError("expected --capabilities to be a number or each, found auto; csvjax fit can choose the number")
    kinds = {_kind(text): text for text in split}
    if len(kinds) < len(split):  # two splits use the same column, so it cannot name them
        kinds = {text: text for text in split}
    total = count_fits(dataset, kinds, law)
    config = {
        "dataset": source.name,
        "command": "evaluate",
        "options": source.given,
        "models": len(dataset.lms),
        "splits": split,
        "law": law,
        "method": by,
        "seed": seed,
    }
    where = None if cluster is None else Where(cluster=cluster)
    with runs.begin(out, config) as run, ending.shielded(2 if cluster else 1), show.steps() as begin:
        found = judge(dataset, kinds, law, by, seed, begin(total), where)
        save_evaluation(found, run)
    typer.echo("; ".join([f"law: {options.law_words(law, method)}", *found.fit.assumed]))
    if bad := int((~found.choices["converged"]).sum()):
        first = found.choices.loc[~found.choices["converged"], "status"].iloc[0]
        warnings.warn(f"{bad} of {len(found.choices)} fits did not converge: {first}", FitWarning, stacklevel=1)
    show.comparison_table(found.referee)
    show.metrics_table(found.metrics)
    place = address(out) or str(out)
    typer.echo(f"report: {place}/report.html")
    words = {
        "run": place,
        "law": options.law_words(law, method),
        "assumed": found.fit.assumed,
        "figures": found.figures,
    }
    return {**words, "metrics": found.metrics, "referee": found.referee, "fits": found.choices}


def _kind(split: str) -> str:
    """What a split hides: its column, or its first word."""
    from csvjax.evaluate.questions import split_column

    return split_column(split) or split.split(":")[0]
