"""The salience law of one benchmark: token losses -> salience -> salient loss -> capability -> score.

    z[u]     = tau sum_r X[u, r] weight[r]                    weight[r] ~ Normal(0, 1)
    psi[m]   = sum_u softmax(log pi + z)[u] loss[m, u]        nats per byte
    logit[m] = intercept - slope (psi[m] - centre) / scale
    mu[m]    = floor + (ceiling - floor) sigmoid(logit[m])
    y[m]     ~ Normal(mu[m] + mu'[m] e[m], sqrt(mu[m] (1 - mu[m]) / n))
    e[m]     = family_spread a[f(m)] + run_spread b[r(m)] + spread c[m],     a, b, c ~ Normal(0, 1)

e is what the losses do not tell, in logits: of a family, of a training run, of a model. It enters to first order
(mu' = d mu / d logit), so a, b and c are integrated out in closed form and the density is that of the parameters alone;
near floor and ceiling mu' vanishes and only the noise of the n items is left. Checkpoints of one run share a and b:
they are not independent evidence. `centre` and `scale` are mean and standard deviation of the training models' mean
loss, so slope is in logits per standard deviation of the mean loss. tau = 0 is the mean-loss law.

Ge et al. 2025 (arXiv 2506.13216) fit the chain from z to mu by least squares, without prior, effects or noise model.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Bool, Float

from csvjax.law import links
from csvjax.law.salience import salient_loss
from csvjax.laws.nested_noise import Nested, log_density
from csvjax.types import AnyArray

__all__ = ["Evidence", "Priors", "salience_law"]


class Priors(NamedTuple):
    """Prior scales, in logits where not said otherwise.

    slope_sd: of log slope around log 1.5. family_sd, run_sd, spread_sd: half-normal scales of the three spreads.
    ceiling: first parameter of Beta(ceiling, 1), the place of the ceiling between floor and 1. items, items_sd: of the
    log-normal number of items where it is not known (dimensionless).
    """

    slope_sd: float = 1.0
    intercept_sd: float = 2.0
    family_sd: float = 0.3
    run_sd: float = 0.3
    spread_sd: float = 0.3
    ceiling: float = 10.0
    items: float = 300.0
    items_sd: float = 1.0


class Evidence(NamedTuple):
    """What a fit sees of one benchmark. Arrays only, so that benchmarks, folds and strengths stack under vmap.

    loss: nats per byte. score: fraction, 0 where not seen. n_items: NaN where unknown. seen: the training cells.
    groups: families and runs.
    """

    loss: Float[AnyArray, "lm unit"]
    log_base: Float[AnyArray, " unit"]
    features: Float[AnyArray, "unit feature"]
    strength: Float[AnyArray, ""]
    centre: Float[AnyArray, ""]
    scale: Float[AnyArray, ""]
    groups: Nested
    score: Float[AnyArray, " lm"]
    n_items: Float[AnyArray, " lm"]
    seen: Bool[AnyArray, " lm"]
    floor: Float[AnyArray, ""]


def salience_law(evidence: Evidence, priors: Priors = Priors()) -> None:
    """The NumPyro model. Deterministic sites [lm]: salient_loss, logit, mean_score, reach (mu') and precision, that of
    the noise of a seen cell and 0 elsewhere; scalar: ceiling.
    """
    e = evidence
    weight = numpyro.sample("weight", dist.Normal(jnp.zeros(e.features.shape[1]), 1.0).to_event(1))
    slope = numpyro.sample("slope", dist.LogNormal(jnp.log(1.5), priors.slope_sd))
    intercept = numpyro.sample("intercept", dist.Normal(0.0, priors.intercept_sd))
    room = numpyro.sample("room", dist.Beta(priors.ceiling, 1.0))
    family_spread = numpyro.sample("family_spread", dist.HalfNormal(priors.family_sd))
    run_spread = numpyro.sample("run_spread", dist.HalfNormal(priors.run_sd))
    spread = numpyro.sample("spread", dist.HalfNormal(priors.spread_sd))
    items = numpyro.sample("items", dist.LogNormal(jnp.log(priors.items), priors.items_sd))

    psi = numpyro.deterministic("salient_loss", salient_loss(e.loss, e.log_base, e.strength * (e.features @ weight)))
    logit = numpyro.deterministic("logit", intercept - slope * (psi - e.centre) / e.scale)
    ceiling = numpyro.deterministic("ceiling", e.floor + (1 - e.floor) * room)
    mean = numpyro.deterministic("mean_score", links.link(logit, e.floor, ceiling))
    reach = numpyro.deterministic("reach", links.link_slope(logit, e.floor, ceiling))
    variance = links.item_variance(mean, jnp.where(jnp.isnan(e.n_items), items, e.n_items)) + (reach * spread) ** 2
    precision = numpyro.deterministic("precision", jnp.where(e.seen, 1 / variance, 0.0))
    residual = jnp.where(e.seen, e.score - mean, 0.0)
    numpyro.factor("score", log_density(e.groups, residual, reach, precision, family_spread, run_spread))
