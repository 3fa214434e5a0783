"""Maximum a posteriori: optax L-BFGS from several starts at once."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from csvjax.fit.density import Density

__all__ = ["Mode", "find_mode"]


class Mode(NamedTuple):
    """The best of several local optima.

    x [n]: the mode, unconstrained. potential: minus log density there. gradient: largest absolute component.
    steps [start], potentials [start]: of each start, so that the spread of optima can be told. converged: whether the
    best start's gradient fell below the tolerance.
    """

    x: Float[Array, " n"]
    potential: Float[Array, ""]
    gradient: Float[Array, ""]
    converged: Bool[Array, ""]
    steps: Int[Array, " start"]
    potentials: Float[Array, " start"]


def _descend(density: Density, data: Any, x: Array, max_steps: int, tolerance: float) -> tuple[Array, ...]:
    def objective(x: Array) -> Array:
        return density.potential(x, data)

    solver = optax.lbfgs(memory_size=20)
    value_and_grad = optax.value_and_grad_from_state(objective)

    def go_on(carry: tuple) -> Array:
        _, _, step, size, stalled = carry
        return (step < max_steps) & (size > tolerance) & (stalled < 3)

    def step(carry: tuple) -> tuple:
        x, state, count, _, stalled = carry
        value, grad = value_and_grad(x, state=state)
        updates, state = solver.update(grad, state, x, value=value, grad=grad, value_fn=objective)
        x = optax.apply_updates(x, updates)
        new_value = optax.tree_utils.tree_get(state, "value")
        size = jnp.max(jnp.abs(optax.tree_utils.tree_get(state, "grad")))
        # At the limit of float64 the value stops falling before the gradient meets its tolerance.
        stalled = jnp.where(value - new_value > 1e-12 * jnp.abs(value), 0, stalled + 1)
        return x, state, count + 1, size, stalled

    begin = (x, solver.init(x), jnp.asarray(0), jnp.asarray(jnp.inf, x.dtype), jnp.asarray(0))
    x, _, count, _, _ = jax.lax.while_loop(go_on, step, begin)
    value, grad = jax.value_and_grad(objective)(x)
    return x, value, jnp.max(jnp.abs(grad)), count


@partial(jax.jit, static_argnames=("density", "starts", "max_steps", "tolerance"))
def find_mode(
    density: Density, data: Any, key: Array, starts: int = 4, max_steps: int = 300, tolerance: float = 1e-5
) -> Mode:
    """Mode of the density, the best of `starts` L-BFGS runs from prior draws pulled half-way to the origin."""
    keys = jax.random.split(key, starts)
    begin = 0.5 * jax.vmap(lambda k: density.start(k, data))(keys)
    x, value, size, count = jax.vmap(lambda x: _descend(density, data, x, max_steps, tolerance))(begin)
    value = jnp.where(jnp.isfinite(value), value, jnp.inf)
    best = jnp.argmin(value)
    return Mode(x[best], value[best], size[best], size[best] < 100 * tolerance, count, value)
