"""The mean loss of each model, and its loss weighted by the salience of a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax.result.result import Result

__all__ = ["salient_loss", "with_losses"]


def salient_loss(fit: Result) -> Float[np.ndarray, "lm benchmark"]:
    """The loss of each model weighted by the salience of each benchmark, in nats per byte.

        sum over u of share[b, u] loss[m, u] / bytes[u]

    share is the posterior mean in `Result.salience`, which sums to 1. The result is NaN for a model without losses, and
    for a fit without losses.
    """
    losses, lms = fit.dataset.losses, len(fit.dataset.lms)
    if losses is None:
        return np.full((lms, len(fit.benchmarks)), np.nan)
    share = fit.salience()["share"].to_numpy().reshape(len(fit.benchmarks), -1)
    return losses.loss.astype(float) / losses.units["bytes"].to_numpy(float) @ share.T


def with_losses(fit: Result, cells: pd.DataFrame) -> pd.DataFrame:
    """Add the columns mean_loss and salient_loss to predictions of the models of a fit."""
    lm = fit.dataset.lms.index.get_indexer(pd.Index(cells["lm"]))
    benchmark = pd.Index(fit.benchmarks).get_indexer(pd.Index(cells["benchmark"]))
    losses = fit.dataset.losses
    mean = np.full(len(fit.dataset.lms), np.nan) if losses is None else losses.mean_loss
    return cells.assign(mean_loss=mean[lm], salient_loss=salient_loss(fit)[lm, benchmark])
