"""Salience that the law itself planted: is it inside its intervals, whatever the number of units?

    python -m experiments.planted_salience --out runs/planted
    python -m experiments.planted_salience --quick --out runs/quick

Claim: with 5, 200 and 20,000 units of text and one or two shared capabilities, 90 % intervals of salience (logits that
a benchmark loses for a nat more on a group of units) hold 90 % of what was planted. Parameters are drawn from their
prior, the field from its own, losses are a skill of each model, what its family's text does to each of five domains,
and noise of each unit; 60 models of 12 families, 6 benchmarks of 500 items with a chance level of 0.25. Up to 64 units
salience is free on each; beyond, on combinations of groups, as in every fit. Fits are Laplace's approximation, as for
tables of this size by default.

Figures (last line): coverage90_UNITS_K, the share of all cells (benchmark, group) inside, and low, high: the ends of a
95 % interval of it by simulations, whose cells depend on each other; rank_UNITS_K, the correlation between the planted
and the mean salience over all cells.

Measured, 20 simulations each (95 % interval of the coverage, rank, share of fits that converged; a fit whose scores
hardly vary, as some priors make them, does not):

    5 units, K = 1         0.925   0.88 to 0.97   0.88   0.95
    5 units, K = 2         0.903   0.84 to 0.97   0.85   0.75
    200 units, K = 1       0.925   0.89 to 0.96   0.92   1.00
    200 units, K = 2       0.942   0.92 to 0.97   0.87   0.80
    20,000 units, K = 1    0.879   0.84 to 0.92   0.88   0.95
    20,000 units, K = 2    0.875   0.83 to 0.92   0.78   0.80

A fit takes 2 to 6 CPU seconds, and half a minute where it compiles.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import typer

import csvjax
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import FitWarning
from csvjax.evaluate.simulate import simulate
from csvjax.law.density import law_density
from csvjax.law.evidence import make_evidence
from csvjax.law.model import MANY_UNITS, Law, Priors
from csvjax.law.predictive import draw_salience
from csvjax.precision import float64
from experiments.running import begin, once, start

LMS, FAMILIES, BENCHMARKS, ITEMS, DOMAINS = 60, 12, 6, 500, 5
METHOD = csvjax.Laplace(draws=400, map=csvjax.Map(starts=4))


def blank(units: int, rng: np.random.Generator) -> Dataset:
    """Models, losses and benchmarks; every score is a half."""
    family = np.arange(LMS) % FAMILIES
    names = tuple(f"m{i:02d}" for i in range(LMS))
    flops = 10 ** rng.uniform(20, 23, LMS)
    lms = pd.DataFrame({"family": [f"f{i:02d}" for i in family], "params": np.nan, "tokens": np.nan, "flops": flops})
    domain = np.arange(units) * DOMAINS // units
    skill = 0.2 * (np.log10(flops) - 21.5) + rng.normal(0, 0.1, LMS)
    tilt = rng.normal(0, 0.2, (FAMILIES, DOMAINS))[family][:, domain]
    loss = 3.0 + rng.normal(0, 0.3, units) - skill[:, None] + tilt + rng.normal(0, 0.1, (LMS, units))
    table = pd.DataFrame({"token": "t", "document": "d", "domain": [f"domain {d}" for d in domain]})
    table = table.assign(start=np.arange(units), bytes=1)
    each = np.ones(BENCHMARKS)
    score = ScoreTable(names, tuple(f"b{b}" for b in range(BENCHMARKS)), np.full((LMS, BENCHMARKS), 0.5), ITEMS * each)
    score = replace(score, floor=0.25 * each)
    return Dataset(lms.set_axis(pd.Index(names, name="lm", dtype=str)), score, LossTable(names, loss, table))


@float64
def simulation(units: int, capabilities: int, number: int) -> dict[str, Any]:
    """Planted salience [benchmark, group], its posterior mean and the ends of its 90 % interval."""
    rng = np.random.default_rng([units, capabilities, number])
    strength = MANY_UNITS if units > 64 else Priors().strength
    law = Law(capabilities, ("flops",), ("family",), priors=Priors(strength=strength), outliers=0.0)
    data, density, key = blank(units, rng), law_density(law), jax.random.key(number)
    assert data.scores is not None
    every = np.ones((LMS, BENCHMARKS), bool)
    e = make_evidence(data, every, law)[0]
    x = np.asarray(density.start(key, e))[None]
    score = simulate(density, law.tail, e, x, jax.random.fold_in(key, 1)).score[0]
    made = replace(data, scores=replace(data.scores, score=score))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # counted below
        found = csvjax.fit(made, law, method=METHOD, seed=number)
    truth = np.asarray(draw_salience(density, e, x))[0]
    drawn = np.asarray(draw_salience(density, found.evidence, found.draws()))
    low, high = np.nanquantile(drawn, [0.05, 0.95], axis=0)
    rows = {"truth": truth, "mean": np.nanmean(drawn, axis=0), "low": low, "high": high}
    return {"ok": found.status.ok, "spread": float(score.std()), **{name: v.tolist() for name, v in rows.items()}}


def figures_of(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Coverage with a 95 % interval by simulations, and the correlation of planted and mean salience."""
    truth, mean, low, high = (np.array([row[name] for row in rows]) for name in ("truth", "mean", "low", "high"))
    inside = ((truth >= low) & (truth <= high)).mean(axis=(1, 2))
    error = 1.96 * inside.std(ddof=1) / np.sqrt(len(inside))
    rank = np.corrcoef(np.ravel(truth).argsort().argsort(), np.ravel(mean).argsort().argsort())[0, 1]
    covered = float(inside.mean())
    ends = {"low": covered - error, "high": covered + error}
    return {"coverage90": covered, **ends, "rank": float(rank), "converged": float(np.mean([r["ok"] for r in rows]))}


def main(out: Path = Path("runs/planted"), quick: bool = False, simulations: int = 20) -> None:
    """Every number of units and of capabilities."""
    folder = begin(out, {"command": "planted_salience", "quick": quick})
    figures: dict[str, float] = {}
    for units in (5, 200) if quick else (5, 200, 20_000):
        for k in (1,) if quick else (1, 2):
            rows = [
                once(folder / f"{units}-{k}-{i}.json", lambda u=units, k=k, i=i: simulation(u, k, i))
                for i in range(2 if quick else simulations)
            ]
            found = figures_of(rows)
            typer.echo(f"{units} units, K = {k}: {json.dumps({n: round(v, 3) for n, v in found.items()})}", err=True)
            figures |= {f"{name}_{units}_{k}": value for name, value in found.items()}
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    start(main)
