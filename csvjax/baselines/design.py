"""Features of scaling laws: logs of size, tokens and FLOPs, with one slope for all families or for each family.

A family without training rows gets the average of the other families.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from csvjax.baselines.method import NotApplicable
from csvjax.baselines.view import View

__all__ = ["Amount", "Design", "Shared", "design", "features", "known_rows"]

Amount = Literal["params", "flops", "params and tokens"]
Shared = Literal["shared", "family"]


class Design(NamedTuple):
    """Which features a law has.

    Attributes:
        amount: the amounts.
        slope: whether families share the slope or have slopes of their own.
        intercept: the same for the intercept.
        families: families of the training rows.
    """

    amount: Amount
    slope: Shared
    intercept: Shared
    families: tuple[str, ...]


def design(view: View, amount: Amount, slope: Shared, intercept: Shared) -> Design:
    """The design for the families of the training rows."""
    return Design(amount, slope, intercept, tuple(sorted(set(view.family[view.train].tolist()))))


def features(view: View, design: Design) -> Float[np.ndarray, "row feature"]:
    """One column for each coefficient except a shared intercept; NaN where an amount is unknown."""
    logs = _logs(view, design.amount)
    member = (view.family[:, None] == np.array(design.families)).astype(float)
    member[~member.any(axis=1)] = 1 / len(design.families)
    if design.slope == "family":
        logs = (logs[:, :, None] * member[:, None, :]).reshape(len(logs), -1)
    return np.hstack([logs, member]) if design.intercept == "family" else logs


def known_rows(view: View, design: Design) -> tuple[Float[np.ndarray, "known feature"], Bool[np.ndarray, " row"]]:
    """The features of the training rows whose amounts are known, and the mask of these rows.

    Raises: NotApplicable if there are fewer than two such rows.
    """
    x = features(view, design)
    rows = view.train & ~np.isnan(x).any(axis=1)
    if rows.sum() < 2:
        raise NotApplicable(
            f"expected at least two training rows with known {design.amount}, found {rows.sum()}; "
            f"give {design.amount} of more models"
        )
    return x[rows], rows


def _logs(view: View, amount: Amount) -> Float[np.ndarray, "row amount"]:
    """Natural logs of parameters / 1e9, tokens / 1e12 and the product of these logs, or of FLOPs / 1e21."""
    size, tokens = np.log(view.params / 1e9), np.log(view.tokens / 1e12)
    if amount == "params and tokens":
        return np.column_stack([tokens, size, size * tokens])
    return (size if amount == "params" else np.log(view.flops / 1e21))[:, None]
