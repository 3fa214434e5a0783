"""The latent field of a table of scores, integrated out: what models and families have beyond the law's trend.

    u[m, b] = trend[m, b] + s[f(m), b] + (loading r[m])[b] + spread[b] e[m, b],        r, e ~ Normal(0, 1)
    s[f]    = loading (family_spread a[f]) + habit_spread spread h[f],                 a, h ~ Normal(0, 1)
    n y[m, b] ~ Binomial(n[b], floor[b] + (ceiling[b] - floor[b]) sigmoid(u[m, b]))

Given the parameters the field is normal and cells meet it one by one, so Laplace's approximation around the field's
mode gives log p(y | parameters): the inner step of integrated nested Laplace approximations (Rue, Martino and Chopin
2009, J. R. Stat. Soc. B 71, eq. 3). Families are independent and models are so within their family; what is solved is
K x K for each model and (K + B) x (K + B) for each family. An expansion around the mode, unlike one around the trend,
knows that a score on the floor says little of how far below its logit lies.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, Int

from csvjax.law.links import link, link_slope
from csvjax.law.small import inverse, lower_root
from csvjax.types import AnyArray

__all__ = [
    "Cells",
    "Factors",
    "Field",
    "Prior",
    "between",
    "draw_factors",
    "draw_field",
    "item_slopes",
    "log_items",
    "log_marginal",
    "prior_of_new",
    "score_logit",
]

_EDGE = 1e-12  # how near to 0 and 1 a chance of success may come
_GRAIN = 1e-10  # of the variance, next to which another one is nothing
_STEPS, _TOLERANCE = 50, 1e-4  # of Newton's method towards the mode, logits
_NEAR = 1e-2  # an exact step longer than that does not come from the mode


class Cells(NamedTuple):
    """What was observed. score: fraction, 0 where not seen."""

    score: Float[AnyArray, "lm benchmark"]
    seen: Bool[AnyArray, "lm benchmark"]
    n_items: Float[AnyArray, " benchmark"]
    floor: Float[AnyArray, " benchmark"]
    ceiling: Float[AnyArray, " benchmark"]


class Prior(NamedTuple):
    """Mean and covariance of the field, in logits. own: loading of each model, with columns of its own for covariates
    that are not known of it. shared: [loading * family_spread, habit_spread * diag(spread)]; no columns without
    families. family: number of each model's family. families: only its length matters.
    """

    trend: Float[Array, "lm benchmark"]
    own: Float[Array, "lm benchmark factor"]
    spread: Float[Array, " benchmark"]
    shared: Float[Array, "benchmark common"]
    family: Int[AnyArray, " lm"]
    families: Float[AnyArray, " family"]


class Field(NamedTuple):
    """The normal approximation of the field given the scores.

    u: the mode. precision: of a cell's pseudo-observation, its residual e included; pull: precision times the
    pseudo-observation less the trend. log_lm, log_family: contributions to log p(y | parameters).
    """

    u: Float[Array, "lm benchmark"]
    precision: Float[Array, "lm benchmark"]
    pull: Float[Array, "lm benchmark"]
    log_lm: Float[Array, " lm"]
    log_family: Float[Array, " family"]


def log_items(cells: Cells, u: Float[Array, "lm benchmark"]) -> Float[Array, "lm benchmark"]:
    """log of the density of a score at logit u: binomial probability of n y, times n + 1 for a fraction of n + 1
    values; gamma functions stand for factorials, so that n y need not be whole.

    Scores of exactly 0 and 1 count with the probability itself: as densities they would grow with n, and a few of them
    would send an unknown n to infinity.
    """
    y, n = cells.score, cells.n_items
    p = jnp.clip(link(u, cells.floor, cells.ceiling), _EDGE, 1 - _EDGE)
    count = jnp.log(n + 1) + gammaln(n + 1) - gammaln(n * y + 1) - gammaln(n * (1 - y) + 1)
    return jnp.where(between(y), count, 0.0) + n * (y * jnp.log(p) + (1 - y) * jnp.log1p(-p))


def between(score: AnyArray) -> AnyArray:
    """Whether a score is neither 0 nor 1."""
    return (score > _EDGE) & (score < 1 - _EDGE)


def item_slopes(cells: Cells, u: Array, exact: Array | bool = False) -> tuple[Array, Array]:
    """First and minus second derivative of log p(y | u), 0 where not seen.

    With a floor above 0 a score above what u says bends the other way, and with a ceiling below 1 one below it; unless
    `exact`, the second derivative is kept
    positive, and smooth, by a trace of Fisher's information.
    """
    p = jnp.clip(link(u, cells.floor, cells.ceiling), _EDGE, 1 - _EDGE)
    slope = link_slope(u, cells.floor, cells.ceiling)
    ratio = slope / (p * (1 - p))
    weight = jnp.where(cells.seen, cells.n_items * ratio, 0.0)
    bend = (cells.score - p) * (-jnp.tanh(u / 2) - ratio * (1 - 2 * p))  # 1 - 2 sigmoid(u) = -tanh(u / 2)
    straight = slope - bend
    positive = 0.5 * (straight + jnp.sqrt(straight**2 + (0.1 * slope) ** 2))
    return weight * (cells.score - p), weight * jnp.where(exact, straight, positive)


def score_logit(cells: Cells, trend: Array) -> Array:
    """Where the scores alone would put u, as if each had half an item more on each side."""
    share = (cells.score - cells.floor) / (cells.ceiling - cells.floor)
    half = 0.5 / (cells.n_items + 1)
    share = jnp.clip(share, half, 1 - half)
    return jnp.where(cells.seen, jnp.log(share) - jnp.log1p(-share), trend)


class _Solved(NamedTuple):
    r: Array  # [lm, factor], mean given s
    s: Array  # [lm, benchmark], mean
    mean_common: Array  # [family, common], mean of the factors of s
    own: Array  # [lm, factor, factor], covariance of r given s
    common: Array  # [family, common, common], covariance of the factors of s
    log_own: Array  # [lm], log det (I + own' R own)
    log_common: Array  # [family]


def _solve(prior: Prior, precision: Array, pull: Array) -> _Solved:
    """Mean of the normal field: precision R and pull R d of pseudo-observations d = trend + s + own r + noise."""
    lms, benchmarks, factors = prior.own.shape
    families, common = len(prior.families), prior.shared.shape[1]
    reach = jnp.swapaxes(prior.own, 1, 2) * precision[:, None, :]
    own, log_own = inverse(jnp.eye(factors) + reach @ prior.own)
    s, a = jnp.zeros((lms, benchmarks)), jnp.zeros((families, 0))
    inner, log_common = jnp.zeros((families, 0, 0)), jnp.zeros(families)
    if common:
        # Q = R - R own (I + own' R own)^-1 own' R, the precision of a model's pseudo-observations given s.
        half = own @ reach
        q = precision[:, :, None] * jnp.eye(benchmarks) - jnp.swapaxes(reach, 1, 2) @ half
        h = pull - jnp.einsum("mkb,mk->mb", half, jnp.einsum("mbk,mb->mk", prior.own, pull))
        total = jax.ops.segment_sum(q, prior.family, families)
        towards = jax.ops.segment_sum(h, prior.family, families)
        inner, log_common = inverse(jnp.eye(common) + prior.shared.T @ total @ prior.shared)
        a = jnp.einsum("fcd,fd->fc", inner, towards @ prior.shared)
        s = (a @ prior.shared.T)[prior.family]
    r = jnp.einsum("mkl,mbl,mb->mk", own, prior.own, pull - precision * s)
    return _Solved(r, s, a, own, inner, log_own, log_common)


def _pseudo(cells: Cells, prior: Prior, u: Array, exact: Array | bool = False) -> tuple[Array, Array, Array]:
    """(information W, precision R = W / (1 + spread^2 W), pull R (u + g / W - trend))."""
    gradient, information = item_slopes(cells, u, exact)
    shrink = 1 / (1 + prior.spread**2 * information)
    return information, information * shrink, shrink * (information * (u - prior.trend) + gradient)


def _step(cells: Cells, prior: Prior, u: Array, exact: Array | bool = False) -> tuple[Array, Array, _Solved]:
    """A step of Newton's method: the new u, and Sigma^-1 (u - trend) there."""
    _, precision, pull = _pseudo(cells, prior, u, exact)
    solved = _solve(prior, precision, pull)
    shared = solved.s + jnp.einsum("mbk,mk->mb", prior.own, solved.r)
    alpha = pull - precision * shared
    return prior.trend + shared + prior.spread**2 * alpha, alpha, solved


def _mode(cells: Cells, prior: Prior) -> tuple[Array, Array]:
    """The mode, and whether it is one: where a step with the curvature as it is leads nowhere else, and up nowhere."""

    def size(step: Array) -> Array:
        return jnp.max(jnp.abs(jnp.where(cells.seen, step, 0.0)))

    def go_on(carry: tuple[Array, Array, Array]) -> Array:
        _, last, count = carry
        return (last > _TOLERANCE) & (count < _STEPS)

    def near(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        u, _, count = carry
        step = jnp.clip(_step(cells, prior, u)[0] - u, -3.0, 3.0)
        return u + step, size(step), count + 1

    begin = (score_logit(cells, prior.trend), jnp.asarray(jnp.inf, prior.trend.dtype), jnp.asarray(0))
    u = jax.lax.while_loop(go_on, near, begin)[0]
    better, _, solved = _step(cells, prior, u, exact=True)
    # A curvature that is not positive definite has a pivot below 0, and its logarithm is no number.
    definite = jnp.all(jnp.isfinite(solved.log_own)) & jnp.all(jnp.isfinite(solved.log_common))
    found = definite & jnp.all(prior.spread**2 * item_slopes(cells, u, exact=True)[1] > -1) & (size(better - u) < _NEAR)
    return jnp.where(found, better, u), found


def log_marginal(cells: Cells, prior: Prior) -> Field:
    """Laplace's approximation of log p(y | parameters): `log_lm` and `log_family` sum to it.

    log p(y | u) - (u - trend)' Sigma^-1 (u - trend) / 2 - log det(I + Sigma W) / 2  at the mode u, W = minus the
    second derivative. The mode is found without derivatives; one more step, with the curvature as it is, carries its
    dependence on the parameters.
    """
    u, found = jax.lax.stop_gradient(_mode(*jax.lax.stop_gradient((cells, prior))))
    u, alpha, _ = _step(cells, prior, u, exact=found)
    information, precision, pull = _pseudo(cells, prior, u)
    solved = _solve(prior, precision, pull)
    inside = jnp.where(cells.seen, log_items(cells, u), 0.0) - 0.5 * alpha * (u - prior.trend)
    inside -= 0.5 * jnp.log1p(prior.spread**2 * information)
    log_lm = jnp.sum(inside, axis=1) - 0.5 * solved.log_own
    # A fraction of n + 1 values has a density of at most n + 1, one of exactly 0 or 1 a probability of at most 1; more
    # comes of parameters too large for the arithmetic.
    most = jnp.sum(jnp.where(cells.seen & between(cells.score), jnp.log(cells.n_items + 1), 0.0), axis=1)
    log_lm = jnp.where(log_lm <= most + 1.0, log_lm, -jnp.inf)
    return Field(u, precision, pull, log_lm, -0.5 * solved.log_common)


class Factors(NamedTuple):
    """A draw of the standard normal factors: [a, h] of each family, and r of each model."""

    common: Float[Array, "family common"]
    own: Float[Array, "lm factor"]


def draw_factors(field: Field, prior: Prior, key_family: Array, key_own: Array) -> Factors:
    """A draw of the factors given the scores: logits without the residual e are trend + shared common + own r."""
    solved = _solve(prior, field.precision, field.pull)
    families, common = len(prior.families), prior.shared.shape[1]
    s, drawn = solved.s, jnp.zeros((families, common))
    if families:
        noise = jnp.einsum("fcd,fd->fc", lower_root(solved.common), jax.random.normal(key_family, drawn.shape))
        drawn = solved.mean_common + noise
        s = (drawn @ prior.shared.T)[prior.family]
    r = jnp.einsum("mkl,mbl,mb->mk", solved.own, prior.own, field.pull - field.precision * s)
    return Factors(drawn, r + jnp.einsum("mkl,ml->mk", lower_root(solved.own), jax.random.normal(key_own, r.shape)))


def draw_field(
    field: Field, prior: Prior, key: Array
) -> tuple[Float[Array, "lm benchmark"], Float[Array, "lm benchmark"]]:
    """A draw of the field given the scores: logits without the residual e, and with it.

    A family or model of which nothing was seen has its prior: effects of its own, drawn anew.
    """
    key_family, key_own, key_cell = jax.random.split(key, 3)
    common, r = draw_factors(field, prior, key_family, key_own)
    s = (common @ prior.shared.T)[prior.family] if len(prior.families) else jnp.zeros_like(prior.trend)
    eta = prior.trend + s + jnp.einsum("mbk,mk->mb", prior.own, r)
    # e given the rest: its pseudo-observation has precision W, and R = W / (1 + spread^2 W).
    x = prior.spread**2 * field.precision
    scatter = prior.spread * jnp.sqrt(jnp.maximum(1 - x, 0.0)) * jax.random.normal(key_cell, eta.shape)
    offset = prior.spread**2 * (field.pull - field.precision * (eta - prior.trend))
    return eta, eta + offset + scatter


def prior_of_new(field: Field, prior: Prior, new: Prior) -> Prior:
    """The prior of models that were not among those seen, given these: each alone, its family's effects marginal.

    A family numbered past the last one seen has the prior's effects. What is left to know of a family becomes columns
    of `own`, so that a model's own scores speak of it too; no more columns than benchmarks are needed for that.
    """
    solved = _solve(prior, field.precision, field.pull)
    shared, families = prior.shared, len(prior.families)
    if not families:
        return new
    # All models of a family have the same s; an empty maximum is minus infinity, and its family has the prior's mean.
    mean = jax.ops.segment_max(solved.s, prior.family, families)
    mean = jnp.where(jnp.isfinite(mean), mean, 0.0)
    left = shared @ lower_root(solved.common)
    mean = jnp.concatenate([mean, jnp.zeros((1, mean.shape[1]))])
    left = jnp.concatenate([left, shared[None]])
    at = jnp.minimum(new.family, families)
    own = jnp.concatenate([new.own, left[at]], axis=2)
    if own.shape[2] > (benchmarks := own.shape[1]):
        covariance = own @ jnp.swapaxes(own, 1, 2)
        grain = _GRAIN * jnp.trace(covariance, axis1=1, axis2=2)  # it may lack a direction
        own = lower_root(covariance + grain[:, None, None] * jnp.eye(benchmarks))
    return Prior(
        new.trend + mean[at],
        own,
        new.spread,
        shared[:, :0],
        new.family,
        prior.families[:0],
    )
