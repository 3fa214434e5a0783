"""Checks whether a fit describes the scores that it was fitted to.

A search may end in a wrong mode and still report that it converged. So two checks follow each fit. The fitted mean
scores of each benchmark are compared with a plain fit of the same rows: the better of a least-squares line (logits on
the first covariate, or on the mean loss) and the mean score. A fit that is clearly worse fails. Then the observed mean
score of each benchmark must be plausible among the mean scores that the fit predicts for the same models.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, logit

from csvjax.infer.convergence import bulk_ess, rhat
from csvjax.infer.result import Status
from csvjax.law.links import standardised
from csvjax.law.predictive import draw_law
from csvjax.precision import float64
from csvjax.result.result import Result, finite_draws

__all__ = ["check_fit", "plain_error"]

_WORSE = 1.5  # times the error of the plain fit
_SLIGHT = 0.02  # an error this small is always accepted: a fraction of the items, or of a standard deviation
_TAIL = 0.0005  # smallest accepted share of predicted means on one side of the observed mean
_DRAWS = 200
_RHAT, _ESS = 1.02, 200  # for the logits of all cells; the largest r-hat of hundreds of well-mixed ones is about 1.01


@float64
def check_fit(result: Result) -> Status:
    """The status of the fit after both checks; a bad status names the benchmarks that the fit does not describe."""
    if not result.status.ok:
        return result.status
    if (chains := _check_chains(result)) is not None and not chains.ok:
        return chains
    e = result.evidence
    x = result.draws()
    x = x[np.linspace(0, len(x) - 1, _DRAWS).astype(int)]
    drawn = draw_law(result.density, result.law.tail, e, x, jax.random.key(result.seed))
    mean, score = (standardised(e.standard, a) for a in finite_draws((drawn.mean, drawn.score), drawn.mean))
    index = _index(result)
    bounded = np.asarray(e.standard.bounded)
    worse: list[tuple[int, str]] = []
    off: list[tuple[int, str]] = []
    for b, name in enumerate(result.benchmarks):
        rows = np.asarray(e.seen)[:, b]
        y = np.asarray(e.score)[rows, b]
        if len(y) < 3:
            continue
        ours = float(np.sqrt(np.mean((mean[:, rows, b].mean(axis=0) - y) ** 2)))
        plain = plain_error(y, index[rows], bool(bounded[b]))
        if ours > _WORSE * plain + _SLIGHT:
            unit = "" if bounded[b] else " times the spread of its scores"
            worse.append((b, f"{name} ({ours:.3f} against {plain:.3f}{unit})"))
        below = float(np.mean(score[:, rows, b].mean(axis=1) < y.mean()))
        if min(below, 1 - below) < _TAIL and abs(score[:, rows, b].mean() - y.mean()) > _SLIGHT:
            off.append((b, name))
    if worse:
        return Status(
            False,
            f"not converged: on its own rows the fit is worse than a plain least-squares line for {_named(worse)}; "
            f"use more starting points{', give the chance level as the floor' if _any(bounded, worse) else ''}, "
            f"or use NUTS",
        )
    if off:
        return Status(
            False,
            f"the fitted scores miss the observed mean of {_named(off)}; "
            f"check their {'floors, ceilings and units' if _any(bounded, off) else 'units'}",
        )
    return result.status if chains is None else chains


def _named(found: list[tuple[int, str]]) -> str:
    return ", ".join(words for _, words in found)


def _any(bounded: Bool[np.ndarray, " benchmark"], found: list[tuple[int, str]]) -> bool:
    return any(bounded[b] for b, _ in found)


def _check_chains(result: Result) -> Status | None:
    """Whether the chains agree on the prediction of every cell; None if there are not several chains."""
    if len(result.x) < 2:
        return None
    logit = result.cells.logit.reshape(*result.x.shape[:2], -1)
    worst, fewest = float(rhat(logit).max()), float(bulk_ess(logit).min())
    if worst > _RHAT or fewest < _ESS:
        return Status(
            False,
            f"the chains do not agree on the scores that they predict: largest r-hat {worst:.3f}, which should be at "
            f"most {_RHAT}, and {fewest:.0f} effective draws, which should be at least {_ESS}; run longer "
            f"chains (--draws, --warmup)",
        )
    told = f"{result.status}; of the predicted scores largest r-hat {worst:.3f}, at least {fewest:.0f} effective draws"
    return Status(True, told)


def plain_error(y: Float[np.ndarray, " lm"], index: Float[np.ndarray, " lm"], bounded: bool = True) -> float:
    """Root mean squared error of a plain fit on its own rows: the smaller error of the mean and of a straight line.

    Args:
        y: scores.
        index: the covariate of the line; NaN where unknown, where the mean is used.
        bounded: whether the line is fitted to logits; scores without bounds are used as they are.
    """
    errors = [y - y.mean()]
    known = np.isfinite(index)
    if known.sum() >= 3 and np.ptp(index[known]) > 0:
        eta = logit(np.clip(y, 0.005, 0.995)) if bounded else y
        line = np.polyval(np.polyfit(index[known], eta[known], 1), np.where(known, index, 0.0))
        fitted = np.where(known, expit(line) if bounded else line, y.mean())
        errors.append(y - fitted)
    return float(min(np.sqrt(np.mean(error**2)) for error in errors))


def _index(result: Result) -> Float[np.ndarray, " lm"]:
    """The first covariate, or the mean loss if there is no covariate; NaN where it is unknown."""
    e = result.evidence
    if e.covariate.shape[1]:
        return np.asarray(e.covariate)[:, 0]
    if result.known.units is not None:
        mean = np.asarray(e.loss) @ result.known.units.weight
        return np.where(e.has_loss, mean, np.nan)
    return np.full(len(e.score), np.nan)
