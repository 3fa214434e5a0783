"""The one density that all methods of inference use: a NumPyro model as a function of unconstrained parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.infer.util import constrain_fn, potential_energy

from csvjax.law.model import BENCHMARK_AXES, Law, law_model

__all__ = ["Density", "Sites", "law_density"]

Sites = dict[str, Array]


@dataclass(frozen=True)
class Density:
    """Minus log density, `potential`, of a vector x in R^n of unconstrained parameters, for data given at each call.

    The Jacobian of the transforms to constrained values is included, so this is the density of x, not of the
    constrained values. MAP and Laplace use the mode of this density (a mode changes with the parametrisation).
    `model(data)` is a NumPyro model. A Density is hashable, so compiled functions can be kept for each. `prior(data)`,
    if given, is a model with the same latent sites but no likelihood, which is quicker to trace. `axes` names, for each
    site with one element per benchmark, the axis of the benchmarks (`blocks`).
    """

    model: Callable[..., None]
    prior: Callable[..., None] | None = None
    axes: tuple[tuple[str, int], ...] = ()

    def sites(self, key: Array, data: Any) -> Sites:
        """One draw of every latent site from the prior, unconstrained."""
        prior = handlers.block(self.prior or self.model, hide_fn=_observed)
        trace = handlers.trace(handlers.seed(prior, key)).get_trace(data)
        return {
            name: biject_to(site["fn"].support).inv(site["value"])
            for name, site in trace.items()
            if site["type"] == "sample" and not site["is_observed"]
        }

    def start(self, key: Array, data: Any) -> Float[Array, " n"]:
        """A starting point: a prior draw, flattened."""
        return ravel_pytree(self.sites(key, data))[0]

    def unflatten(self, x: Float[Array, " n"], data: Any) -> Sites:
        shapes = jax.eval_shape(lambda: self.sites(jax.random.key(0), data))
        template = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return ravel_pytree(template)[1](x)

    def blocks(self, data: Any) -> Int[np.ndarray, "benchmark size"]:
        """Indices in x of the parameters of each benchmark; empty if the density names no such sites."""
        shapes = jax.eval_shape(lambda: self.sites(jax.random.key(0), data))
        axes = {name: axis for name, axis in self.axes if name in shapes}
        if not axes:
            return np.zeros((0, 0), int)
        sizes = jax.tree.map(lambda s: int(np.prod(s.shape)), shapes)
        ends = np.cumsum(jax.tree.leaves(sizes))
        first = dict(zip(sorted(shapes), ends - jax.tree.leaves(sizes), strict=True))
        places = [
            np.moveaxis(first[name] + np.arange(sizes[name]).reshape(shapes[name].shape), axis, 0)
            for name, axis in axes.items()
        ]
        return np.hstack([place.reshape(len(place), -1) for place in places])

    def potential(self, x: Float[Array, " n"], data: Any) -> Float[Array, ""]:
        """-log p(x, data), unnormalised."""
        return potential_energy(self.model, (data,), {}, self.unflatten(x, data))

    def constrain(self, x: Float[Array, " n"], data: Any) -> Sites:
        """Constrained values of all sites, and the values of the deterministic sites."""
        return constrain_fn(self.model, (data,), {}, self.unflatten(x, data), return_deterministic=True)


def _observed(site: dict) -> bool:
    return bool(site["type"] == "sample" and site["is_observed"])


@cache
def law_density(law: Law) -> Density:
    """The density of a law: always the same object for the same law, so that compiled fits are reused."""
    return Density(partial(law_model, law=law), partial(law_model, law=law, scores=False), BENCHMARK_AXES)
