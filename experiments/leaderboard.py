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

Without --quick the tables between the two marker comments of docs/results.md are written anew. What --out has is not
computed again. Last line: minutes (of this run), rows (pairs of a method and a protocol), failed_rows.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.baselines import BY_NAME, METHODS
from csvjax.cluster import Where
from csvjax.errors import InputError
from csvjax.evaluate.compare import Comparison, compare, tasks, versions
from csvjax.evaluate.compare_table import comparison_table
from csvjax.evaluate.protocols.board import Protocol, protocols, question_of
from experiments.running import data_folder, start

PAGE = Path(__file__).parent.parent / "docs" / "results.md"
MARKS = "<!-- leaderboard: python -m experiments.leaderboard -->", "<!-- end of leaderboard -->"
_GROUPS = {"observational": ("emergent", "GSM8K", "IPA", "later models", "agents"), "Sloth": (), "corpus": ()}


def main(
    out: Path = Path("runs/leaderboard"),
    quick: bool = False,
    jobs: Annotated[int, typer.Option(min=1)] = 2,
    methods: Annotated[str, typer.Option(help="Some of the methods, by name.")] = "all",
    page: Annotated[Path, typer.Option(help="The file with the marker comments.")] = PAGE,
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
    text = _markdown(board, wanted, headline, found)
    (folder / "table.md").write_text(text, encoding="utf-8")
    if not quick and methods == "all":
        _write_page(page, text)
    typer.echo(text)
    figures = {
        "minutes": round((time.monotonic() - begun) / 60, 2),
        "rows": len(headline),
        "failed_rows": int((headline["status"] == "failed").sum()),
    }
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


def _markdown(board: tuple[Protocol, ...], wanted: list[str], headline: pd.DataFrame, found: Comparison) -> str:
    at = headline.set_index(["protocol", "method"])
    figure = {key: float(value) for key, value in at["figure"].items()}
    known = {p.name: [v for m in wanted if not math.isnan(v := figure[p.name, m])] or [math.nan] for p in board}
    best = {p.name: min(known[p.name]) if p.better == "lower" else max(known[p.name]) for p in board}
    lines = ["| | " + " | ".join(p.name for p in board) + " |", "|---" * (len(board) + 1) + "|"]
    for method in wanted:
        row = []
        for p in board:
            value, whole = figure[p.name, method], at.loc[(p.name, method), "whole"]
            text = "-" if math.isnan(value) else _digits(value) + ("" if whole else "*")
            row.append(f"**{text}**" if value == best[p.name] else text)
        lines.append(f"| {method} | " + " | ".join(row) + " |")
    lines += ["", *_intervals(wanted, headline, found), ""]
    now = datetime.date.today().isoformat()
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines.append(f"{now}; {packages}; {headline['seconds'].sum():.0f} CPU seconds. Star: some scores not answered.")
    return "\n".join(lines) + "\n"


def _intervals(wanted: list[str], headline: pd.DataFrame, found: Comparison) -> list[str]:
    groups = {name: [s for s in found.outcomes["split"].unique() if _group(s) == name] for name in _GROUPS}
    headings = [f"{name}: CRPS | in 90 %" for name in groups]
    lines = ["| | " + " | ".join(headings) + " | CPU s |", "|---" * (2 * len(groups) + 2) + "|"]
    for method in wanted:
        row = []
        for splits in groups.values():
            cells = found.cells[found.cells["split"].isin(splits) & (found.cells["method"] == method)]
            cells = cells[cells["crps"].notna()]
            inside = (cells["observed"] >= cells["lower90"] - 1e-6) & (cells["observed"] <= cells["upper90"] + 1e-6)
            row += [f"{cells['crps'].mean():.4f}", f"{inside.mean():.0%}"] if len(cells) else ["-", "-"]
        seconds = headline.loc[headline["method"] == method, "seconds"].sum()
        lines.append(f"| {method} | " + " | ".join(row) + f" | {seconds:.0f} |")
    return lines


def _group(split: str) -> str:
    if split.startswith("Sloth"):
        return "Sloth"
    return "observational" if split in _GROUPS["observational"] else "corpus"


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _write_page(page: Path, text: str) -> None:
    """Put the tables between the marker comments."""
    old = page.read_text(encoding="utf-8")
    first, last = map(re.escape, MARKS)
    new, count = re.subn(f"({first}\n).*?({last})", lambda m: f"{m[1]}\n{text}\n{m[2]}", old, flags=re.DOTALL)
    if count != 1:
        raise InputError(f"expected the markers {MARKS[0]} and {MARKS[1]} once in {page}, found them {count} times")
    with replacing(page) as part:
        part.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    start(main)
