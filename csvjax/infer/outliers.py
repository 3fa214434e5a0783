"""Find models that the law cannot explain, such as those with a broken evaluation, and leave them out of the fit.

With a prior probability of 1 % a model is an outlier. Each of its scores is then 0 or 1 with probability 1/4 each,
otherwise uniform between. A model is left out if, at the mode, its scores are more probable as an outlier's than under
the law. This is the classification likelihood of a mixture with uniform noise (Banfield and Raftery 1993, Biometrics
49, 803, sec. 5): an absurd row does not affect the other rows, and a row that is only surprising is kept.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from csvjax.cluster import Where
from csvjax.infer.api import Method, fit
from csvjax.infer.laplace import Laplace, log_evidence
from csvjax.infer.map import Map
from csvjax.infer.result import Fit
from csvjax.law.density import Density
from csvjax.law.items import between
from csvjax.law.model import Evidence, Law
from csvjax.law.predictive import draw_law
from csvjax.precision import float64

__all__ = ["Cleaned", "fit_without_outliers", "law_log_evidence", "log_either", "outliers"]

_ROUNDS = 4
_MOST = 0.2  # largest share of models that may be left out
_WIDE = 3.0  # standard deviation of an outlier's standardised score without bounds


class Cleaned(NamedTuple):
    """A fit, its evidence (in which no score of an outlier is seen), and which models are outliers.

    log_labels: log of the joint probability of which models are outliers and of the outliers' scores, in nats; with it,
    fits that left out different models can be compared by their evidence. refused: a sentence, if there were too many.
    """

    fit: Fit
    evidence: Evidence
    outlier: Bool[np.ndarray, " lm"]
    log_labels: float
    refused: str | None = None


def _log_rows(density: Density, tail: float, e: Evidence, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " lm"]:
    # Uses the program that draws predictions: another program for the mode alone would take longer to compile.
    return draw_law(density, tail, e, x[None], jax.random.key(0)).log_model[0]


def _log_anything(score: Float[np.ndarray, "*cell"], bounded: Bool[np.ndarray, "*#cell"]) -> Float[np.ndarray, "*cell"]:
    """log probability of an outlier's score: 0 or 1, with 1/4 each, or uniform between. A score without bounds is
    standardised and has the density Normal(0, 3).
    """
    number = -0.5 * (score / _WIDE) ** 2 - np.log(_WIDE) - 0.5 * np.log(2 * np.pi)
    return np.where(bounded, -np.log(2) * (2 - between(score)), number)


def _log_row_of_anything(e: Evidence) -> Float[np.ndarray, " lm"]:
    return np.sum(np.asarray(e.seen) * _log_anything(np.asarray(e.score), np.asarray(e.standard.bounded)), axis=1)


@float64
def outliers(density: Density, e: Evidence, mode: Float[np.ndarray, " n"], law: Law) -> Bool[np.ndarray, " lm"]:
    """Models whose scores are more probable as an outlier's than under the law at the mode."""
    rows = np.asarray(_log_rows(density, law.tail, e, np.asarray(mode)))
    prior = law.outliers
    with np.errstate(divide="ignore"):
        return np.log1p(-prior) + rows < np.log(prior) + _log_row_of_anything(e)


def fit_without_outliers(
    density: Density,
    e: Evidence,
    method: Method,
    key: Array,
    folder: Path | None,
    law: Law,
    where: Where | None = None,
) -> Cleaned:
    """`csvjax.infer.fit` of all models except outliers. They are searched for at the mode, again after each fit without
    those found before. `law.outliers`: 0 leaves no model out.

    If more than a fifth of the models, or all models scored on a benchmark, look like outliers, no model is left out:
    the law does not describe such a table.
    """
    search = method if isinstance(method, Map | Laplace) else method.map
    prior = law.outliers
    first, judged = e, np.asarray(e.seen).any(axis=1)
    outlier, refused = np.zeros_like(judged), None
    found = fit(density, e, search, key) if prior > 0 else None
    for _ in range(_ROUNDS):
        if found is None or found.mode is None or not found.status.ok:
            break  # no model has scores to judge by
        absurd = outlier | outliers(density, e, found.mode, law)
        kept = np.asarray(first.seen) & ~absurd[:, None]
        lost = np.asarray(first.seen).any(axis=0) & ~kept.any(axis=0)
        if absurd.sum() > _MOST * judged.sum() or lost.any():
            refused = (
                f"{absurd.sum()} of {judged.sum()} models look like outliers, too many to leave out: the law does not "
                f"describe these scores"
            )
            absurd, kept = np.zeros_like(judged), np.asarray(first.seen)
        if np.array_equal(absurd, outlier):
            break
        outlier = absurd
        e = first._replace(seen=kept, score=np.where(kept, first.score, 0.0))
        found = fit(density, e, search, key)
        if not outlier.any():
            break
    if found is None or search is not method:
        optimum = None if found is None or not found.status.ok else found.optimum
        found = fit(density, e, method, key, folder, optimum, where)
    labels = np.log1p(-prior) * (judged & ~outlier).sum()
    if outlier.any():
        labels += np.sum(np.log(prior) + _log_row_of_anything(first)[outlier])
    return Cleaned(found, e, outlier, float(labels), refused)


def law_log_evidence(found: Cleaned, capabilities: int) -> float:
    """log p(y | K), with the probability of the outliers included, by Laplace's approximation around all 2^(K-1) (K-1)!
    modes, which differ by signs and order of contrasts. If contrasts are not distinct, the modes overlap, and this is
    too large by at most the logarithm of their number.
    """
    contrasts = max(capabilities - 1, 0)
    modes = contrasts * math.log(2) + math.lgamma(contrasts + 1)
    return log_evidence(found.fit) + found.log_labels + modes


def log_either(
    log_p: Float[np.ndarray, "*cell"],
    score: Float[np.ndarray, "*cell"],
    bounded: Bool[np.ndarray, "*#cell"],
    prior: float,
) -> np.ndarray:
    """log probability of a score whose model may be an outlier; `log_p` is its log probability under the law."""
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log1p(-prior) + log_p, np.log(prior) + _log_anything(score, bounded))
