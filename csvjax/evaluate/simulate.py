"""Simulates tables from the law: parameters and effects from their priors, scores with the noise of their items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Bool, Float

from csvjax.law.density import Density
from csvjax.law.groups import make_groups
from csvjax.law.links import fractions
from csvjax.law.model import Evidence
from csvjax.law.predictive import Predictive, draw_law
from csvjax.precision import float64
from csvjax.types import AnyArray

__all__ = ["blank_table", "simulate"]


def blank_table(
    seen: Bool[np.ndarray, "lm benchmark"],
    n_items: Float[np.ndarray, " benchmark"],
    floor: Float[np.ndarray, " benchmark"],
    family: Sequence[object] | AnyArray,
) -> Evidence:
    """The evidence of a table without scores: one covariate, families, items, floors, ceilings of 1, and no losses.

    Args:
        seen: which scores the table will have [lm, benchmark].
        n_items: number of items [benchmark].
        floor: floors, fractions [benchmark].
        family: family of each model [lm].
    """
    lms, benchmarks = seen.shape
    return Evidence(
        score=np.zeros((lms, benchmarks)),
        seen=seen,
        weight=np.ones(lms),
        n_items=np.asarray(n_items, float),
        floor=np.asarray(floor, float),
        floor_most=np.full(benchmarks, 0.5),
        floor_near=np.zeros(benchmarks, bool),
        ceiling=np.ones(benchmarks),
        flat=np.zeros(benchmarks, bool),
        standard=fractions(benchmarks),
        covariate=np.linspace(-1.6, 1.6, lms)[:, None],
        missing=np.zeros((lms, 1, 0)),
        groups=make_groups(family),
        loss=np.zeros((lms, 0)),
        has_loss=np.ones(lms, bool),
        log_base=np.zeros(0),
        features=np.zeros((0, 1)),
        scale=np.asarray(1.0),
        reference_loss=np.zeros((0, 0)),
        reference_design=np.zeros((0, 2)),
        design=np.hstack([np.ones((lms, 1)), np.linspace(-1.6, 1.6, lms)[:, None]]),
        lacking=np.zeros(0),
    )


@float64
def simulate(
    density: Density, tail: float, e: Evidence, x: Float[Array, "draw n"] | np.ndarray, key: Array
) -> Predictive:
    """Draw the effects and the scores of every cell from their priors, given the parameters `x`."""
    none = e._replace(seen=np.zeros_like(np.asarray(e.seen)), score=np.zeros_like(np.asarray(e.score)))
    return draw_law(density, tail, none, x, key)
