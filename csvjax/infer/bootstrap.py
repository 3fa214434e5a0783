"""The bootstrap: modes of replicates, for which models or families are drawn with replacement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from csvjax.errors import InputError
from csvjax.infer.map import Map, Optimum, map_diagnostics, map_status
from csvjax.infer.result import Fit, Status
from csvjax.law.density import Density
from csvjax.programs import keepable

__all__ = ["Bootstrap", "Replicates", "replicate_weights"]


def replicate_weights(
    key: Array, weight: Float[Array, " lm"], group: Int[Array, " lm"], groups: int, replicates: int
) -> Float[Array, "replicate lm"]:
    """How often each model counts, when groups that have a model of positive weight are drawn with replacement."""
    present = jnp.maximum(jax.ops.segment_max((weight > 0) * 1.0, group, groups), 0.0)
    count = jnp.sum(present).astype(int)
    drawn = jax.random.categorical(key, jnp.log(present), shape=(replicates, groups))
    used = jnp.arange(groups) < count
    times = jax.vmap(lambda d: jax.ops.segment_sum(used.astype(weight.dtype), d, groups))(drawn)
    return times[:, group] * weight


def _families(data: Any) -> tuple[Int[Array, " lm"], int]:
    """The number of each model's family, and an upper bound of these numbers; some numbers may have no model."""
    if not hasattr(data, "groups"):
        # Numbers of families are below the number of models, otherwise a family would have no model.
        return jnp.asarray(data.family), len(data.weight)
    family, count = [], 0
    for bucket in data.groups.buckets:
        families, slots = bucket.lm.shape
        family.append(np.repeat(np.arange(count, count + families), slots))
        count += families
    return jnp.asarray(np.concatenate(family))[jnp.asarray(data.groups.slot)], count


@keepable
class Replicates(NamedTuple):
    """Results before they are read: the modes of the replicates."""

    optimum: Optimum
    x: Float[Array, "replicate n"]
    converged: Bool[Array, " replicate"]
    gradient: Float[Array, " replicate"]


@dataclass(frozen=True)
class Bootstrap:
    """The mode of each of many replicates, found by a search from the mode of all data.

    by: what is drawn with replacement, language models ("case") or whole families ("family"). The data need a field
    `weight` [lm] (how often a model counts) and, for families, a field `groups` (`csvjax.law.groups`) or `family` [lm]
    (numbers of families). batch: replicates that are fitted at once.
    diagnostics: those of MAP on all data, `replicates_converged` and `replicates_gradient` [replicate].
    """

    by: Literal["case", "family"] = "case"
    replicates: int = 200
    batch: int = 20
    map: Map = Map()

    def solve(self, density: Density, data: Any, key: Array) -> Replicates:
        """Raises: InputError for "case" if models of a family depend on each other, because single models of a family
        cannot be weighted then.
        """
        if self.by == "case" and hasattr(data, "groups") and any(b.lm.shape[1] > 1 for b in data.groups.buckets):
            raise InputError('expected families of one model for by="case", found larger ones; use by="family"')
        key_mode, key_weights = jax.random.split(key)
        optimum = self.map.solve(density, data, key_mode)
        weight = jnp.asarray(data.weight)
        group, groups = (jnp.arange(len(weight)), len(weight)) if self.by == "case" else _families(data)
        weights = replicate_weights(key_weights, weight, group, groups, self.replicates)
        once = replace(self.map, starts=1, finalists=1)

        def one(weight: Array) -> tuple[Array, Array, Array]:
            found = once.solve_from(density, data._replace(weight=weight), optimum.x[None])
            return found.x, found.converged, found.gradient

        return Replicates(optimum, *jax.lax.map(one, weights, batch_size=self.batch))

    def read(self, found: Replicates) -> Fit:
        status = map_status(self.map, found.optimum)
        late = int(np.sum(~np.asarray(found.converged)))
        if status.ok:
            status = Status(True, f"{self.replicates} replicates by {self.by}, all converged")
            if late:
                status = Status(
                    late <= 0.05 * self.replicates,
                    f"{late} of {self.replicates} replicates did not converge; the largest gradient is "
                    f"{float(np.max(found.gradient)):.2g}; raise the steps of map, or tighten the priors",
                )
        diagnostics = map_diagnostics(found.optimum) | {
            "replicates_converged": np.asarray(found.converged),
            "replicates_gradient": np.asarray(found.gradient),
        }
        return Fit(self, np.asarray(found.x)[None], np.asarray(found.optimum.x), status, diagnostics)
