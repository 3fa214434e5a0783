"""Predicts principal components of the benchmarks linearly from log FLOPs, with an intercept for each family.

    S[m, k] = slope[f, k] log C[m] + intercept[f, k],   score[m] = centre + S[m] Gamma

Ruan et al. 2024 (arXiv 2405.10938), eqs. 4 and 5, as in the comparison of Maia Polo et al. 2024 (arXiv 2412.06540),
section 4: least squares without a link; if one model of a new family is seen, all families have the same slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.design import Design, Shared, design, features, known_rows
from csvjax.baselines.principal import Components, components
from csvjax.baselines.view import View
from csvjax.errors import InputError

__all__ = ["compute_components"]


def compute_components(count: int = 3, slope: Shared = "shared") -> PointMethod:
    """The method with `count` components, fitted to the training rows that have all targets."""
    return PointMethod(
        name=f"{count} components from FLOPs",
        source="Ruan et al. 2024, arXiv 2405.10938, eqs. 4, 5; Maia Polo et al. 2024, arXiv 2412.06540, section 4",
        needs=frozenset({"compute", "family"}),
        learn=partial(_learn, count=count, slope=slope),
        amounts=("flops",),
    )


@dataclass(frozen=True)
class ComponentLaw:
    """Linear weights [feature, component] from the features of a design to components."""

    design: Design
    basis: Components
    weight: Float[np.ndarray, "feature component"]

    def __call__(self, view: View) -> Float[np.ndarray, "row target"]:
        return self.basis.centre + features(view, self.design) @ self.weight @ self.basis.axes


def _learn(view: View, key: jax.Array, count: int, slope: Shared) -> Law:
    chosen = design(view, "flops", slope, "family")
    x, rows = known_rows(view, chosen)
    y = view.target[rows]
    whole = ~np.isnan(y).any(axis=1)
    if whole.sum() < 2:
        raise InputError(
            f"expected at least two training rows with compute and a score on every target, found {whole.sum()}; "
            f"leave out the targets with the most gaps"
        )
    basis = components(y[whole], min(count, y.shape[1]))
    # Slope and intercept of a family with one model are not determined; as published, the shortest solution is used.
    weight, *_ = np.linalg.lstsq(x[whole], (y[whole] - basis.centre) @ basis.axes.T, rcond=None)
    return ComponentLaw(chosen, basis, weight)
