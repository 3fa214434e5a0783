"""Observational scaling laws: predict scores from principal components of other benchmarks, or from compute.

    E = b + (1 - b) sigmoid(beta . S + alpha),   S: components of the other benchmarks, log size or log FLOPs

Ruan et al. 2024 (arXiv 2405.10938), eqs. 1, 3, 5 and 6. Each target has a fit of its own to the rows in which it is
known, which also determine the imputation and the components. A score is rescaled from [floor, ceiling] to [0, 1]
first.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float

from csvjax.baselines.bootstrap import Law, PointFit, PointMethod
from csvjax.baselines.least_squares import Sigmoid, Solver, evaluate, fit_sigmoid
from csvjax.baselines.method import NotApplicable
from csvjax.baselines.principal import Components, Imputation, components, imputation, impute, project
from csvjax.baselines.view import View

__all__ = ["Amount", "observational_compute", "observational_index", "observational_pca"]

Amount = Literal["params", "flops"]

_SOURCE = "Ruan et al. 2024, arXiv 2405.10938"
_UNIT = {"params": 1e9, "flops": 1e21}  # a fit that stops before its optimum depends on the units of its features


def observational_pca(count: int = 3, widest_floor: float = 0.0, solver: Solver = "quasi-newton") -> PointMethod:
    """The method with `count` principal components of the other benchmarks, whose gaps a rank-one component fills."""
    return PointMethod(
        name=f"observational PCA, {count} component{'s' if count > 1 else ''}",
        source=f"{_SOURCE}, eqs. 3, 5, 6",
        needs=frozenset({"scores"}),
        learn=partial(_learn_pca, count=count, widest_floor=widest_floor, solver=solver),
    )


def observational_compute(amount: Amount, widest_floor: float = 0.0, solver: Solver = "quasi-newton") -> PointMethod:
    """The method with one sigmoid of log parameters or log FLOPs for all families."""
    return PointMethod(
        name=f"sigmoid of log {amount}",
        source=f"{_SOURCE}, eqs. 2, 6 with one slope and intercept for all families",
        needs=frozenset({"compute"}),
        learn=partial(_learn_compute, amount=amount, widest_floor=widest_floor, solver=solver),
        amounts=(amount,),
    )


def observational_index(fitted: PointFit, view: View) -> Float[np.ndarray, "row target"]:
    """P = beta . S + alpha (eq. 7) of every row and target, from a fitted `observational_pca`; NaN without scores."""
    law = fitted.law
    assert isinstance(law, partial)
    known = ~np.isnan(view.score).all(axis=1)
    index = [project(basis, impute(gaps, view.score)) @ s.weight + s.intercept for gaps, basis, s in law.args[0]]
    return np.where(known[:, None], np.stack(index, axis=1), np.nan)


def _learn_pca(view: View, key: jax.Array, count: int, widest_floor: float, solver: Solver) -> Law:
    if np.isnan(view.score[view.train]).all():
        raise NotApplicable("expected scores on benchmarks other than the targets, found none; give more benchmarks")
    fits = []
    for y in _rescaled(view).T:
        seen = ~np.isnan(y)
        gaps = imputation(view.score[seen])
        table = impute(gaps, view.score[seen])
        basis = components(table, count)
        fits.append((gaps, basis, fit_sigmoid(project(basis, table), y[seen], widest_floor, solver)))
    return partial(_predict_pca, fits)


def _predict_pca(fits: list[tuple[Imputation, Components, Sigmoid]], view: View) -> Float[np.ndarray, "row target"]:
    """Mean scores; NaN for a row without known benchmarks."""
    known = ~np.isnan(view.score).all(axis=1)
    unit = [evaluate(law, project(basis, impute(gaps, view.score))) for gaps, basis, law in fits]
    return np.where(known[:, None], _raw(view, np.stack(unit, axis=1)), np.nan)


def _learn_compute(view: View, key: jax.Array, amount: Amount, widest_floor: float, solver: Solver) -> Law:
    x = _log(view, amount)
    if not (view.train & ~np.isnan(x[:, 0])).any():
        raise NotApplicable(f"expected training rows with known {amount}, found none; give {amount} of more models")
    fits = []
    for y in _rescaled(view).T:
        seen = ~np.isnan(y) & ~np.isnan(x[:, 0])
        fits.append(fit_sigmoid(x[seen], y[seen], widest_floor, solver))
    return partial(_predict_compute, fits, amount)


def _predict_compute(fits: list[Sigmoid], amount: Amount, view: View) -> Float[np.ndarray, "row target"]:
    x = _log(view, amount)
    return _raw(view, np.stack([evaluate(law, x) for law in fits], axis=1))


def _log(view: View, amount: Amount) -> Float[np.ndarray, "row 1"]:
    return np.log(getattr(view, amount) / _UNIT[amount])[:, None]


def _rescaled(view: View) -> Float[np.ndarray, "row target"]:
    floor, ceiling = view.bounds
    return (view.target - floor) / (ceiling - floor)


def _raw(view: View, unit: Float[np.ndarray, "row target"]) -> Float[np.ndarray, "row target"]:
    floor, ceiling = view.bounds
    return floor + (ceiling - floor) * unit
