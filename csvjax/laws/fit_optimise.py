"""Maximum a posteriori: Adam (optax) from several starts at once, finished by Newton steps."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from csvjax.law.density import Density

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
    """`steps` of Adam: into the basin of an optimum, from places where the curvature says little."""
    solver = optax.adam(optax.cosine_decay_schedule(0.2, max(steps, 1), alpha=0.1))

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        x, state = carry
        updates, state = solver.update(jax.grad(density.potential)(x, data), state, x)
        return (optax.apply_updates(x, updates), state), None

    return jax.lax.scan(step, (x, solver.init(x)), None, steps)[0][0]


class _Point(NamedTuple):
    x: Array
    value: Array
    grad: Array
    hessian: Array
    size: Array  # of the gradient: its largest absolute component


def _finish(density: Density, data: Any, x: Array, most: int, tolerance: float) -> tuple[_Point, Array]:
    """Damped Newton steps, (|H| + damping) d = -g, damping down after a success and up after a failure.

    The first turn of the loop takes no step: it measures value, gradient and curvature at x, so that they are compiled
    in one place.
    """

    def gradient(x: Array) -> tuple[Array, tuple[Array, Array]]:
        value, grad = jax.value_and_grad(density.potential)(x, data)
        return grad, (value, grad)

    def go_on(carry: tuple[_Point, Array, Array]) -> Array:
        at, _, count = carry
        return (count < most) & (at.size > tolerance)

    def step(carry: tuple[_Point, Array, Array]) -> tuple[_Point, Array, Array]:
        at, damping, count = carry
        curvature, axes = jnp.linalg.eigh(at.hessian)
        x = at.x - axes @ ((axes.T @ at.grad) / (jnp.abs(curvature) + damping))
        hessian, (value, grad) = jax.jacfwd(gradient, has_aux=True)(x)
        new = _Point(x, value, grad, hessian, jnp.max(jnp.abs(grad)))
        better = value <= at.value + 1e-9
        damping = jnp.where(better, damping / 10, jnp.maximum(damping * 10, 1e-2))
        return jax.tree.map(partial(jnp.where, better), new, at), damping, count + 1

    far = jnp.asarray(jnp.inf, x.dtype)
    nowhere = _Point(x, far, jnp.zeros_like(x), jnp.eye(len(x), dtype=x.dtype), far)
    at, _, count = jax.lax.while_loop(go_on, step, (nowhere, jnp.asarray(1e-2, x.dtype), jnp.asarray(-1)))
    return at, count


@partial(jax.jit, static_argnames=("density", "starts", "approach", "finish", "tolerance"))
def find_mode(
    density: Density,
    data: Any,
    key: Array,
    starts: int = 4,
    approach: int = 100,
    finish: int = 100,
    tolerance: float = 1e-5,
) -> Mode:
    """Mode of the density, the best of `starts` searches from prior draws pulled half-way to the origin.

    Each takes `approach` steps of Adam, then at most `finish` Newton steps, until no component of the gradient exceeds
    `tolerance`.
    """
    keys = jax.random.split(key, starts)

    def search(key: Array) -> tuple[_Point, Array]:
        near = _approach(density, data, 0.5 * density.start(key, data), approach)
        return _finish(density, data, near, finish, tolerance)

    found, count = jax.vmap(search)(keys)
    best = jnp.argmin(found.value)
    size = found.size[best]
    return Mode(found.x[best], found.value[best], size, size <= 100 * tolerance, count, found.value)
