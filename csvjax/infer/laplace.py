"""Laplace's approximation: a normal density around the mode, with the curvature at the mode."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from csvjax.infer.curvature import hessian
from csvjax.infer.map import Map, Optimum, map_diagnostics, map_status
from csvjax.infer.result import Fit, Status
from csvjax.law.density import Density
from csvjax.programs import keepable

__all__ = ["Laplace", "laplace_draws", "log_evidence"]

_FLAT = 1e-3  # with a smaller curvature along some direction, the mode is not a minimum


@partial(jax.jit, static_argnames=("density", "draws"))
def laplace_draws(
    density: Density, data: Any, mode: Float[Array, " n"], key: Array, draws: int
) -> tuple[Float[Array, "draw n"], Float[Array, ""], Float[Array, "n n"]]:
    """Draws x ~ Normal(mode, H^-1) with H the Hessian of the potential, H's smallest eigenvalue, and a root of H^-1.

    Curvatures below 1e-3 of a unit prior's are raised to that value. Along such a direction the mode is not a minimum,
    only the point where the optimiser stopped, and the variance would be unbounded. The returned eigenvalue shows this.
    """
    values, vectors = jnp.linalg.eigh(hessian(lambda x: density.potential(x, data), mode))
    spread = vectors / jnp.sqrt(jnp.maximum(values, _FLAT))
    noise = jax.random.normal(key, (draws, len(mode)), mode.dtype)
    return mode + noise @ spread.T, values[0], spread


@keepable
class LaplaceArrays(NamedTuple):
    optimum: Optimum
    x: Float[Array, "draw n"]
    curvature: Float[Array, ""]


@dataclass(frozen=True)
class Laplace:
    """Normal draws around the mode. diagnostics: those of MAP, and `curvature`, the smallest eigenvalue at the mode.

    widen: factor on the distance of the draws from the mode. Use a factor above 1 for predictions outside the range of
    the fit, such as models larger than all fitted models.
    """

    draws: int = 1000
    map: Map = Map()
    widen: float = 1.0

    def solve(self, density: Density, data: Any, key: Array) -> LaplaceArrays:
        key_mode, key_draws = jax.random.split(key)
        optimum = self.map.solve(density, data, key_mode)
        if len(optimum.x) > self.map.curved:
            # The search computed only the curvature of blocks.
            x, least, metric = laplace_draws(density, data, optimum.x, key_draws, self.draws)
            return LaplaceArrays(optimum._replace(metric=metric, curvature=least), x, least)
        noise = jax.random.normal(key_draws, (self.draws, len(optimum.x)), optimum.x.dtype)
        return LaplaceArrays(optimum, optimum.x + noise @ optimum.metric.T, optimum.curvature)

    def read(self, found: LaplaceArrays) -> Fit:
        status = map_status(self.map, found.optimum)
        if status.ok and found.curvature < _FLAT:
            status = Status(
                False,
                f"no minimum: in one direction the curvature at the mode is {float(found.curvature):.2g}, so "
                f"a normal approximation means nothing there; use NUTS, or tighter priors",
            )
        diagnostics = map_diagnostics(found.optimum) | {"curvature": np.asarray(found.curvature)}
        mode = np.asarray(found.optimum.x)
        x = mode + self.widen * (np.asarray(found.x) - mode)
        return Fit(self, x[None], mode, status, diagnostics, found.optimum)


def log_evidence(found: Fit) -> float:
    """log p(y) by Laplace's approximation at the mode: -potential + n/2 log 2 pi - log det H / 2. SVI: its bound."""
    if "elbo_end" in found.diagnostics:
        return float(found.diagnostics["elbo_end"])
    return float(-found.diagnostics["potential"] + found.diagnostics["log_volume"])
