"""Maximum a posteriori: optax L-BFGS from several starts at once, finished by Newton steps."""

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
    converged: whether that is below the tolerance. steps [start]: Newton steps of each start. potentials [start]: where
    each ended, so that the spread of optima can be told.
    """

    x: Float[Array, " n"]
    potential: Float[Array, ""]
    gradient: Float[Array, ""]
    converged: Bool[Array, ""]
    steps: Int[Array, " start"]
    potentials: Float[Array, " start"]


def _approach(density: Density, data: Any, x: Array, steps: int) -> Array:
    """`steps` of L-BFGS: into the basin of an optimum. Under vmap all lanes wait for the longest line search, so that
    searching on until the gradient vanishes costs more than the Newton steps that follow."""

    def objective(x: Array) -> Array:
        return density.potential(x, data)

    solver = optax.lbfgs(memory_size=20, linesearch=optax.scale_by_zoom_linesearch(max_linesearch_steps=8))
    value_and_grad = optax.value_and_grad_from_state(objective)

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        x, state = carry
        value, grad = value_and_grad(x, state=state)
        updates, state = solver.update(grad, state, x, value=value, grad=grad, value_fn=objective)
        return (optax.apply_updates(x, updates), state), None

    return jax.lax.scan(step, (x, solver.init(x)), None, steps)[0][0]


def _finish(density: Density, data: Any, x: Array, most: int, tolerance: float) -> tuple[Array, Array, Array]:
    """Damped Newton steps, (|H| + damping) d = -g, damping down after a success and up after a failure."""

    def go_on(carry: tuple) -> Array:
        _, _, size, _, count = carry
        return (count < most) & (size > tolerance)

    def step(carry: tuple) -> tuple:
        x, value, _, damping, count = carry
        grad = jax.grad(density.potential)(x, data)
        curvature, axes = jnp.linalg.eigh(jax.hessian(density.potential)(x, data))
        new = x - axes @ ((axes.T @ grad) / (jnp.abs(curvature) + damping))
        new_value, new_grad = jax.value_and_grad(density.potential)(new, data)
        better = new_value <= value + 1e-9
        damping = jnp.where(better, damping / 10, jnp.maximum(damping * 10, 1e-2))
        size = jnp.max(jnp.abs(jnp.where(better, new_grad, grad)))
        return jnp.where(better, new, x), jnp.where(better, new_value, value), size, damping, count + 1

    begin = (x, density.potential(x, data), jnp.asarray(jnp.inf, x.dtype), jnp.asarray(1e-3, x.dtype), jnp.asarray(0))
    x, _, size, _, count = jax.lax.while_loop(go_on, step, begin)
    return x, size, count


@partial(jax.jit, static_argnames=("density", "starts", "approach", "finish", "tolerance"))
def find_mode(
    density: Density,
    data: Any,
    key: Array,
    starts: int = 4,
    approach: int = 40,
    finish: int = 30,
    tolerance: float = 1e-5,
) -> Mode:
    """Mode of the density, the best of `starts` searches from prior draws pulled half-way to the origin.

    Each takes `approach` steps of L-BFGS, then at most `finish` Newton steps, until no component of the gradient
    exceeds `tolerance`.
    """
    keys = jax.random.split(key, starts)

    def search(key: Array) -> tuple[Array, Array, Array]:
        near = _approach(density, data, 0.5 * density.start(key, data), approach)
        return _finish(density, data, near, finish, tolerance)

    x, size, count = jax.vmap(search)(keys)
    value = jax.vmap(lambda x: density.potential(x, data))(x)
    value = jnp.where(jnp.isfinite(value), value, jnp.inf)
    best = jnp.argmin(value)
    return Mode(x[best], value[best], size[best], size[best] <= 100 * tolerance, count, value)
