"""One no-U-turn sampler on the density of a table of the law, in a process of its own.

    python -m benchmarks.peers.samplers csvjax|nutpie|blackjax LMS BENCHMARKS FAMILIES CHAINS WARMUP DRAWS OUT

Writes the draws [chain, draw, n] to OUT and prints CPU seconds, warm-up (and for csvjax the search of the mode)
included and compilation excluded, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.law_table import law_table

Target = Callable[[jax.Array], jax.Array]
Timed = tuple[np.ndarray, float]


def csvjax(density: Any, e: Any, chains: int, warmup: int, draws: int) -> Timed:
    from csvjax.infer import Nuts, fit

    method = Nuts(chains=chains, warmup=warmup, draws=draws, block=warmup + draws)
    fit(density, e, method, jax.random.key(0))  # compiles
    began = time.process_time()
    found = fit(density, e, method, jax.random.key(1))
    return found.x, time.process_time() - began


def nutpie(density: Any, e: Any, chains: int, warmup: int, draws: int) -> Timed:
    import nutpie as peer

    slope = jax.jit(jax.value_and_grad(lambda x: -density.potential(x, e)))
    n = len(density.start(jax.random.key(0), e))

    def log_density(x: np.ndarray) -> tuple[float, np.ndarray]:
        with jax.enable_x64(True):  # a setting of the thread
            value, grad = slope(x)
        return float(value), np.asarray(grad)

    log_density(np.zeros(n))  # compiles
    model = peer.compiled_pyfunc.from_pyfunc(
        n, lambda: log_density, lambda *seed: lambda x: {"x": x}, [np.dtype("float64")], [(n,)], ["x"]
    )
    began = time.process_time()
    found = peer.sample(model, draws=draws, tune=warmup, chains=chains, cores=1, seed=1, progress_bar=False)
    used = time.process_time() - began
    return np.asarray(found.posterior["x"]), used


def blackjax(density: Any, e: Any, chains: int, warmup: int, draws: int) -> Timed:
    import blackjax as peer

    def target(x: jax.Array) -> jax.Array:
        return -density.potential(x, e)

    def chain(key: jax.Array) -> jax.Array:
        key_start, key_warm, key_draws = jax.random.split(key, 3)
        adapt = peer.window_adaptation(peer.nuts, target)
        (state, parameters), _ = adapt.run(key_warm, 0.5 * density.start(key_start, e), warmup)
        step = peer.nuts(target, **parameters).step
        return jax.lax.scan(lambda s, k: (step(k, s)[0],) * 2, state, jax.random.split(key_draws, draws))[1].position

    run = jax.jit(chain).lower(jax.random.key(0)).compile()
    began = time.process_time()
    each = [np.asarray(run(key)) for key in jax.random.split(jax.random.key(1), chains)]
    return np.stack(each), time.process_time() - began


def main() -> None:
    name, *numbers, out = sys.argv[1:]
    lms, benchmarks, families, chains, warmup, draws = map(int, numbers)
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    sampler = {"csvjax": csvjax, "nutpie": nutpie, "blackjax": blackjax}[name]
    density, e = law_table(lms, benchmarks, families, 1)
    x, seconds = sampler(density, e, chains, warmup, draws)
    potential = float(jnp.mean(jax.jit(jax.vmap(density.potential, (0, None)))(x[:, -1], e)))
    np.save(out, x)
    print(json.dumps({"cpu_seconds": seconds, "potential_at_the_end": potential}))


if __name__ == "__main__":
    main()
