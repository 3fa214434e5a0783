"""Causal attention: the fused kernel of the platform if there is one, otherwise blocks of queries."""

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
    """softmax(cap(scale query . key)) value, over the keys to the left.

    Head i of the queries reads head i // (n / m) of keys and values. Scores and softmax are float32.

    Args:
        query, key, value: the heads.
        scale: factor of scores.
        window: number of last keys that are read; None for all.
        cap: soft cap of scores.
        valid: keys that may be read.
        dtype: type of products.
        slopes: by how much a score falls with each token of distance, for each head.

    Returns: float32 from blocks, `dtype` from a fused kernel.
    """
    match fused_kernel(query.shape[1], query.shape[3], cap, valid is not None or slopes is not None, dtype):
        case "cudnn":
            return cudnn(query.astype(dtype), key.astype(dtype), value.astype(dtype), scale, window)
        case "splash":
            return splash((query * scale).astype(dtype), key.astype(dtype), value.astype(dtype), window, cap)
    return blocked(
        (query * scale).astype(dtype), key.astype(dtype), value.astype(dtype), window, cap, valid, slopes=slopes
    )
