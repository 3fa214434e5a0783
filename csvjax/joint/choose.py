"""The number of capabilities, the covariates and the priors, chosen by what the training split says of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from jaxtyping import Bool
from scipy.special import logsumexp

from csvjax.data.dataset import Dataset
from csvjax.errors import FitWarning, InputError
from csvjax.evaluate.splits import Fold
from csvjax.infer import Laplace, Map
from csvjax.laws.fit_joint import JointSettings, evidence_for, joint_density, joint_log_evidence, solved
from csvjax.laws.joint_cells import draw_cells
from csvjax.laws.joint_model import JointPriors
from csvjax.laws.outliers import fit_without_outliers, log_either
from csvjax.precision import float64

__all__ = ["Choice", "candidates", "choose"]

_METHOD = Laplace(draws=200, map=Map(starts=2))


class Choice(NamedTuple):
    """settings: the best. table: a row for each candidate, the best first.

    Columns: capabilities, covariates, priors (those that differ from the default), log_evidence (nats), log_score (mean
    over the scores held out inside, nats; NaN without inner folds), converged.
    """

    settings: JointSettings
    table: pd.DataFrame


def candidates(
    capabilities: Sequence[int] = (1, 2, 3, 4),
    covariates: Sequence[tuple[str, ...]] = (("flops",),),
    priors: Sequence[JointPriors] = (JointPriors(),),
    families: bool = True,
) -> list[JointSettings]:
    """Every combination of these."""
    return [
        JointSettings(capabilities=k, covariates=names, families=families, priors=prior)
        for k, names, prior in product(capabilities, covariates, priors)
    ]


@float64
def choose(
    dataset: Dataset,
    seen: Bool[np.ndarray, "lm benchmark"],
    among: Sequence[JointSettings],
    inner: Sequence[Fold] = (),
    targets: Bool[np.ndarray, " benchmark"] | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Choice:
    """The settings with the highest log score on the `inner` folds; without folds, those with the highest evidence.

    Nothing but the scores `seen` is looked at. Evidence: log p(y | settings), see `joint_log_evidence`. Log score: of
    each score hidden by a fold, log of the mean over draws of its density (0 and 1: probability), or of an outlier's
    (`log_either`). A fold hides the `targets` (default: all benchmarks) of its test rows. tell: called with a sentence
    before each fit.

    Raises: InputError for no candidates, and for inner folds whose test rows have no score to hide, or that are wider
    than the training rows.
    """
    if not among:
        raise InputError("expected one or more settings to choose among, found none; give candidates")
    assert dataset.scores is not None
    mask = seen & np.isfinite(dataset.scores.score)
    columns = np.ones(mask.shape[1], bool) if targets is None else targets
    hidden = [_hidden(mask, fold, columns) for fold in inner]
    rows = []
    for number, settings in enumerate(among):
        key = jax.random.fold_in(jax.random.key(seed), number)
        name = f"K = {settings.capabilities}, {' and '.join(settings.covariates) or 'no covariates'}"
        tell(f"{name}: evidence")
        evidence, ok = _evidence(dataset, mask, settings, key)
        scores = []
        for i, cells in enumerate(hidden):
            tell(f"{name}: inner fold {i + 1} of {len(hidden)}")
            scores.append(_log_scores(dataset, mask, cells, settings, jax.random.fold_in(key, i)))
        score = float(np.concatenate(scores).mean()) if scores else np.nan
        default = JointPriors()._asdict()
        changed = {k: v for k, v in settings.priors._asdict().items() if v != default[k]}
        words = ", ".join(f"{k}={v:g}" for k, v in changed.items())
        rows.append((settings.capabilities, ", ".join(settings.covariates), words, evidence, score, ok))
    table = pd.DataFrame(
        rows, columns=["capabilities", "covariates", "priors", "log_evidence", "log_score", "converged"]
    )
    # One that did not converge has neither an evidence nor a score to speak of.
    order = ["converged", "log_score" if inner else "log_evidence"]
    ranked = table.sort_values(order, ascending=False, kind="stable")
    return Choice(among[int(ranked.index[0])], ranked.reset_index(drop=True))


def _hidden(mask: np.ndarray, fold: Fold, columns: np.ndarray) -> np.ndarray:
    """The cells [lm, benchmark] that a fold hides."""
    cells = mask & fold.test[:, None] & columns
    if not cells.any():
        raise InputError(
            f"expected inner folds with scores to hold out, found none in fold {fold.name!r}; split others"
        )
    if not (mask & ~cells)[:, columns].any(axis=0).all():
        raise InputError(
            f"expected inner folds that leave a score of every benchmark, found that fold {fold.name!r} does not; "
            f"hold out less"
        )
    return cells


def _evidence(dataset: Dataset, mask: np.ndarray, settings: JointSettings, key: jax.Array) -> tuple[float, bool]:
    density = joint_density(settings.capabilities, settings.priors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the table says it
        found = fit_without_outliers(
            density, evidence_for(dataset, mask, settings)[0], _METHOD, key, None, settings.outliers
        )
    return joint_log_evidence(found, settings.capabilities), found.fit.status.ok


def _log_scores(
    dataset: Dataset, mask: np.ndarray, cells: np.ndarray, settings: JointSettings, key: jax.Array
) -> np.ndarray:
    """log p(y) of each of the `cells` from a fit that has not seen them; its model may be an outlier."""
    density = joint_density(settings.capabilities, settings.priors)
    e = evidence_for(dataset, mask & ~cells, settings)[0]
    assert dataset.scores is not None
    key_fit, key_cells = jax.random.split(key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found, e, *_ = fit_without_outliers(density, e, _METHOD, key_fit, None, settings.outliers)
    judged = e._replace(score=np.where(cells, dataset.scores.score, 0.0), seen=cells)
    log_p = np.asarray(draw_cells(density, e, judged, found.draws, key_cells).log_likelihood)[:, cells]
    log_p = solved(log_p, log_p)
    mean = logsumexp(log_p, axis=0) - np.log(len(log_p))
    return log_either(np.asarray(mean), dataset.scores.score[cells], settings.outliers)
