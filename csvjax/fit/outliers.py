"""Models that no law describes, such as those whose evaluation broke, are found and left out of the fit.

With a prior probability of 1 % the scores of a model are anything: exactly 0 or 1 with probability 1/2, otherwise
uniform between. A model is left out where that is more probable, at the mode, than what the law says of its row. This
is the classification likelihood of a mixture with uniform noise (Banfield and Raftery 1993, Biometrics 49, 803, sec.
5), so that one absurd row costs nothing but itself, and a row that is only surprising stays.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from csvjax.fit.api import Method, fit
from csvjax.fit.density import Density
from csvjax.fit.laplace import Laplace
from csvjax.fit.map import Map
from csvjax.fit.precision import float64
from csvjax.fit.result import Fit
from csvjax.laws.joint_law import JointEvidence

__all__ = ["OUTLIERS", "Cleaned", "fit_without_outliers", "outliers"]

OUTLIERS = 0.01
"""Default of the prior probability that a model is an outlier."""

_ROUNDS = 4


class Cleaned(NamedTuple):
    """A fit, the evidence that it was made from, in which no score of an outlier is seen, and which models these are.

    log_labels: log of the probability of who is an outlier and of what these have scored, in nats; with it fits that
    left out different models can be compared by their evidence.
    """

    fit: Fit
    evidence: JointEvidence
    outlier: Bool[np.ndarray, " lm"]
    log_labels: float


@partial(jax.jit, static_argnames=("density",))
def _log_rows(density: Density, e: JointEvidence, x: Float[Array, " n"]) -> Float[Array, " lm"]:
    return density.constrain(x, e)["log_lm"]


def _log_anything(e: JointEvidence) -> Float[np.ndarray, " lm"]:
    """log of the probability of a row in which each score is 0 or 1, with 1/4 each, or uniform between."""
    seen, score = np.asarray(e.seen), np.asarray(e.score)
    return -np.log(2) * (seen.sum(axis=1) + (seen & np.isin(score, (0.0, 1.0))).sum(axis=1))


@float64
def outliers(
    density: Density, e: JointEvidence, mode: Float[np.ndarray, " n"], prior: float = OUTLIERS
) -> Bool[np.ndarray, " lm"]:
    """Models whose scores are more probably anything than what the law says of them at the mode."""
    law = np.asarray(_log_rows(density, e, jnp.asarray(mode)))
    with np.errstate(divide="ignore"):
        return np.log1p(-prior) + law < np.log(prior) + _log_anything(e)


def fit_without_outliers(
    density: Density,
    e: JointEvidence,
    method: Method,
    key: Array,
    folder: Path | None = None,
    prior: float = OUTLIERS,
) -> Cleaned:
    """`csvjax.fit.fit` of all models but outliers, which are looked for at the mode, again after each fit without those
    found before. prior: 0 leaves nobody out.
    """
    search = method if isinstance(method, Map | Laplace) else method.map
    first, judged = e, np.asarray(e.seen).any(axis=1)
    for _ in range(_ROUNDS if prior > 0 else 0):
        found = fit(density, e, search, key)
        assert found.mode is not None
        absurd = outliers(density, e, found.mode, prior)
        if not absurd.any():
            break
        e = e._replace(seen=e.seen & ~absurd[:, None], score=np.where(absurd[:, None], 0.0, e.score))
    if search is not method or prior == 0:
        found = fit(density, e, method, key, folder)
    outlier = np.asarray(judged & ~np.asarray(e.seen).any(axis=1))
    labels = np.log1p(-prior) * (judged & ~outlier).sum()
    if outlier.any():
        labels += np.sum(np.log(prior) + _log_anything(first)[outlier])
    return Cleaned(found, e, outlier, float(labels))
