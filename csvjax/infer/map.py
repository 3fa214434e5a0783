"""Maximum a posteriori: many starting points are screened, and the best are searched to the end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from csvjax.compiled import jit_by_size
from csvjax.infer.curvature import Layout, Metric, curvature_of, identity, in_blocks, metric_of, whole, wholly
from csvjax.infer.result import Fit, Status
from csvjax.infer.search import Lane, Piece, begin, evaluate
from csvjax.law.density import Density
from csvjax.programs import keepable

__all__ = ["Map", "Optimum", "find_mode", "map_diagnostics", "map_status"]

_PIECE = 100  # steps between two computations of the curvature
_FLAT = 1e-2  # where no step leads further, a gradient below this counts as zero: a hundredth of a standard deviation


@keepable
class Optimum(NamedTuple):
    """The best mode found.

    x [n], potential: the mode, and minus log density there. gradient: largest component of the gradient at x, in units
    in which the curvature is one (`Map.curved`). metric [n, n]: W with W W' = |H|^-1, where H is the Hessian at x with
    small eigenvalues raised to 0.01. curvature: H's smallest eigenvalue. steps, potentials, finished [start]: for each
    start the number of evaluations, the potential at its end, and whether it was searched to the end.
    """

    x: Float[Array, " n"]
    potential: Float[Array, ""]
    gradient: Float[Array, ""]
    converged: Bool[Array, ""]
    curvature: Float[Array, ""]
    metric: Float[Array, "n n"]
    steps: Int[Array, " start"]
    potentials: Float[Array, " start"]
    finished: Bool[Array, " start"]


class _Search(NamedTuple):
    x: Array
    value: Array
    gradient: Array
    curvature: Array
    metric: Metric
    steps: Array
    stuck: Array


class _Turns(NamedTuple):
    """turn: of the screening. finalist: the finalist whose turn it is. order: of the starts in this round."""

    turn: Array
    finalist: Array
    lanes: Lane
    order: Array
    ends: _Search


def _order(value: Array) -> Array:
    return jnp.argsort(jnp.where(jnp.isfinite(value), value, jnp.inf), stable=True)


def _looked(at: _Search, lane: Lane, grads: Array, layout: Layout) -> _Search:
    """The search after a piece in the metric of `at`, with the curvature at the end of the piece."""
    metric, least = metric_of(curvature_of(grads, layout))
    stuck = jnp.where(lane.value < at.value - 1e-9 * jnp.abs(lane.value), 0, at.stuck + 1)
    size = jnp.max(jnp.abs(metric.across(layout, at.metric.back(layout, lane.grad))))
    x = at.x + at.metric.along(layout, lane.x)
    return _Search(x, lane.value, size, least, metric, at.steps + lane.steps, stuck)


@dataclass(frozen=True)
class Map:
    """The mode of the unconstrained density, Jacobian included.

    starts: prior draws, moved half-way to the origin. All are followed for `screen` steps or, if they are more than
    four times the finalists, for a fifth of that; then the best quarter for as many again, and so on until only a few
    are left, which get all steps. The best `finalists` are continued by L-BFGS, each for at most `steps` evaluations,
    until no component of the gradient exceeds `tolerance`.
    curved: up to this number of parameters, the search uses the metric of the Hessian, computed every 100 steps. With
    more parameters a Hessian costs more than it saves, and the metric is that of the blocks that the density names
    (`csvjax.infer.curvature`): 84 models and 133 benchmarks, 937 parameters, took 900 steps and 600 gradients for
    the metric, and 1,700 steps without a metric from the same start; one whole Hessian takes 1,874 gradients.
    diagnostics: the fields of `Optimum`, without x and metric.
    """

    starts: int = 8
    screen: int = 50
    finalists: int = 2
    steps: int = 3000
    tolerance: float = 1e-4
    curved: int = 300

    def solve(self, density: Density, data: Any, key: Array) -> Optimum:
        starts = jax.vmap(lambda key: 0.5 * density.start(key, data))(jax.random.split(key, self.starts))
        return self.solve_from(density, data, starts)

    def solve_from(self, density: Density, data: Any, starts: Float[Array, "start n"]) -> Optimum:
        """The same from given starts; a single start is not screened.

        The search is a sequence of turns. A turn advances one start and, for finalists, computes the curvature at its
        end. So the density appears only once in the compiled program: compiling it costs seconds.
        """
        slope = jax.value_and_grad(lambda x: density.potential(x, data))
        schedule = jnp.asarray(self._schedule(len(starts)), int).reshape(-1, 2)
        finalists = min(self.finalists, len(starts))
        layout = self.layout(density, data, starts.shape[1])
        # With blocks the metric is rough, and the last hundredth of a standard deviation would take most of the steps.
        tolerance = max(self.tolerance, _FLAT) if layout.block.size else self.tolerance
        plain = identity(layout, starts.dtype)
        none = jnp.asarray(0)

        def go_on(at: _Turns) -> Array:
            return (at.turn < len(schedule)) | (at.finalist < finalists)

        def turn(at: _Turns) -> _Turns:
            screening = at.turn < len(schedule)
            chosen = _order(at.lanes.value)
            place, limit = none, none
            if len(schedule):
                place, limit = schedule[jnp.minimum(at.turn, len(schedule) - 1)]
            # Starts that have not been evaluated yet have an infinite value, and keep their order.
            order = jnp.where(screening & (place == 0), chosen, at.order)
            mine = jnp.where(screening, order[place], chosen[at.finalist])
            lane = jax.tree.map(lambda a: a[mine], at.lanes)
            end = jax.tree.map(lambda a: a[at.finalist], at.ends)
            end = end._replace(x=jnp.where(end.steps == 0, lane.x, end.x))
            fresh = begin(jnp.zeros_like(lane.x))
            limit = jnp.where(screening, lane.steps + limit, min(_PIECE, self.steps))
            centre = jnp.where(screening, 0.0, end.x)
            metric = jax.tree.map(lambda a, b: jnp.where(screening, a, b), plain, end.metric)
            lane = jax.tree.map(lambda a, b: jnp.where(screening, a, b), lane, fresh)
            lane, grads = evaluate(slope, Piece(lane, centre, metric, limit, tolerance), layout, ~screening)

            def screened(at: _Turns) -> _Turns:
                lanes = jax.tree.map(lambda all_, one: all_.at[mine].set(one), at.lanes, lane)
                return at._replace(turn=at.turn + 1, lanes=lanes, order=order)

            def finished(at: _Turns) -> _Turns:
                found = _looked(end, lane, grads, layout)
                more = (found.gradient > tolerance) & (found.steps < self.steps) & (found.stuck < 2)
                ends = jax.tree.map(lambda all_, one: all_.at[at.finalist].set(one), at.ends, found)
                return at._replace(ends=ends, finalist=jnp.where(more, at.finalist, at.finalist + 1))

            return jax.lax.cond(screening, screened, finished, at)

        lanes, size = jax.vmap(begin)(starts), starts.shape[1]
        far = jnp.full(finalists, jnp.inf, starts.dtype)
        metric = jax.tree.map(lambda a: jnp.broadcast_to(a, (finalists, *a.shape)), plain)
        zeros = jnp.zeros(finalists, int)
        ends = _Search(jnp.zeros((finalists, size), starts.dtype), far, far, -far, metric, zeros, zeros)
        at = jax.lax.while_loop(go_on, turn, _Turns(none, none, lanes, jnp.arange(len(starts)), ends))

        chosen = _order(at.lanes.value)[:finalists]
        value = jnp.where(jnp.isfinite(at.lanes.value), at.lanes.value, jnp.inf)
        value_end = jnp.where(jnp.isfinite(at.ends.value), at.ends.value, jnp.inf)
        best = jax.tree.map(lambda a: a[jnp.argmin(value_end)], at.ends)
        return Optimum(
            best.x,
            jnp.min(value_end),
            best.gradient,
            (best.gradient <= tolerance) | ((best.stuck >= 2) & (best.gradient <= _FLAT)),
            best.curvature,
            wholly(best.metric, layout),
            at.lanes.steps.at[chosen].add(at.ends.steps),
            value.at[chosen].set(value_end),
            jnp.zeros(len(starts), bool).at[chosen].set(True),
        )

    def layout(self, density: Density, data: Any, n: int) -> Layout:
        """The directions along which this search computes the curvature."""
        block = density.blocks(data) if n > self.curved else np.zeros((0, 0), int)
        return in_blocks(n, block) if block.size else whole(n)

    def _schedule(self, starts: int) -> list[tuple[int, int]]:
        """The screening: which start, by its rank among those of the round before, and for how many steps."""
        schedule: list[tuple[int, int]] = []
        alive = starts if starts > 1 else 0
        while alive > 4 * self.finalists:
            schedule += [(place, max(self.screen // 5, 1)) for place in range(alive)]
            alive = max(alive // 4, self.finalists)
        return schedule + [(place, self.screen) for place in range(alive)]

    def read(self, found: Optimum) -> Fit:
        mode = np.asarray(found.x)
        return Fit(self, mode[None, None], mode, map_status(self, found), map_diagnostics(found), found)


@partial(jit_by_size, static=("density", "method"))
def find_mode(density: Density, method: Any, data: Any, key: Array) -> Any:
    """`method.solve`, compiled."""
    return method.solve(density, data, key)


def map_diagnostics(found: Optimum) -> dict[str, np.ndarray]:
    """The fields of `Optimum`, without x and metric, and log_volume: n/2 log 2 pi - log det |H| / 2. Added to the log
    density at the mode, it gives Laplace's approximation of the evidence.
    """
    volume = 0.5 * len(found.x) * np.log(2 * np.pi) + np.linalg.slogdet(np.asarray(found.metric))[1]
    kept = {name: np.asarray(value) for name, value in found._asdict().items() if name not in ("x", "metric")}
    return kept | {"log_volume": np.asarray(volume)}


def map_status(method: Map, found: Optimum) -> Status:
    ends = np.asarray(found.potentials)[np.asarray(found.finished)]
    steps = int(np.max(found.steps))
    gradient = float(found.gradient)
    if not np.isfinite(found.potential):
        return Status(False, "no start has a finite density; check the data and the priors for impossible values")
    if found.converged:
        apart = f"; the best {len(ends)} of {len(found.steps)} starts ended {float(np.ptp(ends)):.2g} nats apart"
        return Status(True, f"converged after {steps} steps{apart if len(ends) > 1 else ''}")
    if steps >= method.steps:
        reason, remedy = f"stopped after the most steps allowed ({method.steps})", "raise steps"
    else:
        reason, remedy = f"stopped after {steps} steps because no step led further down", "use more starts"
    return Status(
        False,
        f"not converged: {reason} with a gradient of {gradient:.2g}, which should be below {method.tolerance:g}; "
        f"{remedy}, or tighten the priors",
    )
