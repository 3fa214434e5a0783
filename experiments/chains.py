"""Whether chains of the law agree on public tables: r-hat of what is identified, by NUTS.

    CSVJAX_DATA=tables python -m experiments.chains --out runs/chains
    CSVJAX_DATA=tables python -m experiments.chains --quick --out runs/quick

Claim: with capabilities and loadings aligned, and with signs and order of contrasts undone between chains, the chains
of the law agree (largest r-hat at most 1.01) with three capabilities on the training cells of Sloth's v2, one
model seen (arXiv 2412.06540; 102 models, 6 benchmarks), and of Word Unscramble in observational scaling laws (arXiv
2405.10938; 63 models, 9 benchmarks). Plain loadings that are positive do not identify the rotation: 1.1.

Measured with the joint law that the one law replaces (largest r-hat; two chains):

                     capability   loading   logit    parameters   divergences   CPU s
    Sloth v2         1.005        1.004     1.004    1.005        0             1,420
    Word Unscramble  1.003        1.002     1.003    1.006        1               395

These chains had 1,200 and 1,500 draws, a prior Beta(10, 1) of the ceilings of Sloth v2 and ceilings of 1 for Word
Unscramble; with 600 draws the capabilities of Sloth v2 had 1.013.

The chains go on after a stop. Last line: rhat_capability, rhat_loading, rhat_logit, the largest of both tables.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.evaluate.protocols.observational import emergent
from csvjax.evaluate.protocols.problem import Problem
from csvjax.fitting import fit
from csvjax.infer import Nuts
from csvjax.law.model import Law
from csvjax.result.draws import convergence, law_draws
from experiments.running import begin, data_folder, start
from experiments.sloth_families import settings

COVARIATES = {"Sloth v2": ("params", "tokens", "params*tokens"), "Word Unscramble": ("flops",)}


def tables(folder: Path) -> dict[str, Problem]:
    """The first held-out family of Sloth's v2; the task of observational scaling laws with most models."""
    sloth = settings(folder / "sloth" / "data_v2.csv", False)["v2_n1"][0]
    return {"Sloth v2": sloth, "Word Unscramble": emergent(folder / "obsscaling", "Word Unscramble")}


def agreement(problem: Problem, covariates: tuple[str, ...], method: Nuts, seed: int, chains: Path) -> pd.DataFrame:
    """The table of `csvjax.result.draws.convergence` for a fit of what the training rows show of the targets."""
    scores = problem.dataset.scores
    assert scores is not None
    seen = np.isfinite(scores.score)
    seen[np.ix_(~problem.fold.train, [scores.benchmarks.index(name) for name in problem.targets])] = False
    law = Law(3, covariates, ("family",))
    found = fit(problem.dataset, law, method=method, seen=seen, seed=seed, chains=chains)
    typer.echo(f"{problem.name}: {found.status}", err=True)
    return convergence(found, law_draws(found, seed))


def main(out: Path = Path("runs/chains"), quick: bool = False, seed: int = 0) -> None:
    """Two chains on each table."""
    method = Nuts(warmup=50, draws=50, chains=2) if quick else Nuts(warmup=400, draws=1200, chains=2)
    folder = begin(out, {"command": "chains", "seed": seed, "method": method})
    parts = []
    for name, problem in tables(data_folder()).items():
        path = folder / f"{name}.csv"
        if not path.exists():
            with replacing(path) as part:
                table = agreement(problem, COVARIATES[name], method, seed, folder / f"{name} chains")
                table.to_csv(part, index=False, lineterminator="\n")
        parts.append(pd.read_csv(path).assign(table=name))
    table = pd.concat(parts)
    typer.echo(table.set_index(["table", "quantity"]).round(4).to_string())
    worst = table.groupby("quantity")["rhat"].max()
    short = {"capability, aligned": "capability", "loading, aligned": "loading", "logit": "logit"}
    figures = {f"rhat_{new}": float(worst[old]) for old, new in short.items()}
    runs.write_json(figures, folder / "figures.json")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    start(main)
