"""Leave one training corpus out: 104 models trained on three corpora, with losses on eight texts and 46 task scores.

The table is that of github.com/mlfoundations/scaling, commit a003c4913793, joined to one row for each model: Gadre et
al. 2024 (arXiv 2403.08540). Models with the same mean loss but different corpora differ in ability, which is the
setting of Ge et al. 2025 (arXiv 2506.13216). Losses are in nats per token, so a text counts as one byte.
"""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.read_scores import read_scores
from csvjax.data.scores import ScoreTable
from csvjax.evaluate.metrics import rank_correlation
from csvjax.evaluate.protocols.problem import Problem
from csvjax.evaluate.splits import leave_one_out

__all__ = ["corpus_problems"]

_SOURCE = "arXiv 2403.08540; github.com/mlfoundations/scaling a003c4913793"
_LOSS, _SCORE = "loss|", "acc|"
_CHANCE = {  # of multiple-choice tasks: 1 / number of choices
    "arc_easy": 0.25,
    "bigbench_novel_concepts": 0.25,
    "copa": 0.5,
    "hellaswag": 0.25,
    "hellaswag_zeroshot": 0.25,
    "openbook_qa": 0.25,
    "piqa": 0.5,
    "winograd": 0.5,
}
_MIN_DEVIATION, _MIN_CORRELATION = 0.04, 0.6


def corpus_problems(path: str | os.PathLike[str], chance: bool = False) -> tuple[Problem, ...]:
    """One problem for each corpus. The targets are the tasks with a signal.

    A task has a signal if no score is missing, its scores have a standard deviation of at least 0.04, and their rank
    correlation with the mean loss is at least 0.6, over all models. As in the protocol, this rule uses the scores to
    predict.

    Args:
        path: the table.
        chance: whether the floors of multiple-choice tasks are given.
    """
    frame = pd.read_csv(path)
    texts = [c for c in frame.columns if c.startswith(_LOSS)]
    scores, lms = read_scores(
        path,
        lm_column="name",
        family_column="dataset",
        benchmarks=[c for c in frame.columns if c.startswith(_SCORE)],
    )
    loss = frame.set_index("name").loc[list(scores.lms), texts].to_numpy(float)
    kept = [b for b, y in zip(scores.benchmarks, scores.score.T, strict=True) if _has_signal(y, loss.mean(axis=1))]
    table = scores.select(benchmarks=kept)
    targets = tuple(name.removeprefix(_SCORE) for name in kept)
    names = [text.removeprefix(_LOSS) for text in texts]
    units = pd.DataFrame({"token": names, "document": names, "domain": names, "start": 0, "bytes": 1})
    floor = np.array([_CHANCE.get(name, 0.0) if chance else 0.0 for name in targets])
    dataset = Dataset(lms, ScoreTable(table.lms, targets, table.score, floor=floor), LossTable(table.lms, loss, units))
    folds = leave_one_out(lms, "family").folds
    return tuple(Problem(f"OpenLM, {fold.name}", _SOURCE, dataset, fold, targets) for fold in folds)


def _has_signal(y: np.ndarray, mean_loss: np.ndarray) -> bool:
    if np.isnan(y).any() or y.std() < _MIN_DEVIATION:
        return False
    return abs(rank_correlation(y, mean_loss)) >= _MIN_CORRELATION
