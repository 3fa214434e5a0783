"""Chains of a sampler as jobs, one for each chain: what a job carries, and what comes back.

A job is the program that runs a chain in this process, on the same state, so its draws are the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from csvjax.cluster import Lost, Tell, Where, run_all
from csvjax.errors import InputError
from csvjax.infer.chain_files import is_key
from csvjax.infer.chains import one_chain
from csvjax.law.density import Density
from csvjax.precision import float64
from csvjax.programs import NotKeepable, described

__all__ = ["as_tasks"]


class _Key(NamedTuple):
    """A random key as numbers, because arrays of JAX would start it in a process before it knows its threads."""

    data: np.ndarray
    kind: str


class _Job(NamedTuple):
    density: Density
    method: Any
    data: Any
    state: Any
    draws: int


def as_tasks(
    where: Where,
    density: Density,
    method: Any,
    data: Any,
    states: Any,
    draws: int,
) -> tuple[Any, dict[str, Array]]:
    """The states after some draws, and what the draws keep, both [chain, ...].

    Args:
        where: where the jobs run.
        density, method, data: the same for all chains.
        states: the states of the chains [chain, ...].
        draws: the number of draws.

    Raises: InputError if a chain is lost each time that it runs.
    """
    shared = density, method, jax.device_get(data)
    jobs = [_Job(*shared, jax.tree.map(lambda a, c=c: _plain(a[c]), states), draws) for c in range(method.chains)]
    found = dict(run_all(jobs, _work, where))
    for chain, result in found.items():
        if isinstance(result, Lost):
            raise InputError(
                f"expected {len(jobs)} chains, found that chain {chain + 1} was lost: {result.reason}; run the same "
                "command again, or leave out --cluster"
            )
    ended = [jax.tree.map(_dressed, found[c], is_leaf=_is_plain) for c in range(len(jobs))]
    return jax.tree.map(lambda *each: jnp.stack(each), *ended)


@float64
def _work(job: _Job, tell: Tell) -> Any:
    state = jax.tree.map(_dressed, job.state, is_leaf=_is_plain)
    ended = one_chain(_known(job.density), job.method, job.data, state, job.draws)
    return jax.tree.map(_plain, ended)


_densities: dict[str, Density] = {}


def _known(density: Density) -> Density:
    """The density of an earlier job if it is the same, so that a process compiles its program once."""
    try:
        return _densities.setdefault(described(density), density)
    except NotKeepable:
        return density


def _is_plain(value: Any) -> bool:
    return isinstance(value, _Key)


def _plain(leaf: Any) -> Any:
    if is_key(leaf):
        return _Key(np.asarray(jax.random.key_data(leaf)), str(jax.random.key_impl(leaf)))
    return np.asarray(leaf)


def _dressed(leaf: Any) -> Any:
    return (
        jax.random.wrap_key_data(jnp.asarray(leaf.data), impl=leaf.kind)
        if isinstance(leaf, _Key)
        else jnp.asarray(leaf)
    )
