"""csvjax's forward pass and cross-entropy, on request, one line in and one line out; run by `benchmarks.extraction`.

    python -m benchmarks.peers.flax_forward FOLDER B T DEVICES

Says the FLOPs of a batch, reads its tokens as JSON, then answers `run` with seconds, `matmul` with the FLOP/s of plain
products, and anything else with the peak of memory in bytes and the mean loss.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from csvjax.lms.checkpoint import read_config
from csvjax.lms.devices import make_mesh, place_batch, place_weights
from csvjax.lms.families import make_architecture
from csvjax.lms.fill import fill
from csvjax.lms.tensors import SafeTensors, find_weights
from csvjax.losses.nll import scorer


def serve(folder: Path, batch: int, length: int, devices: int) -> None:
    assert jax.device_count() == devices
    mesh = make_mesh()
    shape = make_architecture(read_config(folder))
    model = fill(shape, SafeTensors(find_weights(folder)), jnp.float32, place_weights(mesh))
    score, place = scorer(model), place_batch(mesh)
    flops = 2 * batch * length * (shape.params + shape.head_params)
    flops += 2 * batch * length**2 * shape.heads * shape.head_width * len(shape.layers)  # the half that is seen
    print(flops, flush=True)
    tokens = np.asarray(json.loads(sys.stdin.readline()), np.int32)
    mean = 0.0
    for line in sys.stdin:
        if line.strip() == "run":
            start = time.perf_counter()
            losses = np.asarray(score(place(tokens[:, :-1]), place(tokens[:, 1:])))
            print(time.perf_counter() - start, flush=True)
            mean = float(losses.mean())
        elif line.strip() == "matmul":
            print(
                max(plain(batch * length, k, n) for k, n in ((shape.width, shape.hidden), (shape.hidden, shape.width)))
            )
            sys.stdout.flush()
        else:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, mean, flush=True)


def plain(m: int, k: int, n: int, rounds: int = 3) -> float:
    """FLOP/s of one product [m, k] @ [k, n], the best of some."""
    key = jax.random.key(0)
    a, b = jax.random.normal(key, (m, k)), jax.random.normal(key, (k, n))
    product: Callable[..., jax.Array] = jax.jit(jnp.matmul)
    product(a, b).block_until_ready()
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        product(a, b).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * m * k * n / best


if __name__ == "__main__":
    serve(Path(sys.argv[1]), *map(int, sys.argv[2:]))
