"""Numbers of test items that standard errors tell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["items_from_stderr"]

_MOST = 1e7


def items_from_stderr(score: Float[np.ndarray, " lm"], stderr: Float[np.ndarray, " lm"]) -> float:
    """The median over models of p (1 - p) / se^2, a whole number of at least 1; NaN where no model tells it.

    score, stderr: fractions, NaN where unknown. A model with a score of 0 or 1, or without an error, tells nothing.
    """
    tells = (score > 0) & (score < 1) & (stderr > 0)
    if not tells.any():
        return float("nan")
    each = score[tells] * (1 - score[tells]) / np.maximum(stderr[tells], 1e-9) ** 2
    found = float(np.round(np.median(each)))
    return found if 1 <= found <= _MOST else float("nan")
