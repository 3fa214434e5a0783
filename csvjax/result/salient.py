"""What losses say of single models: their mean loss, and the loss that a fit weighs by its salience."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax.result.result import Result

__all__ = ["salient_loss", "with_losses"]


def salient_loss(fit: Result) -> Float[np.ndarray, "lm benchmark"]:
    """sum over u of share[b, u] loss[m, u] / bytes[u], nats per byte; NaN for a model without losses.

    share: posterior mean of `Result.salience`, which sums to one. All of it is NaN for a fit without losses.
    """
    losses, lms = fit.dataset.losses, len(fit.dataset.lms)
    if losses is None:
        return np.full((lms, len(fit.benchmarks)), np.nan)
    share = fit.salience()["share"].to_numpy().reshape(len(fit.benchmarks), -1)
    return losses.loss.astype(float) / losses.units["bytes"].to_numpy(float) @ share.T


def with_losses(fit: Result, cells: pd.DataFrame) -> pd.DataFrame:
    """Rows of `csvjax.prediction.summary` of the fit's own models, with the columns mean_loss and salient_loss."""
    lm = fit.dataset.lms.index.get_indexer(pd.Index(cells["lm"]))
    benchmark = pd.Index(fit.benchmarks).get_indexer(pd.Index(cells["benchmark"]))
    losses = fit.dataset.losses
    mean = np.full(len(fit.dataset.lms), np.nan) if losses is None else losses.mean_loss
    return cells.assign(mean_loss=mean[lm], salient_loss=salient_loss(fit)[lm, benchmark])
