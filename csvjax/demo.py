"""The main job: are held-out models predicted better by salience than by the mean loss, and do the intervals hold?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from csvjax import runs
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.evaluate.crossfit import Evaluation, count_fits, evaluate
from csvjax.infer import Laplace, Map, Method
from csvjax.ladder.load import load_ladder
from csvjax.law.model import MANY_UNITS, Law, Priors
from csvjax.report.evaluation import save_evaluation

__all__ = ["LAW", "METHOD", "QUICK", "SPLITS", "evaluate_ladder", "run_demo", "signal"]

SPLITS = {"mixture": "leave-one-out:family", "size": "weak-to-strong:params", "checkpoint": "weak-to-strong:step:2"}
"""What is held out, and how: every mixture in turn, the largest size, the last two checkpoints of every run."""

ABILITIES = {
    "arithmetic_in_synthetic": ("synthetic", ("sum_2digit", "sum_3digit", "count")),
    "code_in_code": ("code", ("cloze_code", "bracket", "indent")),
}
"""Figures that say where the salience of a kind of task lies: (domain, benchmarks)."""

LAW = Law(capabilities=0, covariates=(), effects=("family", "run"), priors=Priors(strength=MANY_UNITS))
"""Each benchmark with a salience of its own, which the evidence of the training rows prefers to shared capabilities by
130 nats; without compute as a covariate: the question is what the tokens tell."""

METHOD = Laplace(draws=400, map=Map(starts=2, finalists=1))
QUICK = Laplace(draws=200, map=Map(starts=1, finalists=1))
"""A first look; with it go fewer groups of tokens."""

Tell = Callable[[str], None]


def signal(dataset: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Benchmarks on which the models do something, and those that are left out.

    A benchmark counts when more than half of the variance of its scores among models is not the noise of its items,
    1 - mean(y (1 - y) / n) / var(y) > 1/2, and its best model beats guessing by three standard errors of a guesser. The
    rule looks at scores alone and so favours no law. With n unknown nothing is known of the noise, and the benchmark
    counts.
    """
    scores = dataset.measured()[0]
    y, floor, n = scores.score, np.nan_to_num(scores.floor), scores.n_items
    noise = np.nan_to_num(np.nanmean(y * (1 - y), axis=0) / n)
    beats = np.nanmax(y, axis=0) > floor + 3 * np.nan_to_num(np.sqrt(floor * (1 - floor) / n))
    counts = beats & (noise < np.nanvar(y, axis=0) / 2)
    kept = tuple(b for b, c in zip(scores.benchmarks, counts, strict=True) if c)
    return kept, tuple(b for b in scores.benchmarks if b not in kept)


def evaluate_ladder(
    dataset: Dataset, law: Law = LAW, method: Method = METHOD, seed: int = 0, tell: Tell = lambda sentence: None
) -> Evaluation:
    """`evaluate` on the three splits of a ladder, and where the salience of its sum and code tasks lies.

    More figures: arithmetic_in_synthetic and code_in_code, mean share of their salience in synthetic text and in code.
    """
    found = evaluate(dataset, SPLITS, law, method, seed, tell)
    shares = found.fit.salience().groupby(["benchmark", "domain"])["share"].sum()
    more = {
        name: float(np.mean([shares[benchmark, domain] for benchmark in among]))
        for name, (domain, tasks) in ABILITIES.items()
        if (among := [b for b in tasks if (b, domain) in shares.index])
    }
    return found._replace(figures=found.figures | more)


def run_demo(
    out: Path,
    seed: int = 0,
    quick: bool = False,
    begin: Callable[[int], Tell] = lambda steps: lambda sentence: None,
    ladder: Path | None = None,
) -> dict[str, float]:
    """`evaluate_ladder` on the ladder of the package, or the one in the folder `ladder`, without the benchmarks that
    have no signal: the figures.

    `out` becomes a run folder with its report. `quick`: late checkpoints only and smaller settings. `begin(steps)`
    gives the function that is told of each of the steps.

    Raises: InputError if `out` may not be written, and if no benchmark has a signal.
    """
    runs.check_out(out)
    dataset = load_ladder(ladder)
    kept, left_out = signal(dataset)
    if not kept:
        raise InputError(
            f"expected a benchmark whose scores are more than guessing and the noise of its items, found none among "
            f"{', '.join(left_out)}; train a larger ladder"
        )
    law, method = LAW, METHOD
    if quick:
        law, method = replace(LAW, per_domain=10, features=4), QUICK
        late = dataset.lms["step"].isin(np.unique(dataset.lms["step"])[-4:])
        dataset = dataset.subset(list(dataset.lms.index[late]))
    dataset = replace(dataset, scores=dataset.measured()[0].select(benchmarks=kept))
    config = {
        "dataset": "ladder" if ladder is None else str(ladder),
        "command": "demo",
        "models": len(dataset.lms),
        "benchmarks": kept,
        "benchmarks without a signal": left_out,
        "splits": list(SPLITS.values()),
        "law": law,
        "method": method,
        "seed": seed,
    }
    with runs.begin(out, config) as run:
        found = evaluate_ladder(dataset, law, method, seed, begin(count_fits(dataset, SPLITS, law)))
        save_evaluation(found, run)
    return found.figures
