"""`csvjax compare`: how well the methods of the literature predict held-out scores of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli import ending, inputs, show
from csvjax.cli.output import with_json
from csvjax.cli.source import Source, with_source
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from csvjax.data.dataset import Dataset
    from csvjax.evaluate.compare import Comparison

__all__ = ["compare"]


def _option(name: str, help: str, metavar: str, panel: str | None = None) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


Splits = Annotated[
    list[str],
    _option(
        "--split",
        "Which scores to hide; see the list above. Can be repeated. Example: families:5.",
        "SPLIT",
    ),
]
Methods = Annotated[
    str,
    typer.Option(
        "--methods",
        metavar="A,B,...",
        rich_help_panel="Comparison",
        help='Methods to compare. The page "Comparing methods" lists them, and so does a wrong name. Example: '
        "law,sloth,log-flops.",
    ),
]
Sees = Annotated[
    str | None,
    _option(
        "--sees",
        "What a method may know of a model whose scores it predicts: nothing, all, or some of scores (on the other "
        "benchmarks), compute, family and losses. Default: compute,family,losses. Example: scores,compute.",
        "A,B,...",
        "Comparison",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs", min=1, metavar="NUMBER", rich_help_panel="Comparison", help="Number of fits that run at once."
    ),
]
Draws = Annotated[
    int,
    typer.Option(
        "--draws",
        min=20,
        metavar="NUMBER",
        rich_help_panel="Comparison",
        help="Number of predictive draws of each method.",
    ),
]
Out = Annotated[
    Path,
    _option(
        "--out",
        "Folder for the results. The same command resumes a run that was stopped. Example: runs/compare.",
        "RUN",
    ),
]


@with_json
@with_source()
def compare(
    source: Source,
    split: Splits,
    out: Out,
    methods: Methods = "all",
    sees: Sees = None,
    jobs: Jobs = 1,
    cluster: inputs.Cluster = None,
    draws: Draws = 400,
    seed: inputs.Seed = 0,
) -> dict[str, Any]:
    """Hide scores, predict them with the law and the methods of the literature, and say which is better.

    What --split can hide:
      cells[:K]                     single scores, in K parts (default 5), one part after the other
      models[:K]                    models, in K parts (default 5)
      families[:K]                  families, in K parts (default: each family)
      benchmarks[:K]                each benchmark, for the families in K parts (default 2)
      compute:NUMBER                models with more training FLOP than NUMBER
      date:DAY                      models released after DAY, such as 2025-01-01
      corpus[:COLUMN]               each training corpus in turn
      mixtures[:COLUMN]             each mixture of training text in turn
      leave-one-out:COLUMN          the models with each value of a column in turn, such as family
      weak-to-strong:COLUMN[:TOP]   the models with the largest value of a column, or the TOP largest
      COLUMN>NUMBER                 models with more than NUMBER in a column, such as flops>1e23

    Example: csvjax compare --scores scores.csv --split families:5 --out runs/compare
    """
    from csvjax import runs
    from csvjax.baselines import find_methods
    from csvjax.cluster import Where
    from csvjax.evaluate import compare as work
    from csvjax.evaluate.compare_table import comparison_table, pair_table
    from csvjax.evaluate.questions import SEEN, parse_sees, questions

    chosen = find_methods([name.strip() for name in methods.split(",")])
    if repeated := sorted({text for text in split if split.count(text) > 1}):
        raise InputError(f"expected each --split once, found {', '.join(repeated)} more than once; give it once")
    seen = SEEN if sees is None else parse_sees(sees)
    folder = runs.check_out(out)
    dataset = inputs.with_columns(inputs.read_source(source, with_losses=False), source, split)
    dataset = _of_fractions(dataset)
    asked = [question for text in split for question in questions(text, dataset, seen)]
    todo = list(work.tasks(dataset, asked, chosen, draws, seed))
    config = {
        "format": runs.FORMAT,
        "command": "compare",
        "options": source.given,
        "models": len(dataset.lms),
        "splits": split,
        "sees": sorted(seen),
        "methods": {name: {"name": m.name, "source": m.source} for name, m in chosen.items()},
        "draws": draws,
        "seed": seed,
        "versions": work.versions(),
    }
    with runs.claimed(out), ending.shielded(2 if cluster else jobs), show.steps() as begin:
        folder.mkdir(parents=True, exist_ok=True)
        runs.write_json(
            runs.plain(config), folder / "config.json"
        )  # written first, so that a stopped run can be resumed
        found = work.compare(todo, Where(jobs, cluster), folder / "cache", begin(len(todo)))
        table = comparison_table(found)
        pairs = pair_table(found)
        _write(folder, found, table, pairs)
    show.comparison_table(table)
    again = int(found.outcomes["again"].sum())
    failed = int((found.outcomes["status"] == "failed").sum())
    wrong = f", {failed} failed (run the same command again to repeat them)" if failed else ""
    files = f"{out / 'table.csv'}, {out / 'figure.html'}"
    typer.echo(f"{len(todo)} fits, {again} of them from an earlier run{wrong}; {files}")
    return {"run": out, "fits": len(todo), "earlier": again, "failed": failed, "table": table, "pairs": pairs}


def _of_fractions(dataset: Dataset) -> Dataset:
    """The dataset without the benchmarks whose scores are not fractions, because the other methods cannot use them."""
    from dataclasses import replace

    from csvjax import names

    scores = dataset.scores
    assert scores is not None
    if scores.bounded.all():
        return dataset
    kept = [name for name, its in zip(scores.benchmarks, scores.bounded, strict=True) if its]
    left = [name for name in scores.benchmarks if name not in set(kept)]
    if not kept:
        raise InputError(
            f"expected a benchmark whose scores are fractions to compare methods on, found only {names.some(left)}; "
            f"use csvjax evaluate, which judges the law on these too"
        )
    typer.echo(f"left out, because the other methods can only use fractions: {names.some(left)}", err=True)
    return replace(dataset, scores=scores.select(benchmarks=kept))


def _write(folder: Path, found: Comparison, table: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Write cells.parquet, table.csv, results.jsonl and figure.html; each is complete or as it was before."""
    import json

    from csvjax.atomic import replacing
    from csvjax.evaluate.compare_figure import write_figure
    from csvjax.runs import plain

    with replacing(folder / "cells.parquet") as part:
        found.cells.to_parquet(part)
    with replacing(folder / "table.csv") as part:
        table.to_csv(part, index=False, lineterminator="\n")
    lines = [{"kind": kind, **row} for kind, frame in (("method", table), ("pair", pairs)) for row in _rows(frame)]
    with replacing(folder / "results.jsonl") as part:
        part.write_text("".join(json.dumps(plain(line)) + "\n" for line in lines), encoding="utf-8")
    with replacing(folder / "figure.html") as part:
        write_figure(table, part)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]
