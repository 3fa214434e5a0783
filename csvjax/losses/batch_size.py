"""How many tokens a batch holds on each device: what the device asks for, within its memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture

__all__ = ["PLAIN", "device_memory", "fit_memory", "grow", "seconds_of"]

PLAIN = 2048  # tokens, for a CPU: of 512 to 16,384 tokens on two cores 1,024 and 2,048 were fastest, by 8 to 20 %
_START, _GROWTH = 16_384, 4
_GAIN = 1.05  # tokens/s that a larger batch must bring, or it stays
_SHARE = 0.8  # of a device's memory that batches and weights may take


def device_memory(shape: Architecture, batch: int, context: int, dtype: str) -> int:
    """Bytes on a device: weights, and what lives in a block for one batch: states, the wide side of the MLP, a block of
    scores, logits."""
    weights = shape.params + shape.head_params * (1 if shape.tied else 2) + shape.learned_positions * shape.width
    rows = shape.heads * shape.head_width
    states = batch * (3 * shape.width + 3 * rows + (3 if shape.gated else 2) * shape.hidden)
    scores = 2 * max(1, batch // context) * shape.heads * min(256, context) * context
    return weights * jnp.dtype(dtype).itemsize + 4 * (states + scores + 2 * 2048 * 4096)


def fit_memory(batch: int, window: int, memory: int | None, needed: Callable[[int], int]) -> int:
    """The batch, halved until `needed(batch)` bytes are within `memory`, though it holds one window at least.

    Without `memory` it is what the devices of this machine say they have, less a share for what is not foreseen.
    Raises: InputError if not even one window is within a `memory` that is given.
    """
    room: float = math.inf
    if memory is not None:
        room = memory
    elif stats := jax.local_devices()[0].memory_stats():
        room = stats.get("bytes_limit", math.inf) * _SHARE
    while batch > window and needed(batch) > room:
        batch = max(window, batch // 2)
    if memory is not None and needed(max(batch, window)) > memory:
        raise InputError(
            f"expected --memory of at least {needed(window) / 2**30:.3f} GiB for one window of {window} tokens, found "
            f"{memory / 2**30:.3f} GiB; give more, a shorter --context, or more --model-devices"
        )
    return batch


def grow(seconds: Callable[[int], float], largest: int) -> int:
    """The smallest batch that a larger one, up to `largest`, does not beat by `_GAIN` in tokens/s.

    `seconds`: of a batch of so many tokens; infinite where it does not run.
    """
    best = min(_START, largest)
    while (took := seconds(best)) == math.inf and best > 1:  # less memory than was foreseen
        best //= 2
    speed = best / took
    while best * _GROWTH <= largest:
        faster = best * _GROWTH / seconds(best * _GROWTH)
        if faster <= _GAIN * speed:
            break
        best, speed = best * _GROWTH, faster
    return best


def seconds_of(step: Callable[[], jax.Array]) -> float:
    """Seconds of a step once it is compiled, the better of two; infinite where the device has too little memory."""
    try:
        step().block_until_ready()
        times = []
        for _ in range(2):
            start = time.perf_counter()
            step().block_until_ready()
            times.append(time.perf_counter() - start)
        return min(times)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return math.inf
