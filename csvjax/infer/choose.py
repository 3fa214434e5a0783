"""Choose the number of capabilities, the covariates and the priors by the training split alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.special import logsumexp

from csvjax.data.dataset import Dataset
from csvjax.errors import FitWarning, InputError
from csvjax.infer.laplace import Laplace
from csvjax.infer.map import Map
from csvjax.infer.outliers import fit_without_outliers, law_log_evidence, log_either
from csvjax.law.density import law_density
from csvjax.law.evidence import make_evidence
from csvjax.law.links import standardised
from csvjax.law.model import Effect, Law, Priors
from csvjax.law.predictive import draw_law, log_scores
from csvjax.precision import float64

__all__ = ["Choice", "Hidden", "candidates", "choose", "predict_hidden"]

_METHOD = Laplace(draws=200, map=Map(starts=2))


class Choice(NamedTuple):
    """law: the best candidate. table: one row for each candidate, the best first.

    Columns: capabilities, covariates, priors (those that differ from the default), log_evidence (nats), log_score (mean
    over the scores hidden inside, nats; NaN if none were hidden), converged.
    """

    law: Law
    table: pd.DataFrame


def candidates(
    capabilities: Sequence[int] = (1, 2, 3, 4),
    covariates: Sequence[tuple[str, ...]] = (("flops",),),
    priors: Sequence[Priors] = (Priors(),),
    effects: tuple[Effect, ...] = ("family", "run"),
    tails: Sequence[float] = (0.0,),
) -> list[Law]:
    """All combinations of these settings."""
    return [
        Law(capabilities=k, covariates=names, effects=effects, priors=prior, tail=tail)
        for k, names, prior, tail in product(capabilities, covariates, priors, tails)
    ]


@float64
def choose(
    data: Dataset,
    seen: Bool[np.ndarray, "lm benchmark"],
    among: Sequence[Law],
    hidden: Sequence[Bool[np.ndarray, "lm benchmark"]] = (),
    seed: int = 0,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Choice:
    """The law with the highest evidence or, if parts are `hidden` in turn, the highest log score on these.

    Only the scores in `seen` are used. Evidence: log p(y | law), see `law_log_evidence`. Log score: for each hidden
    score, the log of its density averaged over draws (for 0 and 1: its probability), see `log_either`.

    Args:
        data: models with scores.
        seen: the training split.
        among: candidates, see `candidates`.
        hidden: parts of the training split; for each part the law is fitted again without it.
        seed: of every random choice.
        tell: called with a sentence before each fit.

    Raises: InputError for no candidates, and for parts that hide no score or every score of a benchmark.
    """
    if not among:
        raise InputError("expected one or more laws to choose among, found none; pass candidates")
    assert data.scores is not None
    mask = seen & np.isfinite(data.scores.score)
    parts = [_checked(mask, part, i) for i, part in enumerate(hidden)]
    rows = []
    for number, law in enumerate(among):
        key = jax.random.fold_in(jax.random.key(seed), number)
        name = f"K = {law.capabilities}, {' and '.join(law.covariates) or 'no covariates'}"
        tell(f"{name}: evidence")
        evidence, ok = _evidence(data, mask, law, key)
        scores = []
        for i, cells in enumerate(parts):
            tell(f"{name}: inner part {i + 1} of {len(parts)}")
            scores.append(predict_hidden(data, mask, cells, law, jax.random.fold_in(key, i)).log_p)
        score = float(np.concatenate(scores).mean()) if scores else np.nan
        rows.append((law.capabilities, ", ".join(law.covariates), _changed(law), evidence, score, ok))
    names = ["capabilities", "covariates", "priors", "log_evidence", "log_score", "converged"]
    table = pd.DataFrame(rows, columns=names)
    # The evidence and the score of a law that did not converge mean nothing.
    order = ["converged", "log_score" if parts else "log_evidence"]
    ranked = table.sort_values(order, ascending=False, kind="stable")
    return Choice(among[int(ranked.index[0])], ranked.reset_index(drop=True))


def _changed(law: Law) -> str:
    """The settings that are not the default."""
    default = Priors()._asdict()
    words = [f"{k}={v:g}" for k, v in law.priors._asdict().items() if v != default[k]]
    return ", ".join([*words, *([f"tail={law.tail:g}"] if law.tail else [])])


def _checked(mask: np.ndarray, part: np.ndarray, number: int) -> Bool[np.ndarray, "lm benchmark"]:
    cells = mask & part
    if not cells.any():
        raise InputError(f"expected inner parts with scores to hide, found none in part {number + 1}; change the split")
    if not (mask & ~cells).any(axis=0)[cells.any(axis=0)].all():
        raise InputError(
            f"expected inner parts that leave a score of every benchmark, found that part {number + 1} does not; "
            f"hide less"
        )
    return cells


def _evidence(data: Dataset, mask: np.ndarray, law: Law, key: jax.Array) -> tuple[float, bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the table has a column for it
        e = make_evidence(data, mask, law)[0]
        found = fit_without_outliers(law_density(law), e, _METHOD, key, None, law)
    return law_log_evidence(found, law.capabilities), found.fit.status.ok


class Hidden(NamedTuple):
    """Scores that a fit has not seen: log p of each, in nats, and draws of it."""

    log_p: Float[np.ndarray, " cell"]
    score: Float[np.ndarray, "draw cell"]


def predict_hidden(data: Dataset, mask: np.ndarray, cells: np.ndarray, law: Law, key: jax.Array) -> Hidden:
    """Predict each of the `cells` from a fit to `mask` without them; any model may be an outlier."""
    density = law_density(law)
    assert data.scores is not None
    key_fit, key_cells = jax.random.split(key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        cleaned = fit_without_outliers(density, make_evidence(data, mask & ~cells, law)[0], _METHOD, key_fit, None, law)
    e = cleaned.evidence
    score = standardised(e.standard, data.scores.score)
    judged = e._replace(score=np.where(cells, score, 0.0), seen=cells)
    drawn = draw_law(density, law.tail, e, cleaned.fit.draws, key_cells)
    log_p = log_scores(law.tail, judged, drawn)[:, cells]
    log_p = log_p[np.isfinite(log_p).all(axis=1)]  # far from the mode the field may have no solution
    draws = np.asarray(drawn.score)[:, cells]
    if not len(log_p):
        return Hidden(np.full(int(cells.sum()), -np.inf), draws)
    mean = logsumexp(log_p, axis=0) - np.log(len(log_p))
    bounded = np.broadcast_to(e.standard.bounded, cells.shape)[cells]
    return Hidden(log_either(np.asarray(mean), score[cells], bounded, law.outliers), draws)
