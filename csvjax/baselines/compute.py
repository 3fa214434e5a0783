"""Scaling laws of each benchmark in compute: one curve for all families, or an intercept or a curve for each family.

    score[m, b] = floor[b] + (ceiling[b] - floor[b]) sigmoid(slope[f, b] . x[m] + intercept[f, b])

x: log FLOPs, log size, or log tokens, log size and their product. Maia Polo et al. 2024 (arXiv 2412.06540, sections 2
and 4) compare Sloth with these laws. With "family" as slope and intercept, it is a scaling law for each family, eq. 2
of Ruan et al. 2024 (arXiv 2405.10938).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float

from csvjax.baselines import robust
from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.design import Amount, Design, Shared, design, features, known_rows
from csvjax.baselines.view import Need, View

__all__ = ["compute_law"]


def compute_law(
    amount: Amount,
    slope: Shared = "shared",
    intercept: Shared = "shared",
    floor: Literal["chance", "learned"] = "chance",
) -> PointMethod:
    """The method of one such law. The published laws learn the floor for FLOPs, and otherwise set it to chance."""
    needs: frozenset[Need] = frozenset({"compute", "family"} if "family" in (slope, intercept) else {"compute"})
    return PointMethod(
        name=f"{_NAMES[amount]}, {_effects(slope, intercept)}",
        source="Maia Polo et al. 2024, arXiv 2412.06540, sections 2 and 4",
        needs=needs,
        learn=partial(_learn, amount=amount, slope=slope, intercept=intercept, learn_floor=floor == "learned"),
        refit=partial(_refit, learn_floor=floor == "learned"),
        amounts=tuple(amount.split(" and ")),
    )


_NAMES: dict[Amount, str] = {"params": "size", "flops": "FLOPs", "params and tokens": "size and tokens"}


def _effects(slope: Shared, intercept: Shared) -> str:
    if slope == intercept:
        return "pooled" if slope == "shared" else "curve of each family"
    return f"family {'slope' if slope == 'family' else 'intercept'}"


@dataclass(frozen=True)
class ComputeLaw:
    """Curves over the features of a design."""

    design: Design
    curves: robust.Curves

    def __call__(self, view: View) -> Float[np.ndarray, "row target"]:
        return robust.evaluate(self.curves, features(view, self.design))


def _learn(view: View, key: jax.Array, amount: Amount, slope: Shared, intercept: Shared, learn_floor: bool) -> Law:
    chosen = design(view, amount, slope, intercept)
    x, rows = known_rows(view, chosen)
    return ComputeLaw(chosen, robust.fit_each(x, view.target[rows], *view.bounds, learn_floor))


def _refit(law: Law, view: View, key: jax.Array, learn_floor: bool) -> Law:
    assert isinstance(law, ComputeLaw)
    x, rows = known_rows(view, law.design)
    return ComputeLaw(law.design, robust.fit_again(law.curves, x, view.target[rows], learn_floor))
