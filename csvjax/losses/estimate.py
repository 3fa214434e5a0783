"""What an extraction will take, before it is run: tokens, memory, time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from csvjax.lms.architecture import Architecture
from csvjax.losses.batch_size import PLAIN, device_memory
from csvjax.losses.batches import choose_shapes
from csvjax.losses.plan import Options, Task

__all__ = ["Estimate", "estimate", "matmul_speed"]

_SHARE = 0.6  # of the speed of plain matrix products; the rest goes to softmax, norms and padding


@dataclass(frozen=True)
class Estimate:
    """`scored`: tokens that get a loss; `read`: tokens that the model sees for it; `bytes`: weights, activations and
    logits on each device; `seconds`: at `_SHARE` of the speed of matrix products of this machine."""

    scored: int
    windows: int
    read: int
    bytes: int
    seconds: float


def matmul_speed(dtype: str = "float32", size: int = 1024) -> float:
    """FLOP/s of a product of two square matrices on one device, the best of three.

    The precision is that of the model's products: the platform's own choice for float32 has fewer bits on a GPU and a
    TPU, and would promise several times the speed.
    """
    a = jnp.ones((size, size), jnp.dtype(dtype))
    product = jax.jit(partial(jnp.matmul, precision="highest"))
    product(a, a).block_until_ready()
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _flops(shape: Architecture, read: int, context: int) -> float:
    attention = 2 * len(shape.layers) * shape.heads * shape.head_width * context  # half of the full square
    return read * (2.0 * (shape.params + shape.head_params) + attention)


def estimate(task: Task, options: Options, speed: float) -> Estimate:
    """What a model's part of an extraction will take, from the first token on, at `speed` FLOP/s of one device."""
    batch = options.batch or PLAIN
    lengths = np.asarray(choose_shapes(task.windows[:, 2], task.context, batch).lengths)
    read = int(lengths[np.searchsorted(lengths, task.windows[:, 2])].sum())
    scored = int((task.windows[:, 2] - task.windows[:, 3]).sum())
    shape = task.lm.shape
    seconds = _flops(shape, read, task.context) / (_SHARE * speed * jax.device_count())
    return Estimate(
        scored,
        len(task.windows),
        read,
        device_memory(shape, batch, task.context, options.dtype) // options.model,
        seconds,
    )
