"""Causal attention in blocks of queries: no block reads keys that none of its queries may see."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float

__all__ = ["attend"]

_BLOCK = 256
_MASKED = -1e30


def attend(
    query: Float[Array, "b t n h"],
    key: Float[Array, "b t m h"],
    value: Float[Array, "b t m h"],
    window: int | None = None,
    cap: float | None = None,
    valid: Bool[Array, "b t"] | None = None,
    dtype: DTypeLike = jnp.float32,
    block: int = _BLOCK,
) -> Float[Array, "b t n h"]:
    """softmax(cap(query . key)) value over the keys on the left: the last `window` of them, or all.

    Head i of the queries reads head i // (n / m) of keys and values. Scores and softmax are float32, products are of
    `dtype`. `valid`: keys that may be read. A block of queries meets the keys up to its own end only: half the products
    of the full square, and the largest array is [b, n, block, t].
    """
    batch, length, heads, width = query.shape
    groups = key.shape[2]
    query = query.reshape(batch, length, groups, heads // groups, width).astype(dtype)
    key, value = key.astype(dtype), value.astype(dtype)
    parts = []
    for start in range(0, length, block):
        end = min(start + block, length)
        first = 0 if window is None else max(0, start - window + 1)
        scores = jnp.einsum(
            "bqgnh,bkgh->bgnqk",
            query[:, start:end],
            key[:, first:end],
            preferred_element_type=jnp.float32,
            precision="highest",
        )
        if cap is not None:
            scores = cap * jnp.tanh(scores / cap)
        q, k = jnp.arange(start, end)[:, None], jnp.arange(first, end)[None, :]
        seen = k <= q if window is None else (k <= q) & (k > q - window)
        if valid is not None:
            seen = seen & valid[:, None, None, None, first:end]
        weight = jax.nn.softmax(jnp.where(seen, scores, _MASKED), axis=-1).astype(dtype)
        mixed = jnp.einsum(
            "bgnqk,bkgh->bqgnh",
            weight,
            value[:, first:end],
            preferred_element_type=jnp.float32,
            precision="highest",
        )
        parts.append(mixed.reshape(batch, end - start, heads, width))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)
