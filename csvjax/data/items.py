"""The number of test items, computed from standard errors."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["items_from_stderr"]

_LARGEST = 1e7  # a larger number of items comes from rounded standard errors


def items_from_stderr(score: Float[np.ndarray, " lm"], stderr: Float[np.ndarray, " lm"]) -> float:
    """The number of items n that explains the standard errors of a benchmark: se^2 = p (1 - p) / n.

    Args:
        score: p, a fraction, NaN where unknown [lm].
        stderr: standard error of p, a fraction, NaN where unknown [lm].

    Returns: the median of p (1 - p) / se^2 over models, rounded to a whole number; NaN if no model has both a score
    strictly between 0 and 1 and a standard error.
    """
    usable = (score > 0) & (score < 1) & (stderr > 0)
    if not usable.any():
        return float("nan")
    each = score[usable] * (1 - score[usable]) / np.maximum(stderr[usable], 1e-9) ** 2
    found = float(np.round(np.median(each)))
    return found if 1 <= found <= _LARGEST else float("nan")
