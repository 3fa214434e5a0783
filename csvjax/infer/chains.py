"""The programs that advance chains of the no-U-turn sampler, and the ways to run them in one process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.hmc_util import HMCAdaptState
from numpyro.infer.util import ParamInfo

from csvjax.compiled import jit_by_size
from csvjax.infer.map import Optimum
from csvjax.law.density import Density
from csvjax.programs import keepable

__all__ = ["begin", "one_by_one", "one_chain", "parallel"]

keepable(HMCState)
keepable(HMCAdaptState)


def _kernel(density: Density, method: Any, data: tuple[Optimum, Any], key: Array) -> tuple[Any, Callable[..., Any]]:
    """The first state of a chain, and the function from state to state, which exists only after the first state."""

    def potential_of(optimum: Optimum, data: Any) -> Callable[[Array], Array]:
        return lambda z: density.potential(optimum.x + optimum.metric @ z, data)

    init, sample = hmc(potential_fn_gen=potential_of, algo="NUTS")
    none = jnp.zeros_like(data[0].x)
    state = init(
        ParamInfo(none, data[0].potential, none),
        method.warmup,
        step_size=0.5,
        dense_mass=method.mass == "dense",
        target_accept_prob=method.target,
        max_tree_depth=(min(method.warmup_tree, method.tree), method.tree),
        model_args=data,
        rng_key=key,
    )
    return state, sample


@partial(jax.jit, static_argnames=("density", "method"))
def begin(density: Density, method: Any, data: tuple[Optimum, Any], keys: Array) -> Any:
    """The first state of each chain [chain, ...], at the mode."""
    return jax.vmap(lambda key: _kernel(density, method, data, key)[0])(keys)


def _chain(density: Density, method: Any, data: Any, state: Any, draws: int) -> tuple[Any, dict[str, Array]]:
    _, sample = _kernel(density, method, data, jax.random.key(0))

    def step(state: Any, _: None) -> tuple[Any, dict[str, Array]]:
        state = sample(state, data, {})
        kept = {"z": state.z, "diverging": state.diverging, "steps": state.num_steps}
        return state, kept | {"potential": state.potential_energy, "step_size": state.adapt_state.step_size}

    return jax.lax.scan(step, state, None, draws)


# Each draw takes dozens of gradients, so it pays to compile with full optimisation.
one_chain = jit_by_size(_chain, small=0, static=("density", "method", "draws"))


def one_by_one(density: Density, method: Any, data: Any, states: Any, draws: int) -> tuple[Any, dict[str, Array]]:
    """One chain after the other: on a CPU, chains under vmap would all wait for the longest trajectory."""
    each = [
        one_chain(density, method, data, jax.tree.map(lambda a, c=c: a[c], states), draws) for c in range(method.chains)
    ]
    return jax.tree.map(lambda *a: jnp.stack(a), *each)


@partial(jax.jit, static_argnames=("density", "method", "draws"))
def parallel(density: Density, method: Any, data: Any, states: Any, draws: int) -> tuple[Any, dict[str, Array]]:
    """Chains in parallel on the available devices; chains on one device run in lockstep."""
    devices = max(d for d in range(1, jax.local_device_count() + 1) if method.chains % d == 0)
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()[:devices]), ("chain",))
    here = method.chains // devices

    def block(states: Any, data: Any) -> Any:
        if here > 1 and jax.default_backend() == "cpu":
            return jax.lax.map(lambda state: _chain(density, method, data, state, draws), states)
        if here > 1:
            return jax.vmap(lambda state: _chain(density, method, data, state, draws))(states)
        found = _chain(density, method, data, jax.tree.map(lambda a: a[0], states), draws)
        return jax.tree.map(lambda a: a[None], found)

    chain, same = PartitionSpec("chain"), PartitionSpec()
    mapped = jax.shard_map(block, mesh=mesh, in_specs=(chain, same), out_specs=chain, check_vma=False)
    return mapped(states, data)
