"""Maximum a posteriori: many starts are screened, the best are searched to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from csvjax.infer.curvature import hessian
from csvjax.infer.result import Fit, Status
from csvjax.infer.search import Objective, advance, begin
from csvjax.law.density import Density

__all__ = ["Map", "Optimum", "map_diagnostics", "map_status"]

_PIECE = 100  # steps between two looks at the curvature
_LEAST = 1e-2  # curvature below which a direction is not stretched further; that of a unit prior is 1


class Optimum(NamedTuple):
    """The best mode found.

    x [n], potential: where it is, and minus log density there. gradient: largest component of the gradient at x, in
    units in which the curvature is one (`Map.curved`). metric [n, n]: W with W W' = |H|^-1, H the Hessian at x, small
    eigenvalues lifted to 0.01. curvature: H's smallest eigenvalue. steps, potentials, finished [start]: of each start
    evaluations, the potential where it ended, and whether it was searched to the end.
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
    metric: Array
    steps: Array
    stuck: Array


@dataclass(frozen=True)
class Map:
    """The mode of the unconstrained density, Jacobian included.

    starts: prior draws pulled half-way to the origin. All are followed for `screen` steps, or, where they are more than
    four times the finalists, for a fifth of that, then the best quarter for as much again, and so on down to the few
    that get all. The best `finalists` go on, each for at most `steps` evaluations, until no component of the gradient
    exceeds `tolerance`. optimiser: of the screening; the finish is always L-BFGS, and Adam drops no start early.
    curved: with at most so many parameters the search is in the metric of the Hessian, looked at every 100 steps;
    beyond, a Hessian costs more than it saves, and the metric is the identity.
    diagnostics: the fields of `Optimum`, without x and metric.
    """

    starts: int = 4
    screen: int = 50
    finalists: int = 2
    steps: int = 3000
    tolerance: float = 1e-4
    optimiser: Literal["lbfgs", "adam"] = "lbfgs"
    learning_rate: float = 0.05
    curved: int = 1500

    def solve(self, density: Density, data: Any, key: Array) -> Optimum:
        starts = jax.vmap(lambda key: 0.5 * density.start(key, data))(jax.random.split(key, self.starts))
        return self.solve_from(density, data, starts)

    def solve_from(self, density: Density, data: Any, starts: Float[Array, "start n"]) -> Optimum:
        """The same from given starts; one alone is not screened."""

        def objective(x: Array) -> Array:
            return density.potential(x, data)

        if len(starts) == 1:
            x, value, steps = starts, jnp.full(1, jnp.inf), jnp.zeros(1, int)
        else:
            x, value, steps = self._screen(objective, starts)
        value = jnp.where(jnp.isfinite(value), value, jnp.inf)
        chosen = jnp.argsort(value)[: self.finalists]
        ends = jax.lax.map(
            lambda x: self._finish(objective, x), x[chosen]
        )  # under vmap each would wait for the slowest
        value_end = jnp.where(jnp.isfinite(ends.value), ends.value, jnp.inf)
        best = jax.tree.map(lambda a: a[jnp.argmin(value_end)], ends)
        return Optimum(
            best.x,
            jnp.min(value_end),
            best.gradient,
            best.gradient <= self.tolerance,
            best.curvature,
            best.metric,
            steps.at[chosen].add(ends.steps),
            value.at[chosen].set(value_end),
            jnp.zeros(len(starts), bool).at[chosen].set(True),
        )

    def _screen(self, objective: Objective, starts: Array) -> tuple[Array, Array, Array]:
        """x, potential and number of evaluations of every start."""
        if self.optimiser == "adam":
            return jax.vmap(lambda x: self._descend(objective, x))(starts)
        lanes = jax.vmap(begin)(starts)
        if jax.default_backend() != "cpu":
            lanes = jax.vmap(lambda lane: advance(objective, lane, self.screen, self.tolerance))(lanes)
            return lanes.x, lanes.value, lanes.steps
        # One after the other: side by side every start would wait for the slowest, and gain nothing on a CPU. One scan
        # over all rounds, so that the density is compiled once.
        schedule = []
        alive = len(starts)
        while alive > 4 * self.finalists:
            schedule += [(j, max(self.screen // 5, 1)) for j in range(alive)]
            alive = max(alive // 4, self.finalists)
        schedule += [(j, self.screen) for j in range(alive)]

        def turn(carry: tuple[Any, Array], at: Array) -> tuple[tuple[Any, Array], None]:
            lanes, order = carry
            # Lanes that were not looked at yet have an infinite value, and keep their order.
            order = jnp.where(at[0] == 0, jnp.argsort(lanes.value), order)
            i = order[at[0]]
            lane = advance(objective, jax.tree.map(lambda a: a[i], lanes), at[1], self.tolerance)
            return (jax.tree.map(lambda all_, one: all_.at[i].set(one), lanes, lane), order), None

        (lanes, _), _ = jax.lax.scan(turn, (lanes, jnp.arange(len(starts))), jnp.asarray(schedule))
        return lanes.x, lanes.value, lanes.steps

    def _descend(self, objective: Objective, x: Array) -> tuple[Array, Array, Array]:
        adam = optax.adam(optax.cosine_decay_schedule(self.learning_rate, self.screen))

        def step(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], Array]:
            x, state = carry
            value, grad = jax.value_and_grad(objective)(x)
            updates, state = adam.update(grad, state)
            return (optax.apply_updates(x, updates), state), value

        (x, _), values = jax.lax.scan(step, (x, adam.init(x)), None, self.screen)
        return x, values[-1], jnp.asarray(self.screen)

    def _finish(self, objective: Objective, x: Array) -> _Search:
        curved = len(x) <= self.curved
        piece_steps = _PIECE if curved else self.steps

        def go_on(at: _Search) -> Array:
            return (at.gradient > self.tolerance) & (at.steps < self.steps) & (at.stuck < 2)

        def piece(at: _Search) -> _Search:
            if not curved:
                end = advance(objective, begin(at.x), piece_steps, self.tolerance)
                size = jnp.max(jnp.abs(end.grad))
                return at._replace(x=end.x, value=end.value, gradient=size, steps=end.steps, stuck=jnp.asarray(2))
            end = advance(
                lambda z: objective(at.x + at.metric @ z), begin(jnp.zeros_like(x)), piece_steps, self.tolerance
            )
            new = at.x + at.metric @ end.x
            values, vectors = jnp.linalg.eigh(hessian(objective, new))
            # From the old metric, whose columns are orthogonal: its inverse is its transpose, up to their lengths.
            grad = (at.metric / jnp.sum(at.metric**2, axis=0)) @ end.grad
            metric = vectors / jnp.sqrt(jnp.maximum(jnp.abs(values), _LEAST))
            stuck = jnp.where(end.value < at.value - 1e-9 * jnp.abs(end.value), 0, at.stuck + 1)
            size = jnp.max(jnp.abs(grad @ metric))
            return _Search(new, end.value, size, values[0], metric, at.steps + end.steps, stuck)

        far = jnp.full_like(x[0], jnp.inf)
        none = jnp.asarray(0)
        return jax.lax.while_loop(go_on, piece, _Search(x, far, far, -far, jnp.eye(len(x), dtype=x.dtype), none, none))

    def read(self, found: Optimum) -> Fit:
        mode = np.asarray(found.x)
        return Fit(self, mode[None, None], mode, map_status(self, found), map_diagnostics(found))


def map_diagnostics(found: Optimum) -> dict[str, np.ndarray]:
    """The fields of `Optimum`, without x and metric, and log_volume: n/2 log 2 pi - log det |H| / 2, which makes of a
    mode's density Laplace's approximation of the data's."""
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
        reason, remedy = f"stopped after {steps} steps, none of which led further down", "give more starts"
    return Status(
        False,
        f"not converged: {reason} with a gradient of {gradient:.2g}, which should be below {method.tolerance:g}; "
        f"{remedy}, or tighten the priors",
    )
