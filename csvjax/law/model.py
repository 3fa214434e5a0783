"""The law: compute, losses and benchmark scores of all models depend on a few capabilities that benchmarks share.

    psi[m, k]   = sum_u softmax(log pi + tau[k] X z[k])[u] loss[m, u]                                  nats per byte
    trend[m, k] = sum_j gain[j, k] x[m, j] - loss_slope[k] (psi[m, k] - centre[k]) / unit[k]
    theta[m, k] = trend[m, k] + family_spread[k] a[f(m), k] + run_spread[k] b[r(m), k] + r[m, k]
    own[m, b]   = sum_j own_gain[j, b] x[m, j] - own_slope[b] (own_psi[m, b] - centre[b]) / unit[b]
    eta[m, b]   = intercept[b] + sum_k loading[b, k] theta[m, k] + own[m, b] + spread[b] (h[f(m), b] + g[r(m), b])
    mu[m, b]    = floor[b] + (ceiling[b] - floor[b]) sigmoid(eta[m, b])          or eta itself: a score without bounds
    n y[m, b]   ~ Binomial(n[b], mu at eta[m, b] + spread[b] e[m, b])

a, b, r ~ Normal(0, 1); h ~ Normal(0, family_habit), g ~ Normal(0, run_habit); e ~ Normal(0, 1), or Student t
(`Law.tail`). x are standardised covariates; each missing value is a latent factor of its own. Every source of evidence
is optional, for the table and for single models: a model without losses gets those predicted by a regression of psi on
its covariates, with the scatter of that regression. Unknown floors, ceilings and numbers of items are inferred.
a, b, r, h, g, e are integrated out (`csvjax.law.field`), so the density is a function of the few dozen parameters that
all models share.

Special cases: with `capabilities=0` each benchmark has its own salience, slope and covariates, no capabilities (the
Capability Salience Vector, Ge et al. 2025, arXiv 2506.13216); scores alone are observational scaling laws (Ruan et al.
2024, arXiv 2405.10938, eqs. 3-5); covariates log N, log D, log N log D with family effects are Sloth (Maia Polo et al.
2024, arXiv 2412.06540); tau = 0 is the mean loss.

The unit of a capability is the standard deviation of r, the part that trend, families and runs do not explain, so
loadings are in logits per such unit. The first capability raises every score (its loadings are positive and of similar
size); the others are contrasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import ndtr
from jaxtyping import Array, Bool, Float

from csvjax.law.field import Field, log_marginal
from csvjax.law.groups import Groups
from csvjax.law.items import Cells
from csvjax.law.links import Standard
from csvjax.law.salience import impute_losses, salient_losses
from csvjax.law.solve import Prior
from csvjax.types import AnyArray

__all__ = ["BENCHMARK_AXES", "MANY_UNITS", "Effect", "Evidence", "Law", "Priors", "law_model"]

Effect = Literal["family", "run"]

MANY_UNITS = 0.7
"""`Priors.strength` for texts of many units, where z is a combination of features. Chosen by the evidence of inner
training rows of the ladder (four inner folds, families and runs with effects), in nats: 1338.5, 945.0, 1789.9, 1758.4
with 0.3; 1348.1, 933.0, 1798.0, 1757.4 with 0.7; 1314.1, 885.6, 1761.9 on the first three with 2."""

BENCHMARK_AXES = (
    *(
        (name, 0)
        for name in ("intercept", "spread_differs", "free_floor", "room", "free_items", "steepness", "contrast")
    ),
    *((name, 0) for name in ("own_slope", "own_tau", "own_weight")),
    ("own_gain", 1),
)
"""Sites with one element for each benchmark, and the axis of the benchmarks."""

_GAIN = 3.0  # degrees of freedom
_LEAST = 0.1  # least scatter of a salient loss, in standard deviations of the mean loss, so that noise is not magnified


class Priors(NamedTuple):
    """Prior settings, in logits unless another unit is given.

    loading, loading_sd: log-normal median and log-scale of the median first loading, in logits per unit of capability.
    steepness_sd: half-normal scale of how log first loadings differ between benchmarks.
    contrast_sd: half-normal scale of the loadings of the further capabilities, relative to the first loading.
    intercept_mean, intercept_sd: mean and standard deviation of the intercepts.
    spread, spread_sd: log-normal median and log-scale of the typical residual.
    spread_differs: log-scale of how the residual differs between benchmarks.
    habit_sd: half-normal scale, relative to the residual, of what the models of a family or a run share on one
    benchmark beyond their capabilities.
    gain_sd: scale of a gain, in units of capability per standard deviation of a covariate. The prior is Student's t
    with 3 degrees of freedom: where models follow a trend closely, the unit of capability is small and gains are large.
    family_sd: half-normal scale of the family and run effects, in units of capability.
    loss_slope_sd: like gain_sd, for the salient loss.
    own_slope, own_slope_sd: log-normal median and log-scale of the slope of a benchmark on its own salient loss, if
    there are no capabilities; with capabilities the slope is Normal(0, own_beside).
    strength: half-normal scale of tau, the scale of z: with 2 one text may carry all the weight; 0 is the mean loss.
    `MANY_UNITS` suits texts of thousands of tokens.
    floor: Beta(1, floor) for an unknown floor, as a share of `Evidence.floor_most`; Beta(floor, 1) if scores lie below
    the floor that was given, so that the true floor is somewhat lower.
    ceiling: Beta(ceiling, 1) for an unknown ceiling, as a share of the way from floor to 1; inf for a ceiling of 1. It
    was chosen by the evidence of training rows alone: the first fold of Sloth's v1, v2 and all with one model seen,
    best K, and models up to 8.4e22 FLOP in the table of observational scaling laws, K = 2, in nats: 1420, 1073, 1522,
    1770 with inf; 1489, 1097, 1577, 1815 with 10; 1491, 1104, 1585, 1813 with 3.
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
    own_slope: float = 1.5
    own_slope_sd: float = 1.0
    own_beside: float = 0.5
    strength: float = 2.0
    floor: float = 3.0
    ceiling: float = 3.0
    items: float = 300.0
    items_sd: float = 1.0


@dataclass(frozen=True)
class Law:
    """Settings of the law; hashable, so that compiled programs can be kept for each.

    capabilities: K, the number of shared capabilities; with 0 benchmarks share none. covariates: columns of the models'
    table (`csvjax.law.covariates`). effects: groups whose models share more than covariates and losses explain. own:
    each benchmark also has its own salience, besides those of the capabilities. tail: 1 / degrees of freedom of the
    residuals of cells; 0: normal, 0.25: Student t with 4. priors: see `Priors`. outliers: prior probability that the
    law does not describe a model, which is then left out (`csvjax.infer.outliers`); 0 keeps all models. per_domain,
    features: groups of tokens in each domain, and components of z, for texts of more than 64 units.
    """

    capabilities: int = 2
    covariates: tuple[str, ...] = ("flops",)
    effects: tuple[Effect, ...] = ("family", "run")
    own: bool = False
    tail: float = 0.0
    priors: Priors = Priors()
    outliers: float = 0.01
    per_domain: int = 40
    features: int = 12

    @property
    def alone(self) -> bool:
        """Whether benchmarks share no capability."""
        return self.capabilities == 0


class Evidence(NamedTuple):
    """The data of a fit. Arrays only, so that folds and replicates stack under vmap; a missing source has no columns.

    score: fraction, or standardised by `standard`; 0 where not seen. weight: how often a model counts (1; the
    bootstrap draws other weights). n_items, floor, ceiling: NaN where unknown. floor_most: upper bound of an
    unknown floor; floor_near: whether the floor is probably nearer to that bound than to 0. flat: whether all
    fitted scores are the same, so that nothing they depend on can be seen: the benchmark has neither loadings nor a
    trend of its own. covariate: standardised, 0 where missing. missing: change of each covariate with each missing
    value of the model, in standard deviations of that value. loss: nats per byte, 0 where unknown; has_loss:
    whether it is known. scale: standard deviation of the mean loss. reference_loss, reference_design: losses and
    covariates of the models on which the regression of losses is fitted; design: covariates of the models of this
    evidence. lacking: one element if any model has no losses, otherwise none.
    """

    score: Float[AnyArray, "lm benchmark"]
    seen: Bool[AnyArray, "lm benchmark"]
    weight: Float[AnyArray, " lm"]
    n_items: Float[AnyArray, " benchmark"]
    floor: Float[AnyArray, " benchmark"]
    floor_most: Float[AnyArray, " benchmark"]
    floor_near: Bool[AnyArray, " benchmark"]
    ceiling: Float[AnyArray, " benchmark"]
    flat: Bool[AnyArray, " benchmark"]
    standard: Standard
    covariate: Float[AnyArray, "lm covariate"]
    missing: Float[AnyArray, "lm covariate unknown"]
    groups: Groups
    loss: Float[AnyArray, "lm unit"]
    has_loss: Bool[AnyArray, " lm"]
    log_base: Float[AnyArray, " unit"]
    features: Float[AnyArray, "unit feature"]
    scale: Float[AnyArray, ""]
    reference_loss: Float[AnyArray, "reference unit"]
    reference_design: Float[AnyArray, "reference column"]
    design: Float[AnyArray, "lm column"]
    lacking: Float[AnyArray, " lacking"]


class _Trend(NamedTuple):
    """mean [lm, column]; unknown [lm, column, factor]: change of the mean with each missing value of the model."""

    mean: Array
    unknown: Array

    def times(self, factor: Array) -> _Trend:
        """factor: of each column."""
        return _Trend(self.mean * factor, self.unknown * factor[:, None])


def _losses(e: Evidence, z: Array, slope: Array, name: str) -> _Trend:
    """-slope x of each column, x = (psi - centre) / unit; for models without losses, as predicted by the regression.

    Centre and unit are the mean and standard deviation of psi over the models with known losses, for every z. So z
    determines the order of the models, and intercept and slope the rest. With a fixed centre and unit, the three depend
    on each other so strongly that a normal approximation of their posterior is useless.
    """
    reference = salient_losses(e.reference_loss, e.log_base, z)
    centre = jnp.mean(reference, axis=0)
    unit = jnp.sqrt(jnp.mean((reference - centre) ** 2, axis=0) + (_LEAST * e.scale) ** 2)
    numpyro.deterministic(f"{name}loss_unit", unit)
    x = (salient_losses(e.loss, e.log_base, z) - centre) / unit
    if not len(e.lacking):
        return _Trend(-slope * x, jnp.zeros((*x.shape, 0)))
    expected, root = impute_losses((reference - centre) / unit, e.reference_design, e.design)
    known = e.has_loss[:, None]
    return _Trend(-slope * jnp.where(known, x, expected), jnp.where(known[:, :, None], 0.0, -slope[:, None] * root))


def _salience(e: Evidence, name: str, columns: int, priors: Priors) -> Array:
    """z [column, unit] = tau X weight, one for each column."""
    shape = (columns, e.features.shape[1])
    weight = numpyro.sample(f"{name}weight", dist.Normal(jnp.zeros(shape), 1.0).to_event(2))
    tau = jnp.zeros(columns)
    if priors.strength > 0:
        tau = numpyro.sample(f"{name}tau", dist.HalfNormal(jnp.full(columns, priors.strength)).to_event(1))
    return numpyro.deterministic(f"{name}z", tau[:, None] * weight @ e.features.T)


def _shared_trend(e: Evidence, law: Law) -> _Trend:
    """The trend of each capability."""
    lms, covariates = e.covariate.shape
    count, priors = law.capabilities, law.priors
    first = jnp.arange(count) == 0
    mean, unknown = jnp.zeros((lms, count)), jnp.zeros((lms, count, 0))
    if not count:
        return _Trend(mean, unknown)
    if covariates:
        centre = jnp.broadcast_to(jnp.where(first, 1.0 / covariates, 0.0), (covariates, count))
        gain = numpyro.sample("gain", dist.StudentT(_GAIN, centre, priors.gain_sd).to_event(2))
        mean += e.covariate @ gain
        unknown = jnp.einsum("mju,jk->mku", e.missing, gain)
    if e.loss.shape[1]:
        z = _salience(e, "", count, priors)
        slope = numpyro.sample("loss_slope", dist.Normal(first * 1.0, priors.loss_slope_sd).to_event(1))
        losses = _losses(e, z, slope, "")
        mean, unknown = mean + losses.mean, jnp.concatenate([unknown, losses.unknown], axis=2)
    return _Trend(mean, unknown)


def _own_trend(e: Evidence, law: Law) -> _Trend:
    """The trend of each benchmark beyond its capabilities."""
    benchmarks, priors = e.score.shape[1], law.priors
    lms, covariates = e.covariate.shape
    mean, unknown = jnp.zeros((lms, benchmarks)), jnp.zeros((lms, benchmarks, 0))
    if law.alone and covariates:
        centre = jnp.full((covariates, benchmarks), 1.0 / covariates)
        gain = numpyro.sample("own_gain", dist.Normal(centre, priors.gain_sd).to_event(2))
        mean += e.covariate @ gain
        unknown = jnp.einsum("mju,jb->mbu", e.missing, gain)
    if (law.alone or law.own) and e.loss.shape[1]:
        z = _salience(e, "own_", benchmarks, priors)
        prior = dist.Normal(jnp.zeros(benchmarks), priors.own_beside)
        if law.alone:
            prior = dist.LogNormal(jnp.log(priors.own_slope) * jnp.ones(benchmarks), priors.own_slope_sd)
        losses = _losses(e, z, numpyro.sample("own_slope", prior.to_event(1)), "own_")
        mean, unknown = mean + losses.mean, jnp.concatenate([unknown, losses.unknown], axis=2)
    return _Trend(mean, unknown)


def _loadings(benchmarks: int, law: Law) -> Array:
    """loading[b, 0] = exp(steepness[b]) and loading[b, k] = loading[b, 0] contrast_scale[k] contrast[b, k]."""
    if law.alone:
        return jnp.zeros((benchmarks, 0))
    priors, capabilities = law.priors, law.capabilities
    typical = numpyro.sample("typical_loading", dist.LogNormal(jnp.log(priors.loading), priors.loading_sd))
    differ = numpyro.sample("steepness_differs", dist.HalfNormal(priors.steepness_sd))
    steep = numpyro.sample("steepness", dist.Normal(jnp.zeros(benchmarks), 1.0).to_event(1))
    loading = (typical * jnp.exp(differ * steep))[:, None]
    if capabilities > 1:
        scale = jnp.full(capabilities - 1, priors.contrast_sd)
        scale = numpyro.sample("contrast_scale", dist.HalfNormal(scale).to_event(1))
        contrast = dist.Normal(jnp.zeros((benchmarks, capabilities - 1)), 1.0).to_event(2)
        loading = loading * jnp.hstack([jnp.ones((benchmarks, 1)), scale * numpyro.sample("contrast", contrast)])
    return loading


def _bounds(e: Evidence, priors: Priors) -> tuple[Array, Array]:
    """Floors and ceilings. They are sampled as normal quantiles of their Beta priors, so that a normal approximation,
    and a sampler in units of the curvature, also work where no score contains information about them.
    """
    ones = jnp.ones(len(e.floor))
    quantile = numpyro.sample("free_floor", dist.Normal(0.0 * ones, 1.0).to_event(1))
    low = 1 - ndtr(-quantile) ** (1 / priors.floor)
    near = ndtr(quantile) ** (1 / priors.floor)
    free = e.floor_most * jnp.where(e.floor_near, near, low)
    floor = jnp.where(jnp.isnan(e.floor), free, e.floor)
    unknown = ones
    if priors.ceiling < float("inf"):
        quantile = numpyro.sample("room", dist.Normal(0.0 * ones, 1.0).to_event(1))
        unknown = floor + (1 - floor) * ndtr(quantile) ** (1 / priors.ceiling)
    return floor, jnp.where(jnp.isnan(e.ceiling), unknown, e.ceiling)


def _effects(law: Law) -> dict[str, Array]:
    """Spreads of families and runs, on capabilities and on single benchmarks; empty arrays without such effects."""
    found: dict[str, Array] = {}
    for name in ("family", "run"):
        spread, habit = jnp.zeros(0), jnp.zeros(0)
        if name in law.effects:
            spread = jnp.zeros(law.capabilities)
            if not law.alone:
                scale = jnp.full(law.capabilities, law.priors.family_sd)
                spread = numpyro.sample(f"{name}_spread", dist.HalfNormal(scale).to_event(1))
            habit = numpyro.sample(f"{name}_habit", dist.HalfNormal(law.priors.habit_sd))[None]
        found |= {name: spread, f"{name}_habit": habit}
    return found


def law_model(evidence: Evidence, law: Law, scores: bool = True) -> None:
    """The NumPyro model; without `scores` only its prior, which takes a tenth of the time to trace.

    Deterministic sites: capability_trend [lm, capability], capability_unknown, loading [benchmark, capability], floor,
    ceiling, n_items, spread [benchmark], and those of `Prior` and `Field`, from which
    `csvjax.law.field.draw_field` draws logits.
    """
    e, priors = evidence, law.priors
    ones = jnp.ones(e.score.shape[1])
    varies = jnp.where(e.flat, 0.0, ones)
    shared, own = _shared_trend(e, law), _own_trend(e, law).times(varies)
    loading = _loadings(len(ones), law) * varies[:, None]
    intercept = numpyro.sample("intercept", dist.Normal(priors.intercept_mean * ones, priors.intercept_sd).to_event(1))
    typical = numpyro.sample("typical_spread", dist.LogNormal(jnp.log(priors.spread), priors.spread_sd))
    differ = numpyro.sample("spread_differs", dist.Normal(0.0 * ones, 1.0).to_event(1))
    spread = typical * jnp.exp(priors.spread_differs * differ)
    floor, ceiling = _bounds(e, priors)
    free_items = numpyro.sample("free_items", dist.LogNormal(jnp.log(priors.items) * ones, priors.items_sd).to_event(1))
    n_items = jnp.where(jnp.isnan(e.n_items), free_items, e.n_items)

    effects = _effects(law)
    if not scores:
        return
    columns = [jnp.broadcast_to(loading, (len(e.score), *loading.shape))]
    columns += [jnp.einsum("bk,mku->mbu", loading, shared.unknown), own.unknown]
    factors = jnp.concatenate(columns, axis=2)
    trend = shared.mean @ loading.T + own.mean + intercept
    prior = Prior(trend, factors, loading, spread, **effects, groups=e.groups, tail=law.tail)
    field = log_marginal(Cells(e.score, e.seen, n_items, floor, ceiling, e.standard.bounded), prior)
    kept = {"capability_trend": shared.mean, "capability_unknown": shared.unknown, "loading": loading}
    kept |= {"spread": spread, "floor": floor, "ceiling": ceiling, "n_items": n_items}
    kept |= {f"prior_{name}": getattr(prior, name) for name in ("trend", "own", *effects)} | field._asdict()
    for name, value in kept.items():
        numpyro.deterministic(name, value)
    numpyro.factor("scores", _weighted(field, e))


def _weighted(field: Field, e: Evidence) -> Array:
    """log p(y | parameters) in which a family counts as often as its models; these must have equal weights."""
    weight = [jnp.take(e.weight, b.lm, mode="fill", fill_value=0.0).max(axis=1) for b in e.groups.buckets]
    return jnp.sum(e.weight * field.log_lm) + jnp.sum(jnp.concatenate(weight) * field.log_family)
