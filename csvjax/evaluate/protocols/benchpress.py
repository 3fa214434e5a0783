"""Completion of a score matrix: Zeng and Papailiopoulos 2026 (arXiv 2606.24020), 84 frontier models, 133 benchmarks.

The files are those of github.com/microsoft/benchpress, commit 108c0997a908 (data.json, the stored folds). Percentages
are fractions here; two Elo ratings, a Codeforces rating and two amounts of dollars are as published. Three problems:
scores hidden at random (`ScoreMatrix.folds`), models that are newer than all known models (`landmarks`), and all scores
of a model from a few benchmarks, which are the same for all models (`probed`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from csvjax.baselines.view import View
from csvjax.names import positions

__all__ = [
    "CHEAP_PROBES",
    "PROBES",
    "Release",
    "ScoreMatrix",
    "figures",
    "greedy_probes",
    "landmarks",
    "newest_third",
    "ordered_pairs",
    "probed",
    "read_benchpress",
    "revealed",
    "view_of",
]

PROBES = ("gpqa_diamond", "hle", "aime_2024", "mmlu_pro", "arc_agi_1")
"""The five benchmarks that the authors' page recommends, chosen greedily by relative error on all cells. The published
3.93 points are for five benchmarks chosen by absolute error, which are not named; these have 4.08."""
CHEAP_PROBES = ("gpqa_diamond", "mmlu_pro", "aider_polyglot_diff", "matharena_apex_2025", "hmmt_nov_2025")

# Landmarks of the paper: the day before which other models are known, and patterns of the names of the new models.
_LANDMARKS = {
    "deepseek_r1": ("2025-01-20", "deepseek-r1*"),
    "gemini_2_5_pro": ("2025-03-25", "gemini-2.5-pro"),
    "gpt_4_1_family": ("2025-04-14", "gpt-4.1*"),
    "qwen_3": ("2025-05-15", "qwen3-*"),
    "claude_sonnet_opus_4": ("2025-05-22", "claude-sonnet-4 claude-opus-4"),
    "gpt_5": ("2025-08-01", "gpt-5"),
    "claude_sonnet_4_5": ("2025-09-29", "claude-sonnet-4.5"),
    "gpt_5_1": ("2025-11-13", "gpt-5.1"),
}
_FIRST_SEED = 42
_ZERO = 1e-8  # smaller scores are left out of relative errors


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """The published score matrix.

    Attributes:
        models: names of the models.
        benchmarks: names of the benchmarks.
        score: fractions or published numbers, NaN where unknown [model, benchmark].
        points: one unit of the score in the unit of the paper, 100 for fractions [benchmark].
        release: ISO dates, of some models only the year [model].
        folds: hidden cells of each fold [model, benchmark].
    """

    models: tuple[str, ...]
    benchmarks: tuple[str, ...]
    score: Float[np.ndarray, "model benchmark"]
    points: Float[np.ndarray, " benchmark"]
    release: Shaped[np.ndarray, " model"]
    folds: tuple[Bool[np.ndarray, "model benchmark"], ...]


def read_benchpress(folder: str | os.PathLike[str]) -> ScoreMatrix:
    """The matrix and the folds, from the folder benchpress/ of the public tables."""
    found = json.loads((Path(folder) / "data.json").read_text(encoding="utf-8"))
    stored = json.loads((Path(folder) / "folds_s10_f3_bs42_ms1.json").read_text(encoding="utf-8"))
    score = np.array([[np.nan if y is None else y for y in row] for row in found["observed"]], float)
    points = np.where(np.nanmax(score, axis=0) <= 100, 100.0, 1.0)
    folds = []
    for fold in stored["folds"]:
        hidden = np.zeros(score.shape, bool)
        hidden[tuple(np.array(fold["test_cells"]).T)] = True
        folds.append(hidden)
    names, benchmarks = (tuple(str(row["id"]) for row in found[kind]) for kind in ("models", "benchmarks"))
    release = np.array([str(row["release_date"] or "") for row in found["models"]])
    return ScoreMatrix(names, benchmarks, score / points, points, release, tuple(folds))


def view_of(matrix: ScoreMatrix, shown: Bool[np.ndarray, "model benchmark"]) -> View:
    """A view with all benchmarks as targets and only the scores `shown`, without families, compute and floors."""
    models, benchmarks = matrix.score.shape
    unknown, nothing = np.full(models, np.nan), np.full(benchmarks, np.nan)
    none = np.empty((models, 0))
    return View(
        family=np.full(models, ""),
        params=unknown,
        tokens=unknown,
        flops=unknown,
        score=none,
        target=np.where(shown, matrix.score, np.nan),
        loss=none,
        floor=nothing,
        ceiling=nothing,
        n_items=nothing,
        score_floor=np.empty(0),
        score_ceiling=np.empty(0),
        score_n_items=np.empty(0),
        size=np.empty(0),
    )


def greedy_probes(candidates: Sequence[str], count: int, error: Callable[[tuple[str, ...]], float]) -> tuple[str, ...]:
    """Choose `count` benchmarks one by one, always the one with which the `error` of the chosen set is smallest."""
    chosen: tuple[str, ...] = ()
    for _ in range(min(count, len(candidates))):
        tried = [(*chosen, name) for name in candidates if name not in chosen]
        chosen = min(tried, key=error)
    return chosen


class Release(NamedTuple):
    """New models, and the models that were known before them; masks [model]."""

    name: str
    new: Bool[np.ndarray, " model"]
    known: Bool[np.ndarray, " model"]


def landmarks(matrix: ScoreMatrix) -> tuple[Release, ...]:
    """The eight releases of the paper. Models released before the day of a release are known."""
    found = []
    for name, (day, patterns) in _LANDMARKS.items():
        new = np.array([any(_matches(model, p) for p in patterns.split()) for model in matrix.models])
        found.append(Release(name, new, (matrix.release < day) & (matrix.release != "") & ~new))
    return tuple(found)


def _matches(model: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return model.startswith(pattern[:-1]) and not ("0528" in model and "deepseek" in pattern)
    return model == pattern


def newest_third(matrix: ScoreMatrix) -> Release:
    """The third of the models that was released last as new models, all others as known ones."""
    order = np.argsort(matrix.release, kind="stable")
    new = np.isin(np.arange(len(order)), order[-(len(order) // 3) :])
    return Release("newest_third", new, ~new)


def revealed(matrix: ScoreMatrix, release: Release, k: int, seed: int) -> Bool[np.ndarray, "model benchmark"]:
    """k scores of each new model, drawn as by the authors; none of a model with fewer than k scores."""
    digest = hashlib.sha1(f"{_FIRST_SEED}:{release.name}:{seed}".encode()).hexdigest()
    rng = np.random.RandomState(int(digest[:8], 16))
    shown = np.zeros(matrix.score.shape, bool)
    for model in np.flatnonzero(release.new):
        known = np.flatnonzero(~np.isnan(matrix.score[model]))
        if len(known) >= k:
            rng.shuffle(known)
            shown[model, known[:k]] = True
    return shown


def probed(matrix: ScoreMatrix, model: int, probes: Sequence[str]) -> Bool[np.ndarray, "model benchmark"]:
    """All scores of the other models, and of this model only those on the probes."""
    shown = ~np.isnan(matrix.score)
    shown[model] &= np.isin(np.arange(len(matrix.benchmarks)), positions(probes, matrix.benchmarks, "benchmark"))
    return shown


def figures(
    matrix: ScoreMatrix,
    cells: tuple[np.ndarray, np.ndarray],
    predicted: Float[np.ndarray, " cell"],
    lower: Float[np.ndarray, " cell"] | None = None,
    upper: Float[np.ndarray, " cell"] | None = None,
) -> dict[str, float]:
    """The metrics of the paper over pooled cells.

    Args:
        matrix: the score matrix.
        cells: positions of the cells (model, benchmark).
        predicted: predictions [cell].
        lower: lower ends of 90 % intervals [cell].
        upper: upper ends of 90 % intervals [cell].

    Returns: cells, unanswered (cells without a prediction), medae (median absolute error, points), medape (median
    absolute percentage error, per cent), within3, within5 (share within 3 and 5 points); with intervals coverage90 and
    width90 (median width, points).
    """
    y, points = matrix.score[cells], matrix.points[cells[1]]
    told = ~np.isnan(predicted)
    error = (np.abs(predicted - y) * points)[told]
    scale = (np.abs(y) * points)[told]
    found = {
        "cells": float(told.sum()),
        "unanswered": float((~told).sum()),
        "medae": float(np.median(error)),
        "medape": 100 * float(np.median(error[scale > _ZERO] / scale[scale > _ZERO])),
        "within3": float(np.mean(error <= 3)),
        "within5": float(np.mean(error <= 5)),
    }
    if lower is not None and upper is not None:
        found["coverage90"] = float(np.mean(((y >= lower) & (y <= upper))[told]))
        found["width90"] = float(np.median(((upper - lower) * points)[told]))
    return found


def ordered_pairs(
    matrix: ScoreMatrix, predicted: Float[np.ndarray, "model benchmark"], hidden: Bool[np.ndarray, "model benchmark"]
) -> float:
    """Share of pairs of models that are predicted in the right order.

    A pair counts if at least one of the two scores on a benchmark is hidden and they differ by at least 5 points. Equal
    predictions count as wrong.

    Args:
        matrix: the score matrix.
        predicted: predictions of hidden scores, and known scores elsewhere [model, benchmark].
        hidden: hidden scores [model, benchmark].
    """
    right = total = 0
    for b, points in enumerate(matrix.points):
        y, guess = matrix.score[:, b] * points, predicted[:, b] * points
        known = ~np.isnan(y) & ~np.isnan(guess)
        first, second = np.triu_indices(int(known.sum()), k=1)
        truth, told = y[known][first] - y[known][second], guess[known][first] - guess[known][second]
        counts = (hidden[known, b][first] | hidden[known, b][second]) & (truth != 0) & (np.abs(truth) >= _MARGIN)
        total += int(counts.sum())
        right += int((np.sign(truth) == np.sign(told))[counts].sum())
    return right / total if total else float("nan")


_MARGIN = 5.0
