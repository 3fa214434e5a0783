"""The two-step ladder: predict the loss from size and tokens, and the score from the loss.

    L(N, D) = A / N^alpha + B / D^beta + E          Huber loss, delta 1e-3, on log L; L-BFGS from many starts
    score(L) = a / (1 + exp(-k (L - L0))) + b       least squares over the training rows

Bhagia et al. 2024 (arXiv 2412.04403). Step one is that of Hoffmann et al. 2022 (arXiv 2203.15556), appendix D.2, with
fewer starts. L is the mean loss of the view in nats per byte; with losses on the correct answers of a task it is their
method. Both steps use the losses of training rows. A row to predict is predicted from its size and tokens; its losses
are not used.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult, minimize

from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.index_curve import IndexCurve, apply_curves, fit_curves, loss_per_byte
from csvjax.baselines.method import NotApplicable
from csvjax.baselines.view import View
from csvjax.errors import InputError

__all__ = ["LossLaw", "expected_loss", "fit_loss_law", "two_step_ladder"]

_HUBER = 1e-3
_STARTS = tuple(product((0.0, 10.0, 20.0), (0.0, 10.0, 20.0), (-1.0, 0.5), (0.0, 0.5), (0.0, 0.5)))
_POLISHED = 4  # starts that are continued after a short descent
_FEWEST = 5  # parameters of the loss law


class LossLaw(NamedTuple):
    """The parameters: logs of A, B and E, and alpha and beta. N and D are counts."""

    log_a: float
    log_b: float
    log_e: float
    alpha: float
    beta: float


def two_step_ladder() -> PointMethod:
    """The method. As published, it is for models that were trained alike and ignores families."""
    return PointMethod(
        name="two-step ladder",
        source="Bhagia et al. 2024, arXiv 2412.04403",
        needs=frozenset({"compute"}),
        learn=partial(_learn, starts=_STARTS),
        refit=_refit,
        amounts=("params", "tokens"),
    )


def expected_loss(
    law: LossLaw, params: Float[np.ndarray, " row"], tokens: Float[np.ndarray, " row"]
) -> Float[np.ndarray, " row"]:
    """L(N, D) of every row."""
    terms = _terms(np.array(law), np.log(params), np.log(tokens))
    return np.exp(_log_sum(terms))


def fit_loss_law(
    params: Float[np.ndarray, " row"],
    tokens: Float[np.ndarray, " row"],
    loss: Float[np.ndarray, " row"],
    starts: tuple[tuple[float, ...], ...] = _STARTS,
) -> LossLaw:
    """The best fit from all starts (log A, log B, log E, alpha, beta).

    Args:
        params: N, number of parameters [row].
        tokens: D, number of training tokens [row].
        loss: L, nats per byte [row].
        starts: starting points.

    Raises: InputError for fewer rows than parameters.
    """
    if len(loss) < _FEWEST:
        raise InputError(
            f"expected at least {_FEWEST} training rows with size, tokens and losses, found {len(loss)}; give "
            f"more models"
        )
    n, d, y = np.log(params), np.log(tokens), np.log(loss)

    def objective(p: np.ndarray) -> tuple[float, np.ndarray]:
        terms = _terms(p, n, d)
        total = _log_sum(terms)
        error = total - y
        size = np.abs(error)
        value = np.where(size <= _HUBER, 0.5 * error**2, _HUBER * (size - 0.5 * _HUBER)).sum()
        pull = np.clip(error, -_HUBER, _HUBER) * np.exp(terms - total)  # [term, row]
        gradient = [pull[0].sum(), pull[1].sum(), pull[2].sum(), -pull[0] @ n, -pull[1] @ d]
        return value / _HUBER**2, np.array(gradient) / _HUBER**2

    def descend(start: np.ndarray, steps: int) -> OptimizeResult:
        return minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": steps, "ftol": 1e-12})

    short = [descend(np.array(start), 30) for start in starts]
    kept = sorted((fit for fit in short if np.isfinite(fit.fun)), key=lambda fit: fit.fun)[:_POLISHED]
    best = min((descend(fit.x, 300) for fit in kept), key=lambda fit: fit.fun)
    return LossLaw(*best.x.tolist())


def _terms(p: np.ndarray, n: np.ndarray, d: np.ndarray) -> Float[np.ndarray, "3 row"]:
    """Logs of A / N^alpha, B / D^beta and E."""
    return np.stack([p[0] - p[3] * n, p[1] - p[4] * d, np.full(len(n), p[2])])


def _log_sum(terms: np.ndarray) -> Float[np.ndarray, " row"]:
    """Log of the sum of exponentials. SciPy's function is slow for small arrays."""
    largest = terms.max(axis=0)
    return largest + np.log(np.exp(terms - largest).sum(axis=0))


def _learn(
    view: View,
    key: jax.Array,
    starts: tuple[tuple[float, ...], ...],
    begin: list[IndexCurve] | None = None,
) -> Law:
    loss = np.where(view.train, loss_per_byte(view), np.nan)
    known = ~np.isnan(loss + view.params + view.tokens)
    if not known.any():
        raise NotApplicable("expected training rows with losses, size and tokens, found none; give all three")
    law = fit_loss_law(view.params[known], view.tokens[known], loss[known], starts)
    return partial(_predict, law, fit_curves(view, np.repeat(loss[:, None], view.target.shape[1], axis=1), begin))


def _refit(law: Law, view: View, key: jax.Array) -> Law:
    assert isinstance(law, partial)
    return _learn(view, key, (tuple(law.args[0]),), law.args[1])


def _predict(law: LossLaw, curves: list[IndexCurve], view: View) -> Float[np.ndarray, "row target"]:
    loss = expected_loss(law, view.params, view.tokens)
    return apply_curves(curves, np.repeat(loss[:, None], view.target.shape[1], axis=1))
