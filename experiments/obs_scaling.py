"""Downstream scores of larger models from their standard benchmarks: the joint law on observational scaling laws.

CSVJAX_DATA=tables python -m experiments.obs_scaling --out runs/obs_scaling
CSVJAX_DATA=tables python -m experiments.obs_scaling --quick --out runs/quick
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.errors import InputError
from csvjax.evaluate.metrics import interval
from csvjax.evaluate.protocols.observational import AGENTS, EMERGENT, POST_TRAINING, agents, emergent, post_training
from csvjax.evaluate.protocols.problem import Problem
from csvjax.laws.baselines import find_methods, hide
from csvjax.laws.baselines.joint import JointMethod

LEVELS = (50, 80, 90)
LATER = ("Word Unscramble", "Persian QA", "3-digit subtraction", "2-digit multiplication")


def problems(folder: Path, quick: bool) -> dict[str, Problem]:
    """All rows of the published tables; the ten headline rows come first."""
    early = [name for name in EMERGENT if name != "IPA transliterate"]
    found = [emergent(folder, name) for name in early] + [post_training(folder, name) for name in POST_TRAINING]
    found += [emergent(folder, "IPA transliterate"), *(emergent(folder, name, later=True) for name in LATER)]
    found += [agents(folder, name) for name in AGENTS]
    return {problem.name: problem for problem in found[: 1 if quick else None]}


HEADLINE = 10


def judge(problem: Problem, draws: np.ndarray) -> dict[str, float]:
    """Squared error on the rescaled target, and intervals, of the rows to predict. draws [draw, row, 1]."""
    asked = problem.fold.test & ~np.isnan(problem.observed[:, 0])
    y, drawn = problem.observed[asked, 0], draws[:, asked, 0]
    table = problem.dataset.scores
    assert table is not None
    span = float(
        table.select(benchmarks=problem.targets).ceiling[0] - table.select(benchmarks=problem.targets).floor[0]
    )
    row = {"cells": float(len(y)), "mse": float(np.mean(((drawn.mean(axis=0) - y) / span) ** 2))}
    for level in LEVELS:
        low, high = interval(drawn, level / 100)
        row[f"inside{level}"] = float(np.sum((y >= low - 1e-6) & (y <= high + 1e-6)))
        row[f"width{level}"] = float(np.mean((high - low) / span))
    return row


def answers(problem: Problem, method: JointMethod, seed: int) -> dict[str, dict[str, float]]:
    """The joint law averaged by evidence, averaged equally, and with every number of capabilities alone."""
    view = hide(problem.dataset, problem.fold.train, problem.targets)
    fit_key, draw_key = jax.random.split(jax.random.key(seed))
    fitted = method.fit(view, fit_key)
    found = {"joint": judge(problem, fitted.draws(view, draw_key, method.count))}
    for k, member in zip(method.capabilities, fitted.members, strict=True):
        alone = fitted.draws_of(member, view, draw_key, method.count)
        found[f"K = {k}"] = judge(problem, alone)
        found[f"K = {k}"]["share"] = float(fitted.shares[method.capabilities.index(k)])
    each = [fitted.draws_of(m, view, draw_key, method.count // len(fitted.members)) for m in fitted.members]
    found["equal shares"] = judge(problem, np.concatenate(each))
    return found


def figures_of(table: pd.DataFrame, headline: list[str]) -> dict[str, float]:
    """geomean_test_mse over the headline rows; coverage and mean width over all cells of all rows, of the joint law."""
    joint = table[table["method"] == "joint"]
    cells = joint["cells"].sum()
    first = joint[joint["task"].isin(headline)]
    found = {"geomean_test_mse": float(np.exp(np.log(first["mse"]).mean()))}
    found |= {f"coverage{level}": float(joint[f"inside{level}"].sum() / cells) for level in LEVELS}
    return found | {"width90": float((joint["width90"] * joint["cells"]).sum() / cells)}


def main(out: Path = Path("runs/obs_scaling"), quick: bool = False, seed: int = 0) -> None:
    """The joint law on all published rows of observational scaling laws."""
    if "CSVJAX_DATA" not in os.environ:
        raise InputError("expected CSVJAX_DATA to name the folder of public tables, found it unset; set it")
    folder = runs.check_out(out)
    folder.mkdir(parents=True, exist_ok=True)
    method = find_methods(["joint"])["joint"]
    assert isinstance(method, JointMethod)
    todo = problems(Path(os.environ["CSVJAX_DATA"]) / "obsscaling", quick)
    config = {"format": runs.FORMAT, "command": "obs_scaling", "seed": seed, "method": runs.plain(method)}
    runs.write_json(config, folder / "config.json")
    rows = []
    for name, problem in todo.items():
        done = folder / "rows" / f"{name}.json"
        if not done.exists():
            done.parent.mkdir(exist_ok=True)
            runs.write_json(answers(problem, method, seed), done)
        for label, row in json.loads(done.read_text(encoding="utf-8")).items():
            rows.append({"task": name, "method": label, **row})
        typer.echo(
            f"{name}: " + ", ".join(f"{r['method']} {r['mse']:.2e}" for r in rows if r["task"] == name), err=True
        )
    table = pd.DataFrame(rows)
    with replacing(folder / "table.csv") as part:
        table.to_csv(part, index=False, lineterminator="\n")
    headline = list(todo)[:HEADLINE]
    first = table[table["task"].isin(headline)]
    for label, group in first.groupby("method", sort=False):
        typer.echo(f"{label}: geometric mean of the headline rows {np.exp(np.log(group['mse']).mean()):.2e}")
    figures = figures_of(table, headline)
    runs.write_json(figures, folder / "figures.json")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    typer.run(main)
