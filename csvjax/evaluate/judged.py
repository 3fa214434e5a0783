"""Judges predictions: one row for each score that was asked, for the referee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from csvjax.evaluate import metrics

__all__ = ["COLUMNS", "LEVELS", "judge_cells"]

LEVELS = (50, 80, 90, 95)
_NUMBERS = ("observed", "predicted", "crps", "log_score", "pit")
_BOUNDS = tuple(f"{side}{level}" for level in LEVELS for side in ("lower", "upper"))
COLUMNS = ("lm", "family", "benchmark", *_NUMBERS, *_BOUNDS)


def judge_cells(
    lms: Sequence[str],
    families: Sequence[str],
    targets: Sequence[str],
    asked: Bool[np.ndarray, "lm target"],
    observed: Float[np.ndarray, "lm target"],
    predicted: Float[np.ndarray, "lm target"],
    draws: Float[np.ndarray, "draw lm target"],
    seed: int = 0,
) -> pd.DataFrame:
    """One row with `COLUMNS` for each score that was asked.

    `predicted` is a point prediction; everything else is computed from the draws. `log_score` uses a kernel estimate of
    their density (`csvjax.evaluate.metrics.log_density`), and `pit` breaks ties at random. Where the method gave no
    prediction, all columns except `observed` are NaN.

    Args:
        lms: names of the models.
        families: their families.
        targets: names of the benchmarks.
        asked: scores to predict [lm, target].
        observed: observed scores, fractions [lm, target].
        predicted: point predictions, fractions [lm, target].
        draws: predictive draws, fractions [draw, lm, target].
        seed: seed of the ties of `pit`.
    """
    m, b = np.nonzero(asked)
    frame = pd.DataFrame(np.nan, range(len(m)), list(COLUMNS[3:]))
    frame.insert(0, "lm", np.asarray(lms, dtype=object)[m])
    frame.insert(1, "family", np.asarray(families, dtype=object)[m])
    frame.insert(2, "benchmark", np.asarray(targets, dtype=object)[b])
    frame["observed"], frame["predicted"] = observed[m, b], predicted[m, b]
    answered = ~np.isnan(draws[:, m, b]).any(axis=0)
    y, x = observed[m, b][answered], draws[:, m[answered], b[answered]]
    if answered.any():
        frame.loc[answered, "crps"] = metrics.crps(y, x)
        frame.loc[answered, "log_score"] = -metrics.log_density(y, x)
        frame.loc[answered, "pit"] = metrics.pit(y, x, np.random.default_rng(seed))
        for level in LEVELS:
            lower, upper = metrics.interval(x, level / 100)
            frame.loc[answered, f"lower{level}"], frame.loc[answered, f"upper{level}"] = lower, upper
    return frame
