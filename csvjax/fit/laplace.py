"""Laplace's approximation: a normal density around the mode with the curvature there."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from csvjax.fit.density import Density

__all__ = ["laplace_draws"]


@partial(jax.jit, static_argnames=("density", "draws"))
def laplace_draws(
    density: Density, data: Any, mode: Float[Array, " n"], key: Array, draws: int
) -> tuple[Float[Array, "draw n"], Float[Array, ""]]:
    """Draws x ~ Normal(mode, H^-1) with H the Hessian of the potential, and H's smallest eigenvalue.

    Directions of curvature below 1e-3 of a unit prior's are given that curvature: a mode is not a minimum there, only a
    place where the optimiser stopped, and its variance would be unbounded. The eigenvalue returned tells.
    """
    hessian = jax.hessian(density.potential)(mode, data)
    values, vectors = jnp.linalg.eigh((hessian + hessian.T) / 2)
    spread = vectors / jnp.sqrt(jnp.maximum(values, 1e-3))
    noise = jax.random.normal(key, (draws, len(mode)), mode.dtype)
    return mode + noise @ spread.T, values[0]
