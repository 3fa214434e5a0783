"""Scores all checkpoints of a ladder, saves a file for each, and collects them in a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from csvjax.atomic import replacing
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.ladder.build import Progress, in_processes, load_corpus
from csvjax.ladder.corpus import END_OF_TEXT
from csvjax.ladder.recipe import Recipe, Run
from csvjax.ladder.score import EncodedTasks, encode_tasks, score_tasks
from csvjax.ladder.tasks import Task, make_tasks
from csvjax.ladder.train import checkpoint_path, load_decoder
from csvjax.losses.nll import document_nll
from csvjax.losses.units import EncodedText, encode_text
from csvjax.losses.windows import Windows, plan_windows
from csvjax.names import some

__all__ = ["collect", "lm_name", "score_all"]


@dataclass(frozen=True, eq=False)
class _Material:
    """The tasks and the text for all models of a ladder. `key` depends on everything that changes scores or losses."""

    tasks: tuple[Task, ...]
    text: EncodedText
    encoded: EncodedTasks
    windows: Windows
    key: str


def lm_name(run: Run, step: int) -> str:
    return f"{run.name}-{step:05d}"


def _result(folder: Path, lm: str) -> Path:
    return folder / "results" / f"{lm}.npz"


def _material(recipe: Recipe, folder: Path) -> _Material:
    corpus, tokenizer = load_corpus(folder)
    tasks = make_tasks(corpus, recipe)
    text = encode_text(corpus.validation, tokenizer)
    windows = plan_windows(text.ids, recipe.context, bos=tokenizer.encode(END_OF_TEXT).ids[0])
    key = hashlib.sha256(f"{text.corpus} {text.tokenizer} {recipe.context} {tasks}".encode()).hexdigest()
    return _Material(tasks, text, encode_tasks(tasks, tokenizer, recipe.context), windows, key)


def _is_done(path: Path, key: str) -> bool:
    if not path.exists():
        return False
    with np.load(path) as found:
        return str(found["key"]) == key


def _score_run(
    recipe: Recipe,
    run: Run,
    steps: Sequence[int],
    folder: Path,
    encoded: EncodedTasks,
    windows: Windows,
    key: str,
    tell: Callable[[float, str], None],
) -> None:
    """Score the checkpoints `steps` of one run in one process, because they share compiled code."""
    for step in steps:
        model = load_decoder(recipe, run, checkpoint_path(folder, run, step))
        scores = score_tasks(model, encoded)
        loss = document_nll(model, windows)
        if not np.isfinite(loss).all():
            raise InputError(
                f"expected finite losses, found others for the checkpoint {checkpoint_path(folder, run, step)}; "
                "train the run again"
            )
        with replacing(_result(folder, lm_name(run, step))) as part:
            np.savez(part, key=key, score=np.array([scores[name] for name in encoded.names]), loss=loss)
        tell(_work(recipe, run), f"{run.name} step {step}: mean score {np.mean(list(scores.values())):.3f}")


def _work(recipe: Recipe, run: Run) -> float:
    return float(recipe.decoder(run).params + recipe.vocabulary * recipe.decoder(run).width)


def score_all(recipe: Recipe, folder: Path, jobs: int, progress: Progress | None = None) -> None:
    """Score all checkpoints in `folder` that have no result yet, with `jobs` processes."""
    material = _material(recipe, folder)
    missing = {
        run: [
            step
            for step in recipe.checkpoints
            if checkpoint_path(folder, run, step).exists()
            and not _is_done(_result(folder, lm_name(run, step)), material.key)
        ]
        for run in recipe.runs
    }
    progress = progress or Progress()
    progress.start("scoring the ladder", sum(len(steps) * _work(recipe, run) for run, steps in missing.items()))
    tasks = [
        (recipe, run, steps, folder, material.encoded, material.windows, material.key)
        for run, steps in missing.items()
        if steps
    ]
    in_processes(_score_run, tasks, jobs, progress)


def collect(recipe: Recipe, folder: Path) -> Dataset:
    """The ladder as a dataset: one language model for each checkpoint of the recipe.

    `lms` has the columns family (the mixture), size, run, step, params, tokens (step * tokens per step) and flops.

    Raises: InputError if a checkpoint has no result, or a result on other tasks or text.
    """
    material = _material(recipe, folder)
    models = {lm_name(run, step): (run, step) for run in recipe.runs for step in recipe.checkpoints}
    absent = [lm for lm in models if not _is_done(_result(folder, lm), material.key)]
    if absent:
        raise InputError(
            f"expected results of {len(models)} checkpoints in {folder / 'results'}, found no current one for "
            f"{some(absent)}; run csvjax ladder to its end"
        )
    results = []
    for lm in models:
        with np.load(_result(folder, lm)) as found:
            results.append((found["score"], found["loss"]))
    rows = [
        {
            "family": run.mixture,
            "size": run.size,
            "run": run.name,
            "step": step,
            "params": float(recipe.decoder(run).params),
            "tokens": float(step * recipe.tokens_per_step),
            "flops": recipe.flops(run, step),
        }
        for run, step in models.values()
    ]
    scores = ScoreTable(
        tuple(models),
        tuple(task.name for task in material.tasks),
        np.stack([score for score, _ in results]),
        n_items=np.array([len(task.items) for task in material.tasks], float),
        floor=np.array([task.floor for task in material.tasks]),
    )
    losses = LossTable(tuple(models), np.stack([loss for _, loss in results]), material.text.units, material.text.texts)
    return Dataset(pd.DataFrame(rows, pd.Index(list(models), name="lm", dtype=str)), scores, losses)
