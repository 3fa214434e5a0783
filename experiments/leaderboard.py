"""All methods on all published protocols, judged by the same referee.

    CSVJAX_DATA=tables python -m experiments.leaderboard --out runs/leaderboard
    CSVJAX_DATA=tables python -m experiments.leaderboard --quick --out runs/quick

Claim: each competitor is the real thing (the tests hold each to its published numbers), and where one of them beats
another the table says so. CSVJAX_DATA names a folder with the public tables of github.com/ryoungj/ObsScaling
4d6e1e43fd26 (obsscaling/), github.com/felipemaiapolo/sloth 6dc6bb3efeef (sloth/) and github.com/mlfoundations/scaling
a003c4913793 (losses/openlm_scaling_104.csv).

First table: mean squared error x 1e3 on the rescaled target, geometric mean over the tasks of observational scaling
laws (arXiv 2405.10938); mean absolute error in points over the held-out families of Sloth (arXiv 2412.06540), of which
one or two models are seen; median R2 over tasks and held-out corpora of the OpenLM models (arXiv 2403.08540). A star:
some held-out scores were not answered, for want of compute. A dash: the method needs what the protocol does not give.
Second table: CRPS and share of the held-out scores inside the 90 % interval, over all cells of a group of protocols. A
method that is added to `csvjax.baselines.METHODS` is in the next run.

Measured with the joint law that the one law replaces: 228 rows, 0 failed, 4157 CPU seconds of fits and draws, 36
minutes on 2 cores where 30 were asked, in a first run. 3250 seconds are that law's, some 1500 of them compile its
programs: five shapes, three or four numbers of capabilities, in both workers, because each starts before the other has
kept what it made. It has the least error in all Sloth columns and the lowest CRPS in both of its groups; on emergent
tasks and GSM8K three components err less, whose number was published with the test rows in view. Short of the published
figures: see the tests of each method.

A full run is committed as experiments/results/leaderboard.json, from which `experiments.tables` writes docs/results.md.
What --out has is not computed again. Last line: minutes (of this run), rows (pairs of a method and a protocol),
failed_rows.
"""

from __future__ import annotations

import datetime
import json
import math
import time
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.baselines import BY_NAME, METHODS
from csvjax.cluster import Where
from csvjax.evaluate.compare import Comparison, compare, tasks, versions
from csvjax.evaluate.compare_table import comparison_table
from csvjax.evaluate.protocols.board import Protocol, protocols, question_of
from experiments.running import data_folder, start
from experiments.tables import headlines, interval_table

_GROUPS = {"observational": ("emergent", "GSM8K", "IPA", "later models", "agents"), "Sloth": (), "corpus": ()}


def main(
    out: Path = Path("runs/leaderboard"),
    quick: bool = False,
    jobs: Annotated[int, typer.Option(min=1)] = 2,
    methods: Annotated[str, typer.Option(help="Some of the methods, by name.")] = "all",
) -> None:
    """Every method on every published protocol."""
    begun = time.monotonic()
    board = protocols(data_folder(), quick)
    folder = runs.check_out(out)
    wanted = list(METHODS) if methods == "all" else methods.split(",")
    work = [task for protocol in board for task in _tasks(protocol, wanted)]
    folder.mkdir(parents=True, exist_ok=True)
    runs.write_json({"format": runs.FORMAT, "command": "leaderboard", "versions": versions()}, folder / "config.json")
    found = compare(work, Where(jobs), folder / "cache", lambda sentence: typer.echo(sentence, err=True))
    table = comparison_table(found, resamples=500)
    headline = pd.DataFrame([_row(protocol, method, found) for protocol in board for method in wanted])
    for name, frame in (("table.csv", table), ("headline.csv", headline)):
        with replacing(folder / name) as part:
            frame.to_csv(part, index=False, lineterminator="\n")
    figures = {
        "minutes": round((time.monotonic() - begun) / 60, 2),
        "rows": float(len(headline)),
        "failed_rows": float((headline["status"] == "failed").sum()),
    }
    result = _result(board, wanted, headline, found)
    runs.write_json(result | {"figures": figures}, folder / "leaderboard.json")
    typer.echo("\n".join([*headlines(result), "", *interval_table(result), ""]))
    runs.write_json(figures, folder / "figures.json")
    typer.echo(json.dumps(figures))


def _tasks(protocol: Protocol, wanted: list[str]) -> list:
    made = {name: {**METHODS, **BY_NAME, **protocol.published}[name]() for name in wanted}
    return [
        task
        for problem in protocol.problems
        for task in tasks(problem.dataset, [question_of(problem, protocol.name)], made)
    ]


def _row(protocol: Protocol, method: str, found: Comparison) -> dict[str, object]:
    outcomes = found.outcomes[(found.outcomes["split"] == protocol.name) & (found.outcomes["method"] == method)]
    cells = found.cells[(found.cells["split"] == protocol.name) & (found.cells["method"] == method)]
    wrong = outcomes[outcomes["status"] != "ok"]
    status = "ok" if wrong.empty else "failed" if (wrong["status"] == "failed").any() else wrong["status"].iloc[0]
    answered = cells[cells["crps"].notna()]
    return {
        "protocol": protocol.name,
        "method": method,
        "status": status,
        "reason": "" if wrong.empty else wrong["reason"].iloc[0],
        "figure": protocol.figure(answered) if len(answered) else float("nan"),
        "whole": bool(outcomes["answered"].sum() == outcomes["asked"].sum()),
        "seconds": outcomes["seconds"].sum(),
    }


def _result(
    board: tuple[Protocol, ...], wanted: list[str], headline: pd.DataFrame, found: Comparison
) -> dict[str, Any]:
    """What the tables show, as plain values; None where a method has no answer."""
    at = headline.set_index(["protocol", "method"])
    groups = {name: [s for s in found.outcomes["split"].unique() if _group(s) == name] for name in _GROUPS}
    methods = {}
    for method in wanted:
        value = {p.name: float(at.loc[(p.name, method), "figure"]) for p in board}
        methods[method] = {
            "figures": {name: None if math.isnan(v) else v for name, v in value.items()},
            "in part": [p.name for p in board if not at.loc[(p.name, method), "whole"]],
            "intervals": {name: _intervals(found, method, splits) for name, splits in groups.items()},
            "seconds": float(headline.loc[headline["method"] == method, "seconds"].sum()),
        }
    return {
        "command": "python -m experiments.leaderboard --out runs/leaderboard",
        "date": datetime.date.today().isoformat(),
        "versions": versions(),
        "better": {p.name: p.better for p in board},
        "methods": methods,
    }


def _intervals(found: Comparison, method: str, splits: list[str]) -> dict[str, float] | None:
    """CRPS and share inside the 90 % interval over all cells of some protocols."""
    cells = found.cells[found.cells["split"].isin(splits) & (found.cells["method"] == method)]
    cells = cells[cells["crps"].notna()]
    if cells.empty:
        return None
    inside = (cells["observed"] >= cells["lower90"] - 1e-6) & (cells["observed"] <= cells["upper90"] + 1e-6)
    return {"crps": float(cells["crps"].mean()), "coverage90": float(inside.mean())}


def _group(split: str) -> str:
    if split.startswith("Sloth"):
        return "Sloth"
    return "observational" if split in _GROUPS["observational"] else "corpus"


if __name__ == "__main__":
    start(main)
