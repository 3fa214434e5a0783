"""Sloth with a logistic link: few capabilities, linear in log size and log tokens, with family intercepts.

    score[m, b] = gamma[b] + (1 - gamma[b]) sigmoid(sum_k Lambda[b, k] theta[m, k] + c[b])
    theta[m, k] = alpha[f, k] + beta[k] . (log D, log N, log D log N)

Maia Polo et al. 2024 (arXiv 2412.06540), section 3; gamma at chance, D in 1e12 tokens, N in 1e9 parameters. Theta is
identified up to an invertible matrix, on which predictions do not depend. Other benchmarks are fitted together with the
targets for training rows, but are not used for rows to predict.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from csvjax.baselines import low_rank
from csvjax.baselines.bootstrap import Law, PointMethod
from csvjax.baselines.design import Design, design, features, known_rows
from csvjax.baselines.method import generator
from csvjax.baselines.view import View

__all__ = ["sloth"]


def sloth(rank: int = 3, starts: int = 4) -> PointMethod:
    """The method with `rank` capabilities; the best of `starts` fits is used."""
    return PointMethod(
        name=f"Sloth, {rank} capabilities",
        source="Maia Polo et al. 2024, arXiv 2412.06540, section 3, logistic link",
        needs=frozenset({"compute", "family"}),
        learn=partial(_learn, rank=rank, starts=starts),
        refit=_refit,
        refits=20,
        amounts=("params", "tokens"),
    )


@dataclass(frozen=True)
class SlothLaw:
    """The fitted law. `surface` has the targets first and then the other benchmarks."""

    design: Design
    surface: low_rank.Surface

    def __call__(self, view: View) -> Float[np.ndarray, "row target"]:
        found = low_rank.evaluate(self.surface, features(view, self.design))
        return found[:, : view.target.shape[1]]


def _learn(view: View, key: jax.Array, rank: int, starts: int) -> Law:
    chosen = design(view, "params and tokens", "shared", "family")
    x, y = _cells(view, chosen)
    kept = ~np.isnan(y).all(axis=0)  # another benchmark may have no scores
    floor, ceiling = view.all_bounds
    rank = min(rank, int(kept.sum()))
    fitted = low_rank.fit(x, y[:, kept], floor[kept], ceiling[kept], rank, generator(key), starts)
    return SlothLaw(chosen, fitted)


def _refit(law: Law, view: View, key: jax.Array) -> Law:
    assert isinstance(law, SlothLaw)
    x, y = _cells(view, law.design)
    return SlothLaw(law.design, low_rank.fit_again(law.surface, x, y[:, : len(law.surface.floor)]))


def _cells(view: View, chosen: Design) -> tuple[np.ndarray, np.ndarray]:
    x, rows = known_rows(view, chosen)
    return x, np.hstack([view.target, view.score])[rows]
