"""The demo: does salience predict held-out models better than the mean loss, and are the intervals calibrated?"""

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
"""Name and split of what is held out: every mixture in turn, the largest size, the last two checkpoints of all runs."""

ABILITIES = {
    "arithmetic_in_synthetic": ("synthetic", ("sum_2digit", "sum_3digit", "count")),
    "code_in_code": ("code", ("cloze_code", "bracket", "indent")),
}
"""Name of a result -> the domain in which the salience of these benchmarks should lie, and the benchmarks."""

LAW = Law(capabilities=0, covariates=(), effects=("family", "run"), priors=Priors(strength=MANY_UNITS))
"""Each benchmark has a salience of its own; the evidence of the training rows prefers this to shared capabilities by
130 nats. Compute is not a covariate, because the demo asks what the token losses alone predict."""

METHOD = Laplace(draws=400, map=Map(starts=2, finalists=1))
QUICK = Laplace(draws=200, map=Map(starts=1, finalists=1))
"""For a first look; `run_demo` also uses fewer groups of tokens with it."""

Tell = Callable[[str], None]


def signal(dataset: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The benchmarks whose scores differ between models by more than noise, and the other benchmarks.

    A benchmark is kept if more than half of the variance of its scores between models is not sampling noise of its n
    items, 1 - mean(y (1 - y) / n) / var(y) > 1/2, and if its best model is above chance by three standard errors of
    guessing. The rule uses scores only, so it favours no law. If n is unknown, the noise is taken as 0.

    Returns: names of the benchmarks that are kept, and of those that are left out.
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
    """Evaluate a law on the three splits of a ladder.

    Returns: the result of `csvjax.evaluate.crossfit.evaluate` with two more figures, `arithmetic_in_synthetic` and
    `code_in_code`: the mean share of the salience of arithmetic tasks in synthetic text, and of code tasks in code.
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
    """Run `evaluate_ladder` and write a run folder with a report. Benchmarks without a signal are left out.

    Args:
        out: the run folder to write.
        seed: seed of all random numbers.
        quick: use late checkpoints only, and smaller settings.
        begin: takes the number of steps and returns a function, which is called with a sentence for each step.
        ladder: folder of another ladder; None for the ladder that comes with csvjax.

    Returns: the figures of the evaluation.

    Raises: InputError if `out` holds something else than a run, and if no benchmark has a signal.
    """
    runs.check_out(out)
    dataset = load_ladder(ladder)
    kept, left_out = signal(dataset)
    if not kept:
        raise InputError(
            f"expected a benchmark whose scores differ by more than noise and are above chance, found none among "
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
