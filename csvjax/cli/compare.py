"""`csvjax compare`: every method of the literature on the held-out part of any table of scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax import names
from csvjax.cli import ending, inputs, show
from csvjax.cli.output import with_json
from csvjax.cli.source import Source, with_source
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from csvjax.data.dataset import Dataset
    from csvjax.evaluate.compare import Comparison

__all__ = ["compare"]


def _option(name: str, help: str, metavar: str) -> Any:
    return typer.Option(name, help=help, metavar=metavar, show_default=False)


Splits = Annotated[
    list[str],
    _option(
        "--split",
        "cells[:K], models[:K], families[:K], benchmarks[:K], compute:NUMBER, date:DAY, corpus[:COLUMN], "
        "mixtures[:COLUMN], leave-one-out:COLUMN, weak-to-strong:COLUMN[:TOP] or COLUMN>NUMBER. Can be repeated.",
        "SPLIT",
    ),
]
Methods = Annotated[
    str, typer.Option("--methods", metavar="A,B,...", help="Names of methods, or all. A wrong name lists them.")
]
Sees = Annotated[
    str | None,
    _option(
        "--sees",
        "What a method may see of a model that it predicts: nothing, all, or some of scores, compute, family, losses. "
        "Default: all but scores. With scores, each benchmark is predicted from the others.",
        "A,B,...",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Number of processes.")]
Draws = Annotated[int, typer.Option("--draws", min=20, help="Number of predictive draws of each method.")]
Out = Annotated[Path, _option("--out", "Folder of the run. Results that are there are not computed again.", "RUN")]


@with_json
@with_source()
def compare(
    split: Splits,
    out: Out,
    source: Source,
    methods: Methods = "all",
    sees: Sees = None,
    jobs: Jobs = 1,
    draws: Draws = 400,
    seed: inputs.Seed = 0,
) -> dict[str, Any]:
    """Hide scores, predict them with every method, and say which method is better.

    Example: csvjax compare --scores scores.csv --split families:5 --out runs/compare
    """
    from csvjax import runs
    from csvjax.baselines import find_methods
    from csvjax.evaluate import compare as work
    from csvjax.evaluate.compare_table import comparison_table, pair_table
    from csvjax.evaluate.questions import SEEN, parse_sees, questions

    chosen = find_methods([name.strip() for name in methods.split(",")])
    if repeated := sorted({text for text in split if split.count(text) > 1}):
        raise InputError(f"expected every split once, found {', '.join(repeated)} more than once; name it once")
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
    with runs.claimed(out), ending.shielded(jobs), show.steps() as begin:
        folder.mkdir(parents=True, exist_ok=True)
        runs.write_json(runs.plain(config), folder / "config.json")  # first, so that a run that is stopped can go on
        found = work.compare(todo, jobs, folder / "cache", begin(len(todo)))
        table = comparison_table(found)
        pairs = pair_table(found)
        _write(folder, found, table, pairs)
    show.comparison_table(table)
    again = int(found.outcomes["again"].sum())
    typer.echo(f"{len(todo)} fits, {again} of them from an earlier run; {out / 'table.csv'}, {out / 'figure.html'}")
    return {"run": out, "fits": len(todo), "earlier": again, "table": table, "pairs": pairs}


def _of_fractions(dataset: Dataset) -> Dataset:
    """The dataset without the benchmarks whose scores have no bounds, which the other methods do not know."""
    from dataclasses import replace

    scores = dataset.scores
    assert scores is not None
    if scores.bounded.all():
        return dataset
    kept = [name for name, its in zip(scores.benchmarks, scores.bounded, strict=True) if its]
    left = [name for name in scores.benchmarks if name not in set(kept)]
    if not kept:
        raise InputError(
            f"expected a benchmark whose scores are fractions to compare methods on, found {names.some(left)} alone; "
            f"csvjax evaluate judges the law on these"
        )
    typer.echo(f"left out of the comparison, whose methods know fractions alone: {names.some(left)}", err=True)
    return replace(dataset, scores=scores.select(benchmarks=kept))


def _write(folder: Path, found: Comparison, table: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """cells.parquet, table.csv, results.jsonl, figure.html, each of them whole or as before."""
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
