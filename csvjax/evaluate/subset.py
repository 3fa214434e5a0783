"""Chooses which families to evaluate if not all can be: V-optimal subsets, by enumeration or branch and bound.

    minimise tr(G (sum_f x_f G_f)^-1),   G_f = S_f' S_f,   G = sum_f G_f,   over x_f in {0, 1}, sum_f x_f n_f <= budget

S: principal components of the models, n_f: number of models of family f. Up to the noise, the criterion is the sum over
all models of the variance of a linear prediction: Ruan et al. 2024 (arXiv 2405.10938), eq. 9, who enumerate subsets. It
is convex in x, so every gradient gives a lower bound, f(y) >= f(x) + f'(x) (y - x), whose minimum over relaxed subsets
is a fractional knapsack problem (Frank and Wolfe 1956). Branch and bound with this bound is exact if it finishes;
otherwise it returns the bound that it has proved.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import chain, combinations, count
from math import comb
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from csvjax.errors import InputError

__all__ = ["Subset", "enumerate_subsets", "objective", "search_subset"]

_MAX_SUBSETS = 5_000_000
_CHUNK = 50_000
_STEPS = 12  # Frank-Wolfe steps in each node
_CLOSE = 1e-9  # relative; a node that cannot improve by more than this is closed


class Subset(NamedTuple):
    """A subset of the families.

    Attributes:
        families: names of the chosen families.
        objective: the criterion of this subset.
        bound: no subset has a smaller criterion than this.
        models: number of models in the subset.
    """

    families: tuple[str, ...]
    objective: float
    bound: float
    models: int

    @property
    def proved(self) -> bool:
        """Whether it is proved that no better subset exists."""
        return self.objective <= self.bound * (1 + 1e-6)


class _Problem(NamedTuple):
    names: tuple[str, ...]
    gram: Float[np.ndarray, "family component component"]
    size: Int[np.ndarray, " family"]
    total: Float[np.ndarray, "component component"]
    budget: int
    limit: int


def objective(
    components: Float[np.ndarray, "lm component"],
    family: Sequence[str] | Shaped[np.ndarray, " lm"],
    chosen: Sequence[str],
) -> float:
    """tr(S'S (S_c'S_c)^-1) of the chosen families; infinite if they do not determine a prediction."""
    problem = _problem(components, family, len(family), None)
    x = np.isin(problem.names, list(chosen)).astype(float)
    return _value(problem, x)


def enumerate_subsets(
    components: Float[np.ndarray, "lm component"],
    family: Sequence[str] | Shaped[np.ndarray, " lm"],
    budget: int,
    max_families: int | None = None,
) -> Subset:
    """The best subset of at most `max_families` families with at most `budget` models, by enumeration.

    Args:
        components: principal components of the models [lm, component].
        family: family of each model [lm].
        budget: largest number of models in the subset.
        max_families: largest number of families; None for any.

    Raises: InputError for more than five million subsets, and if no subset within the budget determines a prediction.
    """
    problem = _problem(components, family, budget, max_families)
    order = range(len(problem.names))
    every = chain.from_iterable(combinations(order, r) for r in range(1, problem.limit + 1))
    total = sum(comb(len(problem.names), r) for r in range(1, problem.limit + 1))
    if total > _MAX_SUBSETS:
        raise InputError(
            f"expected at most {_MAX_SUBSETS} subsets to enumerate, found {total}; use search_subset, or "
            f"allow fewer families"
        )
    best, value = np.zeros(len(problem.names)), np.inf
    while chunk := [subset for subset, _ in zip(every, range(_CHUNK), strict=False)]:
        x = np.zeros((len(chunk), len(problem.names)))
        for row, subset in enumerate(chunk):
            x[row, list(subset)] = 1
        x = x[x @ problem.size <= budget]
        values = _values(problem, x)
        if len(values) and values.min() < value:
            best, value = x[values.argmin()], float(values.min())
    return _subset(problem, best, value, value)


def search_subset(
    components: Float[np.ndarray, "lm component"],
    family: Sequence[str] | Shaped[np.ndarray, " lm"],
    budget: int,
    max_families: int | None = None,
    max_nodes: int = 20_000,
) -> Subset:
    """As `enumerate_subsets`, by branch and bound that starts from a greedy subset improved by swaps.

    After `max_nodes` nodes the best subset so far is returned, with the bound that was proved.

    Raises: InputError if no subset within the budget determines a prediction.
    """
    problem = _problem(components, family, budget, max_families)
    best = _improved(problem, _greedy(problem))
    value = _value(problem, best)
    ticket = count()
    nothing = np.full(len(problem.names), -1)  # 1 in, 0 out, -1 open
    bound, split = _bound(problem, nothing)
    heap = [(bound, next(ticket), nothing, split)]
    for _ in range(max_nodes):
        if not heap or heap[0][0] >= value * (1 - _CLOSE):
            break
        _, _, state, split = heapq.heappop(heap)
        if split < 0:
            continue
        for side in (1, 0):
            child = state.copy()
            child[split] = side
            used = problem.size @ (child == 1)
            if used > budget or (child == 1).sum() > problem.limit:
                continue
            child[(child == -1) & (problem.size > budget - used)] = 0
            if (child == 1).sum() == problem.limit:
                child[child == -1] = 0
            here = (child == 1).astype(float)
            if (found := _value(problem, here)) < value:
                best, value = here, found
            bound, next_split = _bound(problem, child)
            if bound < value * (1 - _CLOSE) and next_split >= 0:
                heapq.heappush(heap, (bound, next(ticket), child, next_split))
    bound = min(value, heap[0][0]) if heap else value
    return _subset(problem, best, value, bound)


def _problem(
    components: np.ndarray, family: Sequence[str] | Shaped[np.ndarray, " lm"], budget: int, max_families: int | None
) -> _Problem:
    names, member = np.unique(np.asarray(family, dtype=str), return_inverse=True)
    gram = np.stack([components[member == f].T @ components[member == f] for f in range(len(names))])
    limit = len(names) if max_families is None else min(max_families, len(names))
    size = np.bincount(member)
    return _Problem(tuple(names.tolist()), gram, size, gram.sum(axis=0), budget, limit)


def _values(problem: _Problem, x: Float[np.ndarray, "subset family"]) -> Float[np.ndarray, " subset"]:
    """The criterion of each subset; infinite if its models do not span all components."""
    gram = np.tensordot(x, problem.gram, axes=1)
    width = gram.shape[-1]
    good = (x @ problem.size >= width) & (np.linalg.cond(gram) < 1e12)
    values = np.full(len(x), np.inf)
    if good.any():
        values[good] = np.trace(
            np.linalg.solve(gram[good], problem.total[None].repeat(good.sum(), 0)), axis1=1, axis2=2
        )
    return values


def _value(problem: _Problem, x: Float[np.ndarray, " family"]) -> float:
    return float(_values(problem, x[None])[0])


def _greedy(problem: _Problem) -> Float[np.ndarray, " family"]:
    """Add families one by one, always the one with the largest gain per model."""
    x = np.zeros(len(problem.names))
    while x.sum() < problem.limit:
        gram = np.tensordot(x, problem.gram, axes=1) + 1e-3 * problem.total
        inverse = np.linalg.inv(gram)
        now = np.trace(inverse @ problem.total)
        after = np.trace(np.linalg.solve(gram + problem.gram, problem.total[None].repeat(len(x), 0)), axis1=1, axis2=2)
        fits = (x == 0) & (problem.size <= problem.budget - x @ problem.size)
        if not fits.any():
            break
        x[np.where(fits, (now - after) / problem.size, -np.inf).argmax()] = 1
    return x


def _improved(problem: _Problem, x: Float[np.ndarray, " family"]) -> Float[np.ndarray, " family"]:
    """Add, drop or exchange one family as long as this improves the criterion."""
    value = _value(problem, x)
    while True:
        moves = [x.copy() for _ in range(len(x))]
        for f, move in enumerate(moves):
            move[f] = 1 - move[f]
        for one in np.flatnonzero(x == 1):
            for other in np.flatnonzero(x == 0):
                move = x.copy()
                move[one], move[other] = 0, 1
                moves.append(move)
        tried = np.array(moves)
        tried = tried[(tried @ problem.size <= problem.budget) & (tried.sum(axis=1) <= problem.limit)]
        values = _values(problem, tried)
        if not len(values) or values.min() >= value - abs(value if np.isfinite(value) else 0.0) * _CLOSE:
            return x
        x, value = tried[values.argmin()], float(values.min())


def _bound(problem: _Problem, state: Int[np.ndarray, " family"]) -> tuple[float, int]:
    """A lower bound for all subsets with this state, and the open family to decide next (-1 if none is open)."""
    fixed = (state == 1).astype(float)
    free = np.flatnonzero(state == -1)
    if not len(free):
        return _value(problem, fixed), -1
    left = problem.budget - fixed @ problem.size
    x = fixed.copy()
    x[free] = min(1.0, left / problem.size[free].sum())
    tiny = 1e-12 * np.trace(problem.total) * np.eye(len(problem.total))
    best = -np.inf
    for step in range(_STEPS):
        inverse = np.linalg.inv(np.tensordot(x, problem.gram, axes=1) + tiny)
        gain = np.tensordot(
            problem.gram, inverse @ problem.total @ inverse, axes=([1, 2], [0, 1])
        )  # minus the gradient
        y = fixed.copy()
        order = free[np.argsort(-gain[free] / problem.size[free], kind="stable")]
        before = np.concatenate([[0], np.cumsum(problem.size[order])[:-1]])
        y[order] = np.clip((left - before) / problem.size[order], 0.0, 1.0)
        best = max(best, float(np.trace(inverse @ problem.total) - gain @ (y - x)))
        x = x + 2 / (step + 3) * (y - x)
    return best, int(free[np.argmin(np.abs(x[free] - 0.5))])


def _subset(problem: _Problem, x: np.ndarray, value: float, bound: float) -> Subset:
    if not np.isfinite(value):
        raise InputError(
            f"expected families with up to {problem.budget} models that determine {len(problem.total)} components, "
            f"found none; allow more models or fewer components"
        )
    names = tuple(name for name, chosen in zip(problem.names, x, strict=True) if chosen)
    return Subset(names, value, bound, int(x @ problem.size))
