"""Emergent abilities with what is seen of them before they emerge: Brier scores and groups of questions by difficulty.

    CSVJAX_DATA=tables python -m experiments.emergence --out runs/emergence
    CSVJAX_DATA=tables python -m experiments.emergence --quick --out runs/quick

Question: accuracies of small models sit on the floor and say little; does the law predict large models better if it
sees, of the training models alone, the Brier score of the task and of ten groups of its questions, from hard to easy,
and their accuracies? A smaller Brier score is better, so the law sees 1 - Brier: it takes every column as one that
rises with capability. Tables of github.com/tony10101105/ExpEmergence 288b731 (arXiv 2410.01692): arithmetic, Persian
QA, MMLU. Models are held out by compute as in arXiv 2405.10938 (training up to 84e21 FLOP, arithmetic 22e21);
predictors are the standard benchmarks without the task itself, and without GSM8K for arithmetic. Rows without compute
are dropped. The columns of the task are not shown of the models to predict. 33 models train and 31 are predicted for
arithmetic, 53 and 10 for Persian QA, 54 and 11 for MMLU.

A choice inside the training rows: the smaller 65 % of them predict the rest with and without the columns.

Measured (CRPS of the accuracy; 24 CPU minutes; `results/emergence.json`):

                  without   with columns   inside the training rows, without and with
    arithmetic    0.072     0.058          0.029, 0.038
    Persian QA    0.024     0.040          0.009, 0.066
    MMLU          0.096     0.063          0.048, 0.061

Asked was a CRPS lower by 20 %. The columns help where the larger models can do the task. Of Persian QA they still score
near chance, and there the columns cost most: they rise, and the law expects similar loadings of all columns on the
first capability. Smaller models, none of which can do any of the tasks, do not show the difference, so a choice made
inside the training rows leaves the columns out.

Last line: mse_TASK and mse_TASK_columns (with the further columns), crps likewise, and crps_TASK_chosen; coverage90 of
all cells; crps_gain_companions and crps_gain_chosen: by how much the columns, or the choice, lower the CRPS of
arithmetic and Persian QA, on average over their cells.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
import typer

from csvjax.baselines import find_methods, hide
from csvjax.baselines.law import LawMethod
from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.intervals import crps
from experiments.running import begin, data_folder, finish, intervals, once, start


class Task(NamedTuple):
    """A pair of tables by the beginning and end of their names. without: benchmarks that are not predictors."""

    file: str
    cutoff: float
    floor: float
    without: tuple[str, ...] = ()


TASKS = {
    "arithmetic": Task("arithmetic_instance_brier_-1000_63.09573444801933_10_redist.csv", 22e21, 0.0, ("GSM8K",)),
    "persian_qa": Task("parsinlu_qa_mc_instance_brier_-1000_199.52623149688787_10_redist.csv", 84e21, 0.25),
    "mmlu": Task("mmlu_instance_brier_-1000_31.622776601683793_10_redist.csv", 84e21, 0.25, ("MMLU",)),
}
PREDICTORS = ("MMLU", "ARC-C", "HellaSwag", "Winograd", "TruthfulQA", "GSM8K", "XWinograd", "HumanEval")
TARGET = "accuracy"
GAINS = {"companions": "columns", "chosen": "chosen"}
_ROUNDING = 1 + 1e-9
_SMALLER = 0.65


class Data(NamedTuple):
    """The models of a task with the target, the predictors and the further columns, which only training models have."""

    dataset: Dataset
    train: np.ndarray
    further: tuple[str, ...]


def read(folder: Path, task: Task) -> Data:
    """Target first, then predictors, then the columns of the task; further columns of constant value are dropped."""
    brier, groups = (pd.read_csv(folder / name) for name in (task.file, f"acc_{task.file}"))
    frame = brier.merge(groups[["Model", *(c for c in groups if c.endswith("_acc"))]], on="Model", how="left")
    frame = frame[frame["FLOPs (1E21)"].notna() & frame["acc"].notna()].drop_duplicates("Model")
    train = (frame["FLOPs (1E21)"] * 1e21 <= task.cutoff * _ROUNDING).to_numpy()
    brier = [c for c in frame if c.endswith("_brier") or c == "brier"]
    frame[brier] = 1 - frame[brier]
    further = [c for c in frame if c.endswith("_acc") or c in brier]
    further = [c for c in further if frame.loc[train, c].between(0, 1).all() and frame.loc[train, c].std() > 1e-3]
    score = frame[["acc", *(p for p in PREDICTORS if p not in task.without), *further]].to_numpy(float)
    names = (TARGET, *(p for p in PREDICTORS if p not in task.without), *further)
    score[np.ix_(~train, np.isin(names, further))] = np.nan
    lms = pd.DataFrame(
        {
            "family": frame["Model Family"].astype(str).to_numpy(),
            "params": frame["Model Size (B)"].to_numpy(float) * 1e9,
            "tokens": frame["Pretraining Data Size (T)"].to_numpy(float) * 1e12,
            "flops": frame["FLOPs (1E21)"].to_numpy(float) * 1e21,
        },
        pd.Index(frame["Model"], name="lm", dtype=str),
    )
    floor = np.where(np.isin(names, (TARGET,)), task.floor, np.where(np.isin(names, further), np.nan, 0.0))
    return Data(Dataset(lms, ScoreTable(tuple(lms.index), names, score, floor=floor)), train, tuple(further))


def within(data: Data) -> Data:
    """The same question inside the training rows: the larger models from the smaller 65 %."""
    table = data.dataset.scores
    assert table is not None
    names = data.dataset.lms.index[data.train]
    inside = data.dataset.subset(list(names))
    flops = inside.lms["flops"].to_numpy(float)
    smaller = flops <= np.quantile(flops, _SMALLER)
    assert inside.scores is not None
    score = inside.scores.score.copy()
    score[np.ix_(~smaller, np.isin(table.benchmarks, data.further))] = np.nan
    return Data(replace(inside, scores=replace(inside.scores, score=score)), smaller, data.further)


def answer(data: Data, method: LawMethod, further: bool, seed: int) -> dict[str, float]:
    """Squared error and intervals of the law on the larger models."""
    table = data.dataset.scores
    assert table is not None
    kept = [b for b in table.benchmarks if further or b not in data.further]
    dataset = Dataset(data.dataset.lms, table.select(benchmarks=kept))
    view = hide(dataset, data.train, (TARGET,))
    fit_key, draw_key = jax.random.split(jax.random.key(seed))
    fitted = method.fit(view, fit_key)
    drawn = fitted.draws(view.take(~data.train), draw_key, method.count)[:, :, 0]
    y = table.select(benchmarks=(TARGET,)).score[~data.train, 0]
    found = {"cells": float(len(y)), "train": float(data.train.sum()), "columns": float(len(kept))}
    found |= {"mse": float(np.mean((drawn.mean(axis=0) - y) ** 2)), "crps": float(crps(y, drawn).mean())}
    return found | intervals(y, drawn)


def main(out: Path = Path("runs/emergence"), quick: bool = False, seed: int = 0) -> None:
    """The law with and without the columns of the task."""
    folder = data_folder() / "emergence"
    method = find_methods(["law-scores"])["law-scores"]
    assert isinstance(method, LawMethod)
    run = begin(out, {"command": "emergence", "seed": seed, "method": method})
    figures: dict[str, float] = {}
    kinds = {"": False, "_columns": True}
    tasks: dict[str, dict[str, float]] = {}
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in (*kinds, "_chosen")}
    for name, task in list(TASKS.items())[: 1 if quick else None]:
        data = read(folder, task)
        for kind, further in kinds.items():
            make = once(run / f"{name}{kind}.json", lambda d=data, f=further: answer(d, method, f, seed))
            inside = once(
                run / f"inner_{name}{kind}.json", lambda d=data, f=further: answer(within(d), method, f, seed)
            )
            tasks[f"{name}{kind}"] = make | {"inner_crps": inside["crps"]}
            rows[kind].append(make)
            figures |= {f"{figure}_{name}{kind}": make[figure] for figure in ("mse", "crps")}
            typer.echo(f"{name}{kind}: " + ", ".join(f"{k} {v:.4g}" for k, v in tasks[f"{name}{kind}"].items()))
        chosen = min(kinds, key=lambda kind, n=name: tasks[f"{n}{kind}"]["inner_crps"])
        rows["_chosen"].append(rows[chosen][-1])
        figures[f"crps_{name}_chosen"] = rows["_chosen"][-1]["crps"]
    for kind, found in rows.items():
        figures[f"coverage90{kind}"] = sum(r["inside90"] for r in found) / sum(r["cells"] for r in found)
    if len(rows[""]) > 1:
        total = {kind: sum(r["crps"] * r["cells"] for r in found[:2]) for kind, found in rows.items()}
        figures |= {f"crps_gain_{name}": 1 - total[f"_{kind}"] / total[""] for name, kind in GAINS.items()}
    finish(run, figures, tasks=tasks)


if __name__ == "__main__":
    start(main)
