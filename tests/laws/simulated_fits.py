"""Fits of the salience law to simulated tables."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np

from csvjax.law.density import Sites
from csvjax.laws.crossfit import Crossfit, crossfit
from csvjax.laws.fit_salience import AXES, SalienceFit, Settings, density_of
from csvjax.laws.salience_law import Priors
from csvjax.precision import float64
from tests.simulated import Truth, world

# One shape for most fits, so that they share what was compiled: 24 models, 12 groups, 4 features, 3 benchmarks.
SETTINGS = Settings(strengths=(0.0, 0.6), per_domain=4, features=4, draws=400, starts=2)


def from_prior(rng: np.random.Generator, benchmarks: int, z: np.ndarray, priors: Priors) -> Truth:
    """Everything but `z` drawn from the law's priors."""
    return Truth(
        z,
        1.5 * np.exp(rng.normal(0, priors.slope_sd, benchmarks)),
        rng.normal(0, priors.intercept_sd, benchmarks),
        rng.beta(priors.ceiling, 1.0, benchmarks),
        *(np.abs(rng.normal(0, sd, benchmarks)) for sd in (priors.family_sd, priors.run_sd, priors.spread_sd)),
    )


@cache
def crossfitted(strength: float) -> Crossfit:
    """Every model of `world`, predicted by both laws from the two parts that it is not in."""
    return crossfit(world(strength), "leave-one-out:part", {"salience": SETTINGS, "mean loss": SETTINGS.mean_loss})


@float64
def posterior(fit: SalienceFit) -> Sites:
    """Draws of every site of the law, [benchmark, draw, ...]."""
    each = jax.vmap(density_of(fit.settings).constrain, (0, None))
    return jax.device_get(jax.jit(jax.vmap(each, (0, AXES)))(fit.x, fit.evidence))
