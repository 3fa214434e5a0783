"""Where a search may begin: least squares on the logits of the scores, and their principal components."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from csvjax.law.items import Cells, score_logit
from csvjax.law.model import Evidence, Law
from csvjax.law.salience import salient_losses
from csvjax.law.small import inverse

__all__ = ["first_guess"]

_ITEMS = 300.0  # where their number is not known
_RIDGE = 0.1  # of a standardised column
_DIFFER = 0.5  # steepness_differs and contrast_scale of the guess
_LEAST = 0.05  # logits: what is left open at least


class _Logits(NamedTuple):
    """value: of the scores, 0 where not seen. share: seen cells, each column summing to 1. x: a column of ones, the
    covariates, and minus the mean loss, standardised."""

    value: Float[Array, "lm benchmark"]
    share: Float[Array, "lm benchmark"]
    x: Float[Array, "lm column"]


def _logits(e: Evidence) -> _Logits:
    lowest = jnp.min(jnp.where(e.seen, e.score, 1.0), axis=0)
    floor = jnp.where(jnp.isnan(e.floor), 0.8 * jnp.minimum(e.floor_most, lowest), e.floor)
    n_items = jnp.where(jnp.isnan(e.n_items), _ITEMS, e.n_items)
    cells = Cells(e.score, e.seen, n_items, floor, jnp.nan_to_num(jnp.asarray(e.ceiling), nan=1.0), e.bounded)
    value = score_logit(cells, jnp.zeros_like(jnp.asarray(e.score)))
    share = jnp.asarray(e.seen) / jnp.maximum(jnp.sum(e.seen, axis=0), 1)
    x = [jnp.ones((len(value), 1)), jnp.asarray(e.covariate)]
    if e.loss.shape[1]:
        none = jnp.zeros((1, e.loss.shape[1]))
        reference = salient_losses(e.reference_loss, e.log_base, none)
        psi = (salient_losses(e.loss, e.log_base, none) - jnp.mean(reference)) / (jnp.std(reference) + 0.1 * e.scale)
        x.append(-jnp.where(e.has_loss[:, None], psi, 0.0))
    return _Logits(value, share, jnp.hstack(x))


def _least_squares(x: Array, y: Array, share: Array) -> Array:
    """Coefficients [column, target] of every column of y on x, ridge on all but the ones; share: weights."""
    square = jnp.einsum("mi,mt,mj->tij", x, share, x)
    ridge = _RIDGE * jnp.eye(x.shape[1]).at[0, 0].set(1e-3)
    return jnp.einsum("tij,mj,mt,mt->it", inverse(square + ridge)[0], x, share, y)


def first_guess(e: Evidence, law: Law) -> dict[str, Array]:
    """Unconstrained values of some sites: intercepts, loadings, slopes on covariates and on the mean loss."""
    at = _logits(e)
    count = at.x.shape[1] - 1 - e.covariate.shape[1]  # of losses: one or none
    if law.alone:
        slope = _least_squares(at.x, at.value, at.share)
        left = jnp.sqrt(jnp.sum(at.share * (at.value - at.x @ slope) ** 2, axis=0)) + _LEAST
        found = {"intercept": slope[0], "own_gain": slope[1 : 1 + e.covariate.shape[1]]}
        if count:
            found["own_slope"] = jnp.log(jnp.maximum(slope[-1], 0.2))
        return found | _spread(left, law)
    centre = jnp.sum(at.share * at.value, axis=0)
    rest = jnp.where(e.seen, at.value - centre, 0.0)
    general = jnp.sum(rest, axis=1, keepdims=True) / jnp.maximum(jnp.sum(e.seen, axis=1, keepdims=True), 1)
    any_seen = jnp.any(e.seen, axis=1, keepdims=True)
    slope = _least_squares(at.x, general, any_seen / jnp.sum(any_seen))[:, 0]
    left = jnp.where(any_seen, general - (at.x @ slope)[:, None], 0.0)
    unit = jnp.sqrt(jnp.sum(left**2) / jnp.sum(any_seen)) + 0.1 * jnp.std(general) + _LEAST
    along = jnp.sum(at.share * rest * general, axis=0) / (jnp.sum(at.share * general**2, axis=0) + 1e-3)
    loading = jnp.clip(along, 0.1, 10.0) * unit
    typical = jnp.mean(jnp.log(loading))
    found = {
        "intercept": centre + along * slope[0],
        "typical_loading": typical,
        "steepness_differs": jnp.log(_DIFFER),
        "steepness": jnp.clip((jnp.log(loading) - typical) / _DIFFER, -2.0, 2.0),
    }
    others = law.capabilities - 1
    if e.covariate.shape[1]:
        own = slope[1 : 1 + e.covariate.shape[1], None] / unit
        found["gain"] = jnp.pad(own, ((0, 0), (0, others)))
    if count:
        found["loss_slope"] = jnp.pad(slope[-1:] / unit, (0, others))
    rest = jnp.where(e.seen, rest - general * along, 0.0)
    if others:
        _, size, axes = jnp.linalg.svd(rest, full_matrices=False)
        kept = min(others, len(size))
        contrast = axes[:kept].T * size[:kept] / jnp.sqrt(len(rest)) / (_DIFFER * loading[:, None])
        rest = rest - rest @ axes[:kept].T @ axes[:kept]
        found["contrast"] = jnp.pad(jnp.clip(contrast, -2.0, 2.0), ((0, 0), (0, others - kept)))
        found["contrast_scale"] = jnp.full(others, jnp.log(_DIFFER))
    return found | _spread(jnp.sqrt(jnp.sum(at.share * rest**2, axis=0)) + _LEAST, law)


def _spread(left: Array, law: Law) -> dict[str, Array]:
    typical = jnp.mean(jnp.log(left))
    return {"typical_spread": typical, "spread_differs": (jnp.log(left) - typical) / law.priors.spread_differs}
