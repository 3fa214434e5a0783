"""A small table whose scores follow the loss on a part of the text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable


def simulated(lms: int = 16, units: int = 60, text: int = 0, size: int = 1) -> tuple[Dataset, np.ndarray]:
    """Models, scores of one benchmark and losses; the salience that made the scores, [unit].

    text: which text the same models are scored on.
    """
    rng = np.random.default_rng(0)
    good, part = rng.normal(size=(2, lms))
    scores_rng, rng = rng, np.random.default_rng((1, text))
    first = np.arange(units) < units // 4  # a quarter of the text counts
    level = rng.uniform(1.5, 4.0, units)
    loss = level - 0.3 * good[:, None] - 0.3 * np.where(first, part[:, None], -part[:, None] / 3)
    loss = np.abs(loss + 0.05 * rng.normal(size=loss.shape))
    weight = first / first.sum()
    psi = loss @ weight
    mean = 1 / (1 + np.exp(-(-0.5 - 1.5 * (psi - psi.mean()) / psi.std())))
    names = tuple(f"m{i}" for i in range(lms))
    score = scores_rng.binomial(400, mean) / 400
    scores = ScoreTable(names, ("b",), score[:, None], np.array([400.0]), np.zeros(1), np.ones(1))
    table = pd.DataFrame(
        {
            "token": [f"t{u % 7}".ljust(size, "x")[:size] for u in range(units)],
            "document": [f"d{u // 5}" for u in range(units)],
            "domain": np.where(first, "first", "second"),
            "start": [size * (u % 5) for u in range(units)],
            "bytes": size,
        }
    )
    return align(scores=scores, losses=LossTable(names, (loss * size).astype(np.float32), table)), weight


def without_losses(dataset: Dataset) -> Dataset:
    return Dataset(dataset.lms, dataset.scores)
