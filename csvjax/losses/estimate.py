"""Estimates tokens, memory and time of an extraction before it runs."""

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
from csvjax.losses.plan import Job, LossOptions

__all__ = ["Estimate", "estimate", "matmul_speed"]

_SHARE = 0.6  # share of the speed of plain matrix products; the rest is softmax, norms and padding


@dataclass(frozen=True)
class Estimate:
    """The expected cost of scoring the text with one model.

    Attributes:
        scored: number of tokens that get a loss.
        windows: number of windows.
        read: number of tokens that the model reads.
        bytes: weights, activations and logits on each device.
        seconds: time at 0.6 of the speed of matrix products on this machine.
    """

    scored: int
    windows: int
    read: int
    bytes: int
    seconds: float


def matmul_speed(dtype: str = "float32", size: int = 1024) -> float:
    """FLOP/s of a product of two square matrices on one device, the best of three.

    The precision is that of the products of a model. The default for float32 has fewer bits on a GPU or a TPU, and is
    several times faster.
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


def _flops(architecture: Architecture, read: int, context: int) -> float:
    attention = (
        2 * len(architecture.layers) * architecture.heads * architecture.head_width * context
    )  # half of the full square
    return read * (2.0 * (architecture.active_params + architecture.head_params) + attention)


def estimate(job: Job, options: LossOptions, speed: float) -> Estimate:
    """The cost of one model from the first token on, at `speed` FLOP/s of one device."""
    batch = options.batch or PLAIN
    lengths = np.asarray(choose_shapes(job.windows[:, 2], job.context, batch).lengths)
    read = int(lengths[np.searchsorted(lengths, job.windows[:, 2])].sum())
    scored = int((job.windows[:, 2] - job.windows[:, 3]).sum())
    architecture = job.lm.architecture
    seconds = _flops(architecture, read, job.context) / (_SHARE * speed * jax.device_count())
    return Estimate(
        scored,
        len(job.windows),
        read,
        device_memory(architecture, batch, job.context, options.dtype) // options.model,
        seconds,
    )
