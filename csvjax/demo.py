"""The main job: are held-out models predicted better by salience than by the mean loss, and do the intervals hold?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from csvjax import runs
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.evaluate import POOLED, parse_split, score_table, splits
from csvjax.ladder.load import load_ladder
from csvjax.laws.crossfit import crossfit, unit_salience
from csvjax.laws.fit_salience import Settings, fit_salience
from csvjax.report import write_report

__all__ = [
    "QUICK",
    "SPLITS",
    "Evaluation",
    "count_steps",
    "evaluate",
    "evaluate_ladder",
    "figures_of",
    "run_demo",
    "save_evaluation",
    "signal",
]

SPLITS = {"mixture": "leave-one-out:family", "size": "weak-to-strong:params", "checkpoint": "weak-to-strong:step:2"}
"""What is held out, and how: every mixture in turn, the largest size, the last two checkpoints of every run."""

ABILITIES = {
    "arithmetic_in_synthetic": ("synthetic", ("sum_2digit", "sum_3digit", "count")),
    "code_in_code": ("code", ("cloze_code", "bracket", "indent")),
}
"""Figures that say where the salience of a kind of task lies: (domain, benchmarks)."""

QUICK = Settings(strengths=(0.0, 0.3), per_domain=10, features=4, draws=200, starts=1)
"""A first look: fewer strengths, groups of tokens and draws."""

Tell = Callable[[str], None]


class Evaluation(NamedTuple):
    """`predictions` and `choices` of every split and law (see `Crossfit`), their `metrics` and headline `figures`; the
    `salience` of every token in a fit to all models, whose `status` is a sentence.
    """

    predictions: pd.DataFrame
    choices: pd.DataFrame
    metrics: pd.DataFrame
    figures: dict[str, float]
    salience: pd.DataFrame
    status: str


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


def count_steps(dataset: Dataset, kinds: Mapping[str, str]) -> int:
    """How often `evaluate` calls `tell`."""
    return 1 + 2 * sum(len(parse_split(split, dataset.lms).folds) for split in kinds.values())


def evaluate(
    dataset: Dataset,
    kinds: Mapping[str, str],
    settings: Settings = Settings(),
    seed: int = 0,
    tell: Tell = lambda sentence: None,
) -> Evaluation:
    """Both laws on every split of `kinds` (name -> text of a split); then salience fitted to all models."""
    laws = {"mean_loss": settings.mean_loss, "salience": settings}
    parts = [crossfit(dataset, split, laws, seed, tell) for split in kinds.values()]
    predictions = pd.concat([part.predictions for part in parts], ignore_index=True)
    metrics = score_table(predictions)
    tell("salience of every token, from all models")
    everything = np.ones(len(dataset.lms), bool)
    inner = splits.inner(next(iter(kinds.values())), dataset.lms, everything).folds
    fit = fit_salience(dataset, everything, inner, settings, seed)
    return Evaluation(
        predictions,
        pd.concat([part.choices for part in parts], ignore_index=True),
        metrics,
        figures_of(metrics, kinds),
        unit_salience(dataset, fit),
        fit.status,
    )


def figures_of(metrics: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, float]:
    """The headline: r2_gain, mean over benchmarks of R2(salience) - R2(mean loss) in the first split; worst_task_gain,
    the least of them; coverage90_KIND, share of held-out scores inside the 90 % interval of salience in every split;
    crps_ratio, CRPS of salience over that of the mean loss, each the mean over benchmarks, in the first split.
    """
    values = {
        (row["split"], row["law"], row["benchmark"]): {name: float(row[name]) for name in ("r2", "crps", "coverage90")}
        for row in metrics.to_dict("records")
    }
    first = next(iter(kinds.values()))
    gain = np.array(
        [
            values[first, "salience", benchmark]["r2"] - values[first, "mean_loss", benchmark]["r2"]
            for split, law, benchmark in values
            if (split, law) == (first, "salience") and benchmark != POOLED
        ]
    )
    gain = gain[np.isfinite(gain)]  # R2 is not defined where held-out scores do not differ
    pooled = {(split, law): row for (split, law, benchmark), row in values.items() if benchmark == POOLED}
    return {
        "r2_gain": float(gain.mean()) if gain.size else math.nan,
        "worst_task_gain": float(gain.min()) if gain.size else math.nan,
        **{f"coverage90_{kind}": pooled[split, "salience"]["coverage90"] for kind, split in kinds.items()},
        "crps_ratio": pooled[first, "salience"]["crps"] / pooled[first, "mean_loss"]["crps"],
    }


def evaluate_ladder(
    dataset: Dataset, settings: Settings = Settings(), seed: int = 0, tell: Tell = lambda sentence: None
) -> Evaluation:
    """`evaluate` on the three splits of a ladder, and where the salience of its sum and code tasks lies.

    More figures: arithmetic_in_synthetic and code_in_code, mean share of their salience in synthetic text and in code.
    """
    found = evaluate(dataset, SPLITS, settings, seed, tell)
    shares = found.salience.groupby(["benchmark", "domain"])["salience"].sum()
    more = {
        name: float(np.mean([shares[benchmark, domain] for benchmark in among]))
        for name, (domain, tasks) in ABILITIES.items()
        if (among := [b for b in tasks if (b, domain) in shares.index])
    }
    return found._replace(figures=found.figures | more)


def run_demo(
    out: Path, seed: int = 0, quick: bool = False, begin: Callable[[int], Tell] = lambda steps: lambda sentence: None
) -> dict[str, float]:
    """`evaluate_ladder` on the ladder of the package, without the benchmarks that have no signal: the figures.

    `out` becomes a run folder with its report. `quick`: late checkpoints only and smaller settings. `begin(steps)`
    gives the function that is told of each of the steps.

    Raises: InputError if `out` may not be written, and if no benchmark has a signal.
    """
    runs.check_out(out)
    dataset = load_ladder()
    kept, left_out = signal(dataset)
    if not kept:
        raise InputError(
            f"expected a benchmark whose scores are more than guessing and the noise of its items, found none among "
            f"{', '.join(left_out)}; train a larger ladder"
        )
    settings = Settings()
    if quick:
        settings = QUICK
        late = dataset.lms["step"].isin(np.unique(dataset.lms["step"])[-4:])
        dataset = dataset.subset(list(dataset.lms.index[late]))
    dataset = replace(dataset, scores=dataset.measured()[0].select(benchmarks=kept))
    config = {
        "dataset": "ladder",
        "command": "demo",
        "models": len(dataset.lms),
        "benchmarks": kept,
        "benchmarks without a signal": left_out,
        "splits": list(SPLITS.values()),
        "laws": {"mean_loss": settings.mean_loss, "salience": settings},
        "seed": seed,
    }
    with runs.begin(out, config) as run:
        found = evaluate_ladder(dataset, settings, seed, begin(count_steps(dataset, SPLITS)))
        save_evaluation(found, run)
    return found.figures


def save_evaluation(found: Evaluation, run: runs.RunWriter) -> None:
    """Write a run's files, what each fit settled on (`choices.csv`), and the report."""
    run.write(found.predictions, found.figures, found.salience)
    found.choices.to_csv(run.folder / "choices.csv", index=False, lineterminator="\n")
    write_report(run.folder)
