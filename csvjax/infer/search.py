"""Minima of a potential: L-BFGS in which every step of every start is exactly one evaluation.

The search names a point (`trial`) and receives its value (`absorb`), so that the caller evaluates the density in one
place of the program: compiling a density costs seconds.

A line search inside a step would make all starts of a vmap wait for the longest. Here a start whose step was rejected
tries a shorter one while the others continue. Directions are those of `optax.scale_by_lbfgs`. A step is accepted if the
value falls enough (Armijo) or, if values differ by no more than their accuracy, if the slope does (the approximate
Wolfe condition of Hager and Zhang 2005, SIAM J. Optim. 16(1), eq. 4.1): a density that is an integral by quadrature has
a gradient that is slightly more exact than its value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from csvjax.infer.curvature import Layout, Metric, offset

__all__ = ["Lane", "Piece", "absorb", "begin", "done", "evaluate", "trial"]

_MEMORY = 20
_FALL = 1e-4  # Armijo: least share of the predicted decrease
_EXACT = 1e-6  # relative error of a value
_SHORTEST = 1e-9


class Lane(NamedTuple):
    """One search. x, value, grad: the best point so far. direction, size: the next trial is x + size direction.

    steps: evaluations so far. stuck: how often no step along a direction was short enough.
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

    Without the second Wolfe condition the curvature may be negative, and the direction would then lead uphill.
    """
    s, y = x - memory.params, grad - memory.updates
    square = jnp.vdot(s, s)
    curvature = jnp.vdot(s, y) / jnp.where(square > 0, square, 1.0)
    lift = jnp.where(curvature < 0, -2 * curvature, 0.0)
    return memory._replace(updates=memory.updates - lift * s)


def begin(x: Float[Array, " n"]) -> Lane:
    """A search from x, which has not been evaluated yet."""
    none = jnp.zeros_like(x)
    return Lane(x, jnp.full_like(x[0], jnp.inf), none, none, jnp.ones_like(x[0]), _LBFGS.init(x), *[jnp.asarray(0)] * 2)


def trial(lane: Lane) -> Float[Array, " n"]:
    """The point at which the lane needs value and gradient next."""
    return lane.x + lane.size * lane.direction


def done(lane: Lane, until: Int[Array, ""] | int, tolerance: float) -> Bool[Array, ""]:
    """Whether the search has ended, or has used all the evaluations that it may."""
    more = jnp.isinf(lane.value) | (jnp.max(jnp.abs(lane.grad)) > tolerance)
    return ~(more & (lane.steps < until) & (lane.stuck < 3))


def absorb(lane: Lane, value: Float[Array, ""], grad: Float[Array, " n"]) -> Lane:
    """The lane after it received value and gradient at `trial(lane)`."""
    slope, new_slope = jnp.vdot(lane.grad, lane.direction), jnp.vdot(grad, lane.direction)
    falls = value <= lane.value + _FALL * lane.size * slope
    level = (value <= lane.value + _EXACT * jnp.abs(lane.value)) & (jnp.abs(new_slope) <= 0.9 * jnp.abs(slope))
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad))
    taken = finite & (falls | level)

    # A rejected step is replaced by the minimum of the parabola through both values and the slope.
    bend = value - lane.value - lane.size * slope
    shorter = jnp.where(finite & (bend > 0), -slope * lane.size / (2 * bend), 0.1)
    size = lane.size * jnp.clip(shorter, 0.1, 0.5)
    lost = ~taken & (size < _SHORTEST)

    def select(when: Array, new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(when, a, b), new, old)

    x, value, grad = select(taken, (trial(lane), value, grad), (lane.x, lane.value, lane.grad))
    # If no step is short enough, the memory is wrong: the search restarts along the gradient.
    memory = _convex(select(lost, _LBFGS.init(x), lane.memory), x, grad)
    update, memory = _LBFGS.update(grad, memory, x)
    moved = taken | lost
    direction, size, memory = select(moved, (-update, 1.0, memory), (lane.direction, size, lane.memory))
    return Lane(x, value, grad, direction, size, memory, lane.steps + 1, lane.stuck + lost)


class Piece(NamedTuple):
    """A part of a search in x = centre + metric z. lane: the search over z. until: the most evaluations of the lane,
    including earlier ones.
    """

    lane: Lane
    centre: Float[Array, " n"]
    metric: Metric
    until: Int[Array, ""]
    tolerance: float


def evaluate(
    slope: Callable[[Array], tuple[Array, Array]], piece: Piece, layout: Layout, look: Bool[Array, ""]
) -> tuple[Lane, Float[Array, "gradient n"]]:
    """The lane at the end of the piece and, if `look`, the gradients around its end that `curvature_of` needs.

    slope: value and gradient at x.
    """
    lane, centre, metric, until, tolerance = piece
    points = 2 * len(layout.directions)

    def go_on(carry: tuple[Lane, Array, Array]) -> Array:
        lane, looked, _ = carry
        return ~done(lane, until, tolerance) | (look & (looked < points))

    def once(carry: tuple[Lane, Array, Array]) -> tuple[Lane, Array, Array]:
        lane, looked, grads = carry
        searching = ~done(lane, until, tolerance)
        x = centre + metric.along(layout, jnp.where(searching, trial(lane), lane.x))
        value, grad = slope(x + jnp.where(searching, 0.0, offset(looked, layout, x.dtype)))
        told = absorb(lane, value, metric.across(layout, grad))
        lane = jax.tree.map(lambda new, old: jnp.where(searching, new, old), told, lane)
        grads = jnp.where(searching, grads, grads.at[looked].set(grad))
        return lane, looked + ~searching, grads

    none = jnp.zeros((points, len(centre)), centre.dtype)
    lane, _, grads = jax.lax.while_loop(go_on, once, (lane, jnp.asarray(0), none))
    return lane, grads
