"""Compute of a reference family that would give the same capability: one axis for models that were trained differently.

    P[m] = w_f log C[m] + b_f  over the models of family f (eq. 7);   log C_eq[m] = (P[m] - b_f) / w_f  (eq. 8)

Ruan et al. 2024 (arXiv 2405.10938). P is any index of capability that is linear in the log of compute within a family:
beta . S + alpha of a fitted observational law, the capability of the law, minus a log loss.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from csvjax.errors import InputError

__all__ = ["EquivalentAxis", "equivalent_flops"]


class EquivalentAxis(NamedTuple):
    """`flops` [lm]: equivalent compute. `slope` w_f per unit of log C, `intercept` b_f, `r2` of the reference line."""

    flops: Float[np.ndarray, " lm"]
    slope: float
    intercept: float
    r2: float


def equivalent_flops(
    index: Float[np.ndarray, " lm"], flops: Float[np.ndarray, " lm"], reference: Bool[np.ndarray, " lm"]
) -> EquivalentAxis:
    """Equivalent compute of every model, in FLOPs of the family `reference`; NaN where the index is.

    Raises: InputError for a reference family with fewer than two different amounts of compute, or whose index does not
    rise with compute.
    """
    known = reference & ~np.isnan(index) & ~np.isnan(flops)
    x, y = np.log(flops[known]), index[known]
    if len(np.unique(x)) < 2:
        raise InputError(
            f"expected a reference family with two or more known amounts of compute, found {len(np.unique(x))}; "
            f"choose another"
        )
    slope = float(np.cov(x, y, bias=True)[0, 1] / x.var())
    intercept = float(y.mean() - slope * x.mean())
    if slope <= 0:
        raise InputError(
            f"expected an index that rises with compute in the reference family, found a slope of {slope:g}"
        )
    rest = y - slope * x - intercept
    spread = float(y.var())
    r2 = 1 - float(rest.var()) / spread if spread > 0 else float("nan")
    return EquivalentAxis(np.exp((index - intercept) / slope), slope, intercept, r2)
