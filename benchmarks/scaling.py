"""Extraction and comparison with one and two workers of Ray on this machine, and what a task costs.

    python -m benchmarks.scaling --out runs/scaling.json

Four random models of width 192 score the same text; each is a task that declares one CPU and computes with one thread.
Ray and its workers run and have compiled before the clock starts, so the figures are those of the work. A share is the
time of one worker over twice the time of two: 1 is ideal. One and two workers take turns, and the best of each counts,
because the machine may be busy with other work, whose load is in the figures.

Last line: scaling_share (extraction), compare_share, task_ms, load (of the last minute), and the seconds of each.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from csvjax.baselines import find_methods
from csvjax.cluster import Where, run_all
from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.evaluate.compare import compare, tasks
from csvjax.evaluate.questions import questions
from csvjax.losses.many import Model, extract_many
from csvjax.losses.plan import LossOptions
from experiments.running import start
from tests.cluster_jobs import square
from tests.lms.small import write_checkpoint

__all__: list[str] = []

_SIZE = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4}


def _table() -> Dataset:
    rng = np.random.default_rng(0)
    size = np.tile([1.0, 3.0, 10.0, 30.0], 6)
    ability = 0.5 * np.log(size) + np.repeat(rng.normal(0, 0.5, 6), 4)
    names = tuple(f"m{i}" for i in range(24))
    known = {"family": np.repeat(list("abcdef"), 4), "params": np.nan, "tokens": np.nan, "flops": size * 1e20}
    score = 1 / (1 + np.exp([[0.0, 2.0]] - ability[:, None]))
    return Dataset(pd.DataFrame(known, index=list(names)), ScoreTable(names, ("easy", "hard"), score))


def main(
    out: Path = Path("runs/scaling.json"),
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    words: Annotated[int, typer.Option(min=10, help="Repetitions of a sentence of 11 words.")] = 600,
) -> None:
    """One and two workers in turn."""
    import ray

    took: dict[str, list[float]] = {f"{what}_{n}": [] for what in ("extract", "compare") for n in (1, 2)}
    loads, where = [], Where(cluster="auto")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        models = [Model(str(write_checkpoint(folder / f"m{seed}", seed, **_SIZE))) for seed in range(4)]
        (folder / "a.txt").write_text("the theme of them and the other things that they say " * words)
        options = LossOptions(context=256, batch=1024, chunk=2048)
        trials = list(tasks(_table(), questions("families:6", _table()), find_methods(["log-flops"]), 100))

        def extract(name: str) -> Callable[[], Any]:
            return lambda: extract_many(models, [str(folder / "a.txt")], folder / name, options, where)

        for turn in range(repeats):
            for workers in (1, 2):
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                ray.init(
                    address="local",
                    num_cpus=workers,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                )
                for what, work in (
                    ("extract", extract(f"{turn}-{workers}.zarr")),
                    ("compare", lambda: compare(trials, where)),
                ):
                    extract(f"warm-{turn}-{workers}.zarr")() if what == "extract" else work()
                    loads.append(os.getloadavg()[0])
                    begun = time.perf_counter()
                    work()
                    took[f"{what}_{workers}"].append(time.perf_counter() - begun)
                    typer.echo(
                        f"{what} {workers}: {took[f'{what}_{workers}'][-1]:.1f} s, load {loads[-1]:.1f}", err=True
                    )
                if turn == 0 and workers == 1:
                    begun = time.perf_counter()
                    list(run_all(range(300), square, where))
                    task_ms = (time.perf_counter() - begun) / 300 * 1e3
                ray.shutdown()
    best = {name: min(seconds) for name, seconds in took.items()}
    figures = {
        "scaling_share": round(best["extract_1"] / (2 * best["extract_2"]), 3),
        "compare_share": round(best["compare_1"] / (2 * best["compare_2"]), 3),
        "task_ms": round(task_ms, 2),
        "load": round(float(np.mean(loads)), 1),
        **{name: [round(s, 2) for s in seconds] for name, seconds in took.items()},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(figures))


if __name__ == "__main__":
    start(main)
