from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable

Make = Callable[..., Dataset]


@pytest.fixture
def make() -> Make:
    """Five families of four sizes; five benchmarks that follow one ability, with gaps in the first three."""

    def dataset(seed: int = 0, gaps: float = 0.1, noise: float = 0.02) -> Dataset:
        rng = np.random.default_rng(seed)
        families = np.repeat(list("abcde"), 4)
        params = np.tile([1e8, 1e9, 1e10, 1e11], 5)
        tokens = np.repeat([1e11, 3e11, 1e12, 2e12, 5e12], 4) * np.exp(0.2 * rng.standard_normal(20))
        ability = 0.5 * np.log(params / 1e9) + 0.3 * np.log(tokens / 1e12) + np.repeat(rng.normal(0, 0.5, 5), 4)
        floor = np.array([0.25, 0.0, 0.5, 0.25, 0.0])
        logit = ability[:, None] * np.array([0.6, 0.9, 0.5, 0.7, 1.0]) - np.array([0.5, 1.0, 0.0, 0.5, 1.5])
        score = floor + (1 - floor) / (1 + np.exp(-logit)) + noise * rng.standard_normal((20, 5))
        score = np.clip(score, 0, 1)
        score[:, :3][rng.random((20, 3)) < gaps] = np.nan
        names = tuple(f"{f}-{int(n):d}" for f, n in zip(families, params, strict=True))
        lms = pd.DataFrame(
            {"family": families, "params": params, "tokens": tokens, "flops": 6 * params * tokens}, index=list(names)
        )
        units = pd.DataFrame(
            {"token": ["x"] * 6, "document": ["d"] * 6, "domain": ["e"] * 6, "start": range(6), "bytes": [1] * 6}
        )
        loss = np.exp(1.0 - 0.1 * ability[:, None] + 0.05 * rng.standard_normal((20, 6)))
        scores = ScoreTable(names, tuple("uvwxy"), score, floor=floor)
        return align(lms, scores, LossTable(names, loss, units))

    return dataset
