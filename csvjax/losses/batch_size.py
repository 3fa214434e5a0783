"""Chooses the number of tokens in a batch on each device, for the speed and the memory of the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture

__all__ = ["PLAIN", "device_memory", "fit_memory", "grow", "seconds_of"]

PLAIN = 2048  # tokens on a CPU; of 512 to 16,384 tokens on two cores, 1,024 and 2,048 were fastest, by 8 to 20 %
_START, _GROWTH = 16_384, 4
_GAIN = 1.05  # factor in tokens/s for which a larger batch is used
_SHARE = 0.8  # share of the memory of a device for batches and weights


def device_memory(architecture: Architecture, batch: int, context: int, dtype: str) -> int:
    """Bytes on a device: weights, and for one batch the states, hidden layer of the MLP, scores and logits.

    Of a mixture of experts there is a copy of the matrices of one expert, and its hidden layer for few tokens.
    """
    weights = (
        architecture.params
        + architecture.head_params * (1 if architecture.tied else 2)
        + architecture.learned_positions * architecture.width
    )
    rows = architecture.heads * architecture.head_width
    mixtures = [layer.experts for layer in architecture.layers if layer.experts is not None]
    hidden = [architecture.hidden] if len(mixtures) < len(architecture.layers) else []
    widest = max(hidden + [experts.shared for experts in mixtures], default=0)
    weights += 3 * architecture.width * max((experts.hidden for experts in mixtures), default=0)
    states = batch * (3 * architecture.width + 3 * rows + (3 if architecture.gated else 2) * widest)
    scores = 2 * max(1, batch // context) * architecture.heads * min(256, context) * context
    return weights * jnp.dtype(dtype).itemsize + 4 * (states + scores + 2 * 2048 * 4096)


def fit_memory(batch: int, window: int, memory: int | None, needed: Callable[[int], int]) -> int:
    """Halve the batch until it fits into memory; it has at least one window.

    Args:
        batch: tokens in the batch.
        window: tokens in a window.
        memory: bytes on each device; None for 0.8 of what the device reports.
        needed: bytes that a batch needs.

    Raises: InputError if one window does not fit into a given `memory`.
    """
    limit: float = math.inf
    if memory is not None:
        limit = memory
    elif stats := jax.local_devices()[0].memory_stats():
        limit = stats.get("bytes_limit", math.inf) * _SHARE
    while batch > window and needed(batch) > limit:
        batch = max(window, batch // 2)
    if memory is not None and needed(max(batch, window)) > memory:
        raise InputError(
            f"expected --memory of at least {needed(window) / 2**30:.3f} GiB for one window of {window} tokens, found "
            f"{memory / 2**30:.3f} GiB; give more memory, a shorter --context, or more --model-devices"
        )
    return batch


def grow(seconds: Callable[[int], float], largest: int) -> int:
    """The smallest batch for which a larger one, up to `largest`, is not at least 5 % faster.

    Args:
        seconds: time of a batch with this number of tokens; infinite if it does not run.
        largest: largest batch to try, in tokens.
    """
    best = min(_START, largest)
    while (took := seconds(best)) == math.inf and best > 1:  # less memory than expected
        best //= 2
    speed = best / took
    while best * _GROWTH <= largest:
        faster = best * _GROWTH / seconds(best * _GROWTH)
        if faster <= _GAIN * speed:
            break
        best, speed = best * _GROWTH, faster
    return best


def seconds_of(step: Callable[[], jax.Array]) -> float:
    """Seconds of a compiled step, the better of two; infinite if the device has too little memory."""
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
