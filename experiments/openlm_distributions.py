"""Task scores on a training corpus that no fit has seen: the law on the OpenLM models.

    CSVJAX_DATA=tables python -m experiments.openlm_distributions --out runs/openlm
    CSVJAX_DATA=tables python -m experiments.openlm_distributions --quick --out runs/quick

Claim: which texts matter for a task can be learned from models of some corpora and holds on another one (the setting of
Ge et al. 2025, arXiv 2506.13216, on the 104 models of Gadre et al. 2024, arXiv 2403.08540; table of
github.com/mlfoundations/scaling a003c4913793). 17 tasks, 8 losses, each of three corpora from the two others; floors of
multiple choice are given.

Every row is the same law with another part of the evidence, averaged over the number of capabilities by the evidence of
the training rows: "losses and compute" sees the losses on all texts, parameters and training tokens; "mean loss" has no
salience (strength 0). Corpora have no effect of their own: two training corpora do not tell how large it is.

Measured (pooled R2 is the mean over 17 tasks; share of cells inside 90 % intervals). Numbers of capabilities are
weighed by leaving each of the two training corpora out (`csvjax.baselines.law`); by the evidence, which knows nothing
of what differs between corpora, K = 3 has nearly all:

                                       pooled R2   RMSE     CRPS     in 90 %
    losses and compute                 0.824       0.0419   0.0184   86 %     inner weights, mostly K = 1 and 2
    losses and compute, by evidence    0.797       0.0463   0.0198   85 %
    losses, by evidence                0.774       0.0496   0.0207   87 %
    compute, by evidence               0.767       0.0511   0.0214   89 %
    mean loss                          0.622       0.0658   0.0320   75 %

Fits with one K each (losses, parameters and tokens; 300 draws; log evidence of the training rows of the three folds,
nats):

                            pooled R2   RMSE     CRPS     in 90 %   log evidence
    K = 0, each alone       0.813       0.0448   0.0201   79 %      2636.0, 2566.7, 2546.0
    K = 1                   0.805       0.0433   0.0192   88 %      2644.8, 2522.2, 2412.5
    K = 2                   0.844       0.0393   0.0172   85 %      2728.6, 2597.9, 2610.1
    K = 3                   0.815       0.0451   0.0192   84 %      2734.8, 2608.1, 2622.5

Asked were a pooled R2 of 0.85, an RMSE of 0.035 and 85 to 95 %. The two laws that the one law replaces had 0.72 (joint,
losses), 0.76 (salience) and 0.80 (joint, with compute). Two training corpora are few: inner weights differ from fold to
fold (K = 1 0.79, 0.24, 0.88; K = 2 0.01, 0.39, 0.11). Searches of eight starts end in modes that are up to 22 nats
apart at K = 2; with four it was up to 55. "losses" and "compute" were not run with inner weights.

Also tried, with K from 1 to 3: laws that see only the losses or only the covariates, averaged with those that see both,
each with the weights of inner folds. All weighed together by pseudo-BMA+ (Yao et al. 2018): pooled R2 0.810, RMSE
0.0447, CRPS 0.0192, 88 %; a third for each kind of evidence: 0.815, 0.0430, 0.0185, 90 %; pseudo-BMA+ over K alone:
0.822, 0.0421, 0.0183, 86 %. The inner folds fit one corpus, where the losses of all texts fall together, and so they
prefer compute.

Last line, of "losses and compute": pooled_r2, the R2 of a task over the scores of all held-out corpora together,
averaged over tasks, and the same of the mean loss; rmse and crps over all cells; worst_task_gain, the least gain in
pooled R2 on the mean loss; coverage and the mean width of the 90 % intervals.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.baselines import hide
from csvjax.baselines.law import LawMethod, law_of_losses
from csvjax.evaluate.metrics import crps, r2
from csvjax.evaluate.protocols.openlm import corpus_problems
from csvjax.evaluate.protocols.problem import Problem
from csvjax.law.model import Priors
from experiments.running import LEVELS, begin, data_folder, intervals, once, start

AMOUNTS = ("params", "tokens", "params*tokens")
HEADLINE = "losses and compute"
LAWS: dict[str, LawMethod] = {
    HEADLINE: LawMethod(HEADLINE, frozenset({"losses", "compute"}), (0, 1, 2, 3), AMOUNTS, family=False),
    "losses": replace(law_of_losses(), capabilities=(0, 1, 2, 3)),
    "compute": LawMethod("compute", frozenset({"compute"}), (0, 1, 2, 3), AMOUNTS, family=False),
    "mean loss": replace(law_of_losses(), capabilities=(0,), priors=Priors(strength=0.0)),
}


def answers(problem: Problem, method: LawMethod, seed: int) -> list[dict[str, Any]]:
    """The mean of the draws, and intervals, of every task on the held-out corpus; and every score."""
    view = hide(problem.dataset, problem.fold.train, problem.targets)
    fit_key, draw_key = jax.random.split(jax.random.key(seed))
    fitted = method.fit(view, fit_key)
    drawn = fitted.draws(view.take(problem.fold.test), draw_key, method.count)
    shares = {f"K = {m.law.capabilities}": float(s) for m, s in zip(fitted.members, fitted.shares, strict=True)}
    rows = []
    for task, draws, y in zip(
        problem.targets, np.moveaxis(drawn, 2, 0), problem.observed[problem.fold.test].T, strict=True
    ):
        point = draws.mean(axis=0)
        row: dict[str, Any] = {"corpus": problem.fold.name, "task": task, "cells": len(y), "r2": r2(y, point)}
        row |= {"observed": y.tolist(), "predicted": point.tolist(), "crps": float(np.mean(crps(y, draws)))}
        rows.append(row | intervals(y, draws) | {"shares": shares})
    return rows


def pooled_r2(table: pd.DataFrame) -> pd.DataFrame:
    """R2 of each task (rows) and law (columns) over the scores of all held-out corpora together."""
    parts = table.groupby(["task", "law"])[["observed", "predicted"]]
    return parts.apply(lambda part: r2(*(np.concatenate(part[c].tolist()) for c in part))).unstack()


def figures_of(table: pd.DataFrame, law: str) -> dict[str, float]:
    """The headline of one law; see the top of this file."""
    pooled = pooled_r2(table)
    its = table[table["law"] == law]
    away = np.concatenate(its["observed"].tolist()) - np.concatenate(its["predicted"].tolist())
    return {
        "pooled_r2": float(pooled[law].mean()),
        "pooled_r2_mean_loss": float(pooled["mean loss"].mean()),
        "rmse": float(np.sqrt(np.mean(away**2))),
        "crps": float(np.average(its["crps"], weights=its["cells"])),
        "worst_task_gain": float((pooled[law] - pooled["mean loss"]).min()),
        **{f"coverage{level}": float(its[f"inside{level}"].sum() / its["cells"].sum()) for level in LEVELS},
        "width90": float(its["width90"].mean()),
    }


def main(out: Path = Path("runs/openlm_distributions"), quick: bool = False, seed: int = 0) -> None:
    """Every law on each held-out corpus."""
    problems = corpus_problems(data_folder() / "losses" / "openlm_scaling_104.csv", chance=True)
    folder = begin(out, {"command": "openlm_distributions", "seed": seed, "laws": LAWS})
    rows = []
    for problem in problems[: 1 if quick else None]:
        for name, law in LAWS.items():
            path = folder / "rows" / f"{problem.fold.name}, {name}.json"
            found = once(path, lambda p=problem, m=law: answers(p, m, seed))
            rows += [{"law": name, **row} for row in found]
            said = ", ".join(f"{k} {share:.2f}" for k, share in found[0]["shares"].items())
            typer.echo(f"{problem.fold.name}: {name}, {said}", err=True)
    table = pd.DataFrame(rows)
    with replacing(folder / "table.csv") as part:
        table.drop(columns=["observed", "predicted", "shares"]).to_csv(part, index=False, lineterminator="\n")
    typer.echo(pooled_r2(table)[list(LAWS)].round(3).to_string())
    typer.echo(pd.DataFrame({law: figures_of(table, law) for law in LAWS}).round(4).to_string())
    figures = figures_of(table, HEADLINE)
    runs.write_json(figures, folder / "figures.json")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    start(main)
