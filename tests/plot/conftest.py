"""The small fit of `tests.result`, and predictions of its scores from its own law, without another compilation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from csvjax.prediction import Drawn, summary
from csvjax.result.result import Result
from tests.result.conftest import dataset, fit, seen

__all__ = ["dataset", "fit", "seen"]


@pytest.fixture(scope="session")
def predictions(fit: Result) -> pd.DataFrame:
    """Every cell as if it had been held out, from calibrated draws around what was observed."""
    scores = fit.dataset.scores
    assert scores is not None
    rng = np.random.default_rng(3)
    centre = scores.score + rng.normal(0, 0.05, scores.score.shape)
    drawn = np.clip(centre + rng.normal(0, 0.05, (500, *centre.shape)), 0, 1)
    return summary(Drawn(drawn, drawn), np.ones(centre.shape, bool), fit.dataset.lms, scores)
