"""A table that the law itself made, the same numbers in every process."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from csvjax.evaluate.simulate import blank_table, simulate
from csvjax.law.density import Density, law_density
from csvjax.law.model import Evidence, Law, Priors

__all__ = ["law_table"]

ITEMS, SEED = 500.0, 11


def law_table(lms: int, benchmarks: int, families: int, capabilities: int) -> tuple[Density, Evidence]:
    """The density, and scores of 500 items of which every fifth is blank; 64-bit types have to be enabled.

    Parameters are half of a draw from their prior, the field is a draw from its own.
    """
    seen = np.arange(lms * benchmarks).reshape(lms, benchmarks) % 5 > 0
    floor = np.where(np.arange(benchmarks) % 2, 0.25, 0.0)
    e = blank_table(seen, np.full(benchmarks, ITEMS), floor, np.arange(lms) % families)
    law = Law(capabilities, ("x",), ("family",), priors=Priors(ceiling=float("inf")))
    density = law_density(law)
    key_x, key = jax.random.split(jax.random.key(SEED))
    score = np.asarray(simulate(density, law.tail, e, 0.5 * density.start(key_x, e)[None], key).score)[0]
    return density, jax.tree.map(jnp.asarray, e._replace(score=np.where(e.seen, score, 0.0)))
