"""Equivalent compute: the compute at which a reference family has the same capability as a model.

    P[m] = w_f log C[m] + b_f  over the models of family f (eq. 7);   log C_eq[m] = (P[m] - b_f) / w_f  (eq. 8)

Ruan et al. 2024 (arXiv 2405.10938). It puts models that were trained differently on one axis. P is any index of
capability that is linear in log compute within a family: beta . S + alpha of a fitted observational law, the capability
of the law, or minus a log loss.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from csvjax.errors import InputError

__all__ = ["EquivalentAxis", "equivalent_flops"]


class EquivalentAxis(NamedTuple):
    """The axis of equivalent compute.

    Attributes:
        flops: equivalent compute in FLOP of the reference family [lm].
        slope: w_f, per unit of log C.
        intercept: b_f.
        r2: R2 of the line through the reference family.
    """

    flops: Float[np.ndarray, " lm"]
    slope: float
    intercept: float
    r2: float


def equivalent_flops(
    index: Float[np.ndarray, " lm"], flops: Float[np.ndarray, " lm"], reference: Bool[np.ndarray, " lm"]
) -> EquivalentAxis:
    """The equivalent compute of every model.

    Args:
        index: index of capability, P [lm].
        flops: training compute in FLOP [lm].
        reference: the models of the reference family [lm].

    Returns: the axis; NaN where the index is NaN.

    Raises: InputError for a reference family with fewer than two different amounts of compute, or whose index does not
    rise with compute.
    """
    known = reference & ~np.isnan(index) & ~np.isnan(flops)
    x, y = np.log(flops[known]), index[known]
    if len(np.unique(x)) < 2:
        raise InputError(
            f"expected a reference family with two or more known amounts of compute, found {len(np.unique(x))}; "
            f"choose another family"
        )
    slope = float(np.cov(x, y, bias=True)[0, 1] / x.var())
    intercept = float(y.mean() - slope * x.mean())
    if slope <= 0:
        raise InputError(
            f"expected an index that rises with compute in the reference family, found a slope of {slope:g}; choose "
            f"another family"
        )
    rest = y - slope * x - intercept
    spread = float(y.var())
    r2 = 1 - float(rest.var()) / spread if spread > 0 else float("nan")
    return EquivalentAxis(np.exp((index - intercept) / slope), slope, intercept, r2)
