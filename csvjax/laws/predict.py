"""Posterior predictive draws of scores for every benchmark and model of a fit."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from csvjax.law.density import Density
from csvjax.law.salience import salience
from csvjax.laws.fit_salience import AXES, SalienceFit, density_of
from csvjax.laws.predictive import Predictive, predict
from csvjax.laws.salience_law import Evidence
from csvjax.precision import float64

__all__ = ["group_salience", "predict_cells"]


@partial(jax.jit, static_argnames=("density",))
def _predict(density: Density, stacked: Evidence, x: Array, key: Array) -> Predictive:
    keys = jax.random.split(key, len(x))
    return jax.vmap(partial(predict, density), (AXES, 0, 0))(stacked, x, keys)


@float64
def predict_cells(fit: SalienceFit, seed: int = 0) -> Predictive:
    """Draws [benchmark, draw, lm] for all models whose losses the fit carries, those it was not fitted to included."""
    return jax.device_get(_predict(density_of(fit.settings), fit.evidence, fit.x, jax.random.key(seed)))


@partial(jax.jit, static_argnames=("density",))
def _salience(density: Density, stacked: Evidence, x: Array) -> Array:
    def one(e: Evidence, x: Array) -> Array:
        weights = jax.vmap(lambda draw: density.constrain(draw, e)["weight"])(x)
        return jnp.mean(jax.vmap(lambda w: salience(e.log_base, e.strength * (e.features @ w)))(weights), axis=0)

    return jax.vmap(one, (AXES, 0))(stacked, x)


@float64
def group_salience(fit: SalienceFit) -> Float[np.ndarray, "benchmark group"]:
    """Posterior mean salience of every group of units; sums to 1 over the groups of a benchmark."""
    return jax.device_get(_salience(density_of(fit.settings), fit.evidence, fit.x))
