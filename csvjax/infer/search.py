"""Minima of a potential: L-BFGS in which every step of every start is exactly one evaluation.

A line search inside a step would make all starts of a vmap wait for the longest. Here a start that was refused its step
tries a shorter one while the others go on. Directions are those of `optax.scale_by_lbfgs`; a step is taken if the value
falls enough (Armijo) or, where values differ by no more than they are exact, if the slope does (the approximate Wolfe
condition of Hager and Zhang 2005, SIAM J. Optim. 16(1), eq. 4.1): a density that is an integral by quadrature has a
gradient a little more exact than its value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

__all__ = ["Lane", "advance", "begin"]

Objective = Callable[[Array], Array]

_MEMORY = 20
_FALL = 1e-4  # Armijo: share of the promised fall
_EXACT = 1e-6  # relative error that a value may have
_SHORTEST = 1e-9


class Lane(NamedTuple):
    """One search. x, value, grad: the best point so far. direction, size: the next trial is x + size direction.

    steps: evaluations so far. stuck: how often no step in a direction was short enough.
    """

    x: Float[Array, " n"]
    value: Float[Array, ""]
    grad: Float[Array, " n"]
    direction: Float[Array, " n"]
    size: Float[Array, ""]
    memory: Any
    steps: Int[Array, ""]
    stuck: Int[Array, ""]


_LBFGS = optax.scale_by_lbfgs(memory_size=_MEMORY)


def _convex(memory: Any, x: Array, grad: Array) -> Any:
    """The memory, changed so that the curvature along the last step counts by its absolute value.

    Without the second Wolfe condition it may be negative, and the direction would then lead uphill.
    """
    s, y = x - memory.params, grad - memory.updates
    square = jnp.vdot(s, s)
    curvature = jnp.vdot(s, y) / jnp.where(square > 0, square, 1.0)
    lift = jnp.where(curvature < 0, -2 * curvature, 0.0)
    return memory._replace(updates=memory.updates - lift * s)


def begin(x: Float[Array, " n"]) -> Lane:
    """A search from x, not evaluated yet: compiling a density costs seconds, so that it stands in one place only."""
    none = jnp.zeros_like(x)
    return Lane(x, jnp.full_like(x[0], jnp.inf), none, none, jnp.ones_like(x[0]), _LBFGS.init(x), *[jnp.asarray(0)] * 2)


def _step(objective: Objective, lane: Lane) -> Lane:
    trial = lane.x + lane.size * lane.direction
    value, grad = jax.value_and_grad(objective)(trial)
    slope, new_slope = jnp.vdot(lane.grad, lane.direction), jnp.vdot(grad, lane.direction)
    falls = value <= lane.value + _FALL * lane.size * slope
    level = (value <= lane.value + _EXACT * jnp.abs(lane.value)) & (jnp.abs(new_slope) <= 0.9 * jnp.abs(slope))
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad))
    taken = finite & (falls | level)

    # A refused step becomes the one that minimises the parabola through both values and the slope.
    bend = value - lane.value - lane.size * slope
    shorter = jnp.where(finite & (bend > 0), -slope * lane.size / (2 * bend), 0.1)
    size = lane.size * jnp.clip(shorter, 0.1, 0.5)
    lost = ~taken & (size < _SHORTEST)

    def select(when: Array, new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(when, a, b), new, old)

    x, value, grad = select(taken, (trial, value, grad), (lane.x, lane.value, lane.grad))
    # Where no step is short enough the memory is wrong: the search starts anew along the gradient.
    memory = _convex(select(lost, _LBFGS.init(x), lane.memory), x, grad)
    update, memory = _LBFGS.update(grad, memory, x)
    moved = taken | lost
    direction, size, memory = select(moved, (-update, 1.0, memory), (lane.direction, size, lane.memory))
    return Lane(x, value, grad, direction, size, memory, lane.steps + 1, lane.stuck + lost)


def advance(objective: Objective, lane: Lane, steps: Int[Array, ""] | int, tolerance: float) -> Lane:
    """At most `steps` further evaluations; ends where no component of the gradient exceeds `tolerance`."""
    until = lane.steps + steps

    def go_on(lane: Lane) -> Bool[Array, ""]:
        more = jnp.isinf(lane.value) | (jnp.max(jnp.abs(lane.grad)) > tolerance)
        return more & (lane.steps < until) & (lane.stuck < 3)

    return jax.lax.while_loop(go_on, lambda lane: _step(objective, lane), lane)
