"""Maximum a posteriori: many starts are screened, the best are searched to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from csvjax.fit.curvature import hessian, metric
from csvjax.fit.density import Density
from csvjax.fit.result import Fit, Status
from csvjax.fit.search import Lane, Objective, advance, begin

__all__ = ["Map", "Optimum", "map_diagnostics", "map_status"]

_PIECE = 100  # steps between two looks at the curvature
_LEAST = 1e-2  # curvature, in units of a unit prior's, below which a direction is not stretched further


class Optimum(NamedTuple):
    """The best mode found.

    x [n], potential: where it is, and minus log density there. gradient: largest component of the gradient at x, in
    units in which the curvature is one where it was looked at (`Map.curved`). steps, potentials, finished [start]: of
    each start, evaluations, the potential where it ended, and whether it was searched to the end.
    """

    x: Float[Array, " n"]
    potential: Float[Array, ""]
    gradient: Float[Array, ""]
    converged: Bool[Array, ""]
    steps: Int[Array, " start"]
    potentials: Float[Array, " start"]
    finished: Bool[Array, " start"]


@dataclass(frozen=True)
class Map:
    """The mode of the unconstrained density, Jacobian included.

    starts: prior draws pulled half-way to the origin. All are followed for `screen` steps; the best `finalists` go on,
    each for at most `steps` evaluations, until no component of the gradient exceeds `tolerance`. optimiser: of the
    screening; the finish is always L-BFGS. curved: with at most so many parameters the search is in the metric of the
    Hessian, computed anew every 100 steps; beyond, a Hessian costs more than it saves.
    diagnostics: the fields of `Optimum`, without x.
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
        """The same from given starts."""

        def objective(x: Array) -> Array:
            return density.potential(x, data)

        screened = jax.vmap(lambda x: self._screen(objective, x))(starts)
        value = jnp.where(jnp.isfinite(screened.value), screened.value, jnp.inf)
        chosen = jnp.argsort(value)[: self.finalists]
        x, value_end, gradient, steps = jax.vmap(lambda lane: self._finish(objective, lane))(
            jax.tree.map(lambda a: a[chosen], screened)
        )
        value_end = jnp.where(jnp.isfinite(value_end), value_end, jnp.inf)
        best = jnp.argmin(value_end)
        return Optimum(
            x[best],
            value_end[best],
            gradient[best],
            gradient[best] <= self.tolerance,
            screened.steps.at[chosen].add(steps),
            value.at[chosen].set(value_end),
            jnp.zeros(len(starts), bool).at[chosen].set(True),
        )

    def _screen(self, objective: Objective, x: Array) -> Lane:
        if self.optimiser == "lbfgs":
            return advance(objective, begin(objective, x), self.screen, self.tolerance)
        adam = optax.adam(optax.cosine_decay_schedule(self.learning_rate, self.screen))

        def step(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], None]:
            x, state = carry
            updates, state = adam.update(jax.grad(objective)(x), state)
            return (optax.apply_updates(x, updates), state), None

        x = jax.lax.scan(step, (x, adam.init(x)), None, self.screen)[0][0]
        lane = begin(objective, x)
        return lane._replace(steps=lane.steps + self.screen)

    def _finish(self, objective: Objective, lane: Lane) -> tuple[Array, Array, Array, Array]:
        """x, potential, gradient, evaluations."""
        start = lane.steps
        if len(lane.x) > self.curved:
            lane = advance(objective, lane, self.steps, self.tolerance)
            return lane.x, lane.value, lane.gradient, lane.steps - start
        lane = advance(objective, lane, min(2 * _PIECE, self.steps), self.tolerance)

        def go_on(carry: tuple[Array, Array, Array, Array]) -> Array:
            _, _, gradient, steps = carry
            return (gradient > self.tolerance) & (steps < self.steps)

        def piece(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            x, _, _, steps = carry
            w = metric(hessian(objective, x), _LEAST)

            def stretched(z: Array) -> Array:
                return objective(x + w @ z)

            end = advance(stretched, begin(stretched, jnp.zeros_like(x)), _PIECE, self.tolerance)
            return x + w @ end.x, end.value, end.gradient, steps + end.steps

        # The gradient of the first part is in other units: only a look at the curvature can end the search.
        begun = (lane.x, lane.value, jnp.full_like(lane.value, jnp.inf), lane.steps - start)
        return jax.lax.while_loop(go_on, piece, begun)

    def read(self, found: Optimum) -> Fit:
        mode = np.asarray(found.x)
        return Fit(self, mode[None, None], mode, map_status(self, found), map_diagnostics(found))


def map_diagnostics(found: Optimum) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in found._asdict().items() if name != "x"}


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
