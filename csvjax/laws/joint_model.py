"""The joint law: compute, losses and benchmark scores of all models speak about one low-dimensional capability.

    trend[m, k] = sum_j gain[j, k] x[m, j] - loss_slope[k] (psi[m, k] - centre) / scale
    psi[m, k]   = sum_u softmax(log pi + tau X weight[k])[u] loss[m, u]                       nats per byte
    theta[m, k] = trend[m, k] + family_spread[k] a[f(m), k] + r[m, k]
    eta[m, b]   = intercept[b] + sum_k loading[b, k] theta[m, k] + habit_spread spread[b] h[f(m), b]       logits
    mu[m, b]    = floor[b] + (ceiling[b] - floor[b]) sigmoid(eta[m, b])
    n y[m, b]   ~ Binomial(n[b], mu at eta[m, b] + spread[b] e[m, b]),              a, r, h, e ~ Normal(0, 1)

x are standardised covariates (log compute, log size, ...); one that is not known of a model is Normal(0, 1) too. Each
source of evidence is optional: without covariates and losses theta is a plain factor; a model with neither scores nor
losses has the theta that compute and family give it. Floors, ceilings and numbers of items that are not known are
inferred. a, r, h, e are integrated out (`csvjax.laws.joint_field`), so the density is that of the few dozen parameters
that all models share.

The unit of a capability is the standard deviation of what trend and family leave open, so loadings are logits per that.
The first capability raises every score (its loadings are positive and of like size), the others are contrasts.

Observational scaling laws (Ruan et al. 2024, arXiv 2405.10938, eqs. 3-5) are scores alone; Sloth (Maia Polo et al.
2024, arXiv 2412.06540) is covariates log N, log D, log N log D and family effects; the Capability Salience Vector
(Ge et al. 2025, arXiv 2506.13216) is losses alone.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import ndtr
from jaxtyping import Array, Bool, Float, Int

from csvjax.law.salience import salient_loss
from csvjax.laws.joint_field import Cells, Field, Prior, log_marginal
from csvjax.types import AnyArray

__all__ = ["JointEvidence", "JointPriors", "joint_law"]


class JointPriors(NamedTuple):
    """Prior settings; logits where not said otherwise.

    loading, loading_sd: of the median first loading (log-normal), in logits per unit of capability.
    steepness_sd: half-normal scale of how log first loadings differ between benchmarks.
    contrast_sd: half-normal scale of the loadings of the further capabilities, relative to the first loading.
    intercept_mean, intercept_sd: of the intercepts.
    spread, spread_sd: log-normal median and log-scale of the typical residual.
    spread_differs: log-scale of how the residual differs between benchmarks.
    habit_sd: half-normal scale, relative to the residual, of what a family has in common on one benchmark beyond its
    capabilities.
    gain_sd: of a gain, in units of capability per standard deviation of a covariate.
    family_sd: half-normal scale of the family effects, in units of capability.
    loss_slope_sd: as gain_sd, for the salient loss.
    strength: tau, scale of the salience (0: the mean loss).
    floor: Beta(1, floor) of the place of an unknown floor between 0 and 1/2, or a known ceiling below that.
    ceiling: Beta(ceiling, 1) of the place of an unknown ceiling between floor and 1; inf for a ceiling of 1. Chosen by
    the evidence of training rows alone: of the first fold of Sloth's v1, v2 and all with one model seen, best K, and of
    models up to 8.4e22 FLOP in the table of observational scaling laws, K = 2, in nats: 1420, 1073, 1522, 1770 with
    inf; 1489, 1097, 1577, 1815 with 10; 1491, 1104, 1585, 1813 with 3.
    items, items_sd: log-normal median and log-scale of an unknown number of items.
    """

    loading: float = 1.0
    loading_sd: float = 0.7
    steepness_sd: float = 0.5
    contrast_sd: float = 0.7
    intercept_mean: float = -1.0
    intercept_sd: float = 3.0
    spread: float = 0.3
    spread_sd: float = 0.7
    spread_differs: float = 0.7
    habit_sd: float = 1.0
    gain_sd: float = 2.0
    family_sd: float = 1.0
    loss_slope_sd: float = 2.0
    strength: float = 0.2
    floor: float = 3.0
    ceiling: float = 3.0
    items: float = 300.0
    items_sd: float = 1.0


class JointEvidence(NamedTuple):
    """What a fit sees. Arrays only, so that folds and replicates stack under vmap; an absent source has no columns.

    score: fraction, 0 where not seen. weight: how often a model counts (1; a bootstrap draws others). n_items, floor,
    ceiling: NaN where unknown. covariate: standardised, 0 where not known. family: a number. families: only its length
    matters. loss: nats per byte; the fields after it are needed only where there are losses.
    """

    score: Float[AnyArray, "lm benchmark"]
    seen: Bool[AnyArray, "lm benchmark"]
    weight: Float[AnyArray, " lm"]
    n_items: Float[AnyArray, " benchmark"]
    floor: Float[AnyArray, " benchmark"]
    ceiling: Float[AnyArray, " benchmark"]
    covariate: Float[AnyArray, "lm covariate"]
    known: Bool[AnyArray, "lm covariate"]
    family: Int[AnyArray, " lm"]
    families: Float[AnyArray, " family"]
    loss: Float[AnyArray, "lm unit"]
    log_base: Float[AnyArray, " unit"] = np.zeros(0)
    features: Float[AnyArray, "unit feature"] = np.zeros((0, 1))
    centre: Float[AnyArray, ""] = np.asarray(0.0)
    scale: Float[AnyArray, ""] = np.asarray(1.0)


def _trend(e: JointEvidence, capabilities: int, priors: JointPriors) -> tuple[Array, Array]:
    """trend [lm, capability], and the loadings on it [lm, capability, covariate] of covariates that are not known."""
    lms, covariates = e.covariate.shape
    first = jnp.arange(capabilities) == 0
    trend, unknown = jnp.zeros((lms, capabilities)), jnp.zeros((lms, capabilities, 0))
    if covariates:
        mean = jnp.broadcast_to(jnp.where(first, 1.0 / covariates, 0.0), (covariates, capabilities))
        gain = numpyro.sample("gain", dist.Normal(mean, priors.gain_sd).to_event(2))
        trend += jnp.where(e.known, e.covariate, 0.0) @ gain
        unknown = jnp.where(e.known[:, None, :], 0.0, gain.T[None])
    if e.loss.shape[1]:
        shape = (capabilities, e.features.shape[1])
        weight = numpyro.sample("weight", dist.Normal(jnp.zeros(shape), 1.0).to_event(2))
        slope = numpyro.sample("loss_slope", dist.Normal(first * 1.0, priors.loss_slope_sd).to_event(1))
        z = priors.strength * weight @ e.features.T
        psi = jax.vmap(lambda z: salient_loss(e.loss, e.log_base, z), out_axes=1)(z)
        trend -= slope * (psi - e.centre) / e.scale
    return trend, unknown


def _loadings(benchmarks: int, capabilities: int, priors: JointPriors) -> Array:
    """loading[b, 0] = exp(steepness[b]) and loading[b, k] = loading[b, 0] contrast_scale[k] contrast[b, k]."""
    typical = numpyro.sample("typical_loading", dist.LogNormal(jnp.log(priors.loading), priors.loading_sd))
    differ = numpyro.sample("steepness_differs", dist.HalfNormal(priors.steepness_sd))
    steep = numpyro.sample("steepness", dist.Normal(jnp.zeros(benchmarks), 1.0).to_event(1))
    loading = (typical * jnp.exp(differ * steep))[:, None]
    if capabilities > 1:
        scale = jnp.full(capabilities - 1, priors.contrast_sd)
        scale = numpyro.sample("contrast_scale", dist.HalfNormal(scale).to_event(1))
        contrast = dist.Normal(jnp.zeros((benchmarks, capabilities - 1)), 1.0).to_event(2)
        loading = loading * jnp.hstack([jnp.ones((benchmarks, 1)), scale * numpyro.sample("contrast", contrast)])
    return numpyro.deterministic("loading", loading)


def joint_law(evidence: JointEvidence, capabilities: int = 1, priors: JointPriors = JointPriors()) -> None:
    """The NumPyro model. Deterministic sites: capability_trend [lm, capability], loading [benchmark, capability],
    spread, known_floor, ceiling and known_items [benchmark], and those of `Prior` and `Field`, from which
    `csvjax.laws.joint_field.draw_field` draws logits.
    """
    e = evidence
    benchmarks = e.score.shape[1]
    theta, unknown = _trend(e, capabilities, priors)
    numpyro.deterministic("capability_trend", theta)
    loading = _loadings(benchmarks, capabilities, priors)
    ones = jnp.ones(benchmarks)
    intercept = numpyro.sample("intercept", dist.Normal(priors.intercept_mean * ones, priors.intercept_sd).to_event(1))
    typical = numpyro.sample("typical_spread", dist.LogNormal(jnp.log(priors.spread), priors.spread_sd))
    differ = numpyro.sample("spread_differs", dist.Normal(jnp.zeros(benchmarks), 1.0).to_event(1))
    spread = numpyro.deterministic("spread", typical * jnp.exp(priors.spread_differs * differ))
    shared = jnp.zeros((benchmarks, 0))
    if len(e.families):
        wide = numpyro.sample("family_spread", dist.HalfNormal(jnp.full(capabilities, priors.family_sd)).to_event(1))
        habit = numpyro.sample("habit_spread", dist.HalfNormal(priors.habit_sd))
        shared = jnp.hstack([loading * wide, habit * jnp.diag(spread)])
    most = jnp.where(jnp.isnan(e.ceiling), 0.5, jnp.minimum(e.ceiling, 0.5))
    # Floors and ceilings are sampled as normal quantiles of their Beta priors: a normal approximation, and a sampler in
    # units of the curvature, then holds also where no score tells of them.
    quantile = numpyro.sample("free_floor", dist.Normal(jnp.zeros(benchmarks), 1.0).to_event(1))
    free_floor = most * (1 - ndtr(-quantile) ** (1 / priors.floor))
    floor = numpyro.deterministic("known_floor", jnp.where(jnp.isnan(e.floor), free_floor, e.floor))
    unknown_ceiling = ones
    if priors.ceiling < float("inf"):
        quantile = numpyro.sample("room", dist.Normal(jnp.zeros(benchmarks), 1.0).to_event(1))
        unknown_ceiling = floor + (1 - floor) * ndtr(quantile) ** (1 / priors.ceiling)
    ceiling = numpyro.deterministic("ceiling", jnp.where(jnp.isnan(e.ceiling), unknown_ceiling, e.ceiling))
    free_items = numpyro.sample("free_items", dist.LogNormal(jnp.log(priors.items) * ones, priors.items_sd).to_event(1))
    n = numpyro.deterministic("known_items", jnp.where(jnp.isnan(e.n_items), free_items, e.n_items))

    own = jnp.broadcast_to(loading, (len(theta), *loading.shape))
    own = jnp.concatenate([own, jnp.einsum("bk,mkj->mbj", loading, unknown)], axis=2)
    prior = Prior(theta @ loading.T + intercept, own, spread, shared, e.family, e.families)
    field = log_marginal(Cells(e.score, e.seen, n, floor, ceiling), prior)
    for name, value in (*prior._asdict().items(), *field._asdict().items()):
        if name not in ("spread", "family", "families"):
            numpyro.deterministic(name, value)
    numpyro.factor("scores", _weighted(field, e))


def _weighted(field: Field, e: JointEvidence) -> Array:
    """log p(y | parameters) in which a family counts as often as its models, which must count alike."""
    total = jnp.sum(e.weight * field.log_lm)
    if len(e.families):
        # A family without a model has the weight of an empty maximum, minus infinity.
        weight = jnp.maximum(jax.ops.segment_max(e.weight, e.family, len(e.families)), 0.0)
        total += jnp.sum(weight * field.log_family)
    return total
