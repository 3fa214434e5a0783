"""Causal attention: the platform's fused kernel where it has one, blocks of queries elsewhere."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float

from csvjax.lms.blocked_attention import blocked
from csvjax.lms.fused_attention import cudnn, fused_kernel, splash

__all__ = ["attend"]


def attend(
    query: Float[Array, "b t n h"],
    key: Float[Array, "b t m h"],
    value: Float[Array, "b t m h"],
    scale: float = 1.0,
    window: int | None = None,
    cap: float | None = None,
    valid: Bool[Array, "b t"] | None = None,
    dtype: DTypeLike = jnp.float32,
    slopes: tuple[float, ...] | None = None,
) -> Float[Array, "b t n h"]:
    """softmax(cap(scale query . key)) value over the keys on the left: the last `window` of them, or all.

    Head i of the queries reads head i // (n / m) of keys and values. Scores and softmax are float32, products are of
    `dtype`. `valid`: keys that may be read. `slopes`: for each head, what a score loses with each token between. The
    result is float32 from blocks, and of `dtype` from a fused kernel.
    """
    match fused_kernel(query.shape[1], query.shape[3], cap, valid is not None or slopes is not None, dtype):
        case "cudnn":
            return cudnn(query.astype(dtype), key.astype(dtype), value.astype(dtype), scale, window)
        case "splash":
            return splash((query * scale).astype(dtype), key.astype(dtype), value.astype(dtype), window, cap)
    return blocked(
        (query * scale).astype(dtype), key.astype(dtype), value.astype(dtype), window, cap, valid, slopes=slopes
    )
