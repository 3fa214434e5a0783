"""Causal attention in blocks of queries, with programs whose size does not depend on the length of the text."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["blocked"]

_BLOCK = 256
_PARTS = 8  # a block reads the keys up to the end of its eighth of the text, in total 9/16 of the full square
_MASKED = -1e30


def blocked(
    query: Float[Array, "b t n h"],
    key: Float[Array, "b t m h"],
    value: Float[Array, "b t m h"],
    window: int | None = None,
    cap: float | None = None,
    valid: Bool[Array, "b t"] | None = None,
    block: int = _BLOCK,
    slopes: tuple[float, ...] | None = None,
) -> Float[Array, "b t n h"]:
    """softmax(cap(query . key)) value, as in `csvjax.lms.attention`. Products have the arrays' type, sums float32.

    The largest array is [b, n, block, t], or [b, n, block, block + window] if this is smaller.
    """
    length = query.shape[1]
    blocks = -(-length // block)
    if window is not None and window + block < length:
        return _sliding(query, key, value, window, cap, valid, block, slopes)
    size = -(-blocks // _PARTS) * block  # queries in a part
    parts = []
    for start in range(0, length, size):
        end = min(start + size, length)
        seen = None if valid is None else valid[:, :end]
        parts.append(_part(query[:, start:end], key[:, :end], value[:, :end], start, window, cap, seen, block, slopes))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)


def _part(
    query: Array,
    key: Array,
    value: Array,
    start: int,
    window: int | None,
    cap: float | None,
    valid: Array | None,
    b: int,
    slopes: tuple[float, ...] | None,
) -> Array:
    """Attention of the queries from `start` on, `b` at a time, over all given keys."""
    if query.shape[1] <= b:
        return _mix(query, key, value, start, 0, window, cap, valid, slopes)

    def one(first: Array) -> Array:
        return _mix(_cut(query, first, b), key, value, start + first, 0, window, cap, valid, slopes)

    return _in_turn(one, query, b)


def _sliding(
    query: Array,
    key: Array,
    value: Array,
    window: int,
    cap: float | None,
    valid: Array | None,
    block: int,
    slopes: tuple[float, ...] | None,
) -> Array:
    """Attention in blocks that read only the `window - 1` keys before them and their own keys."""
    before = window - 1
    size = before + block
    # Keys that pad the first blocks have negative positions.
    key, value = (jnp.pad(x, ((0, 0), (before, 0), (0, 0), (0, 0))) for x in (key, value))
    there = None if valid is None else jnp.pad(valid, ((0, 0), (before, 0)))

    def one(first: Array) -> Array:
        keys, values = _cut(key, first, size), _cut(value, first, size)
        seen = None if there is None else _cut(there, first, size)
        return _mix(_cut(query, first, block), keys, values, first, first - before, window, cap, seen, slopes)

    return _in_turn(one, query, block)


def _cut(x: Array, first: Array, size: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(x, first, size, axis=1)


def _in_turn(one: Callable[[Array], Array], query: Array, block: int) -> Array:
    """`one(start)` for every block of queries; the last block starts early enough to be full."""
    batch, length, heads, width = query.shape
    blocks = -(-length // block)
    found = jax.lax.map(one, jnp.minimum(jnp.arange(blocks) * block, length - block))
    whole = found[: length // block].swapaxes(0, 1).reshape(batch, -1, heads, width)
    return whole if length % block == 0 else jnp.concatenate([whole, found[-1][:, -(length % block) :]], axis=1)


def _mix(
    query: Array,
    key: Array,
    value: Array,
    first_query: int | Array,
    first_key: int | Array,
    window: int | None,
    cap: float | None,
    valid: Array | None,
    slopes: tuple[float, ...] | None,
) -> Float[Array, "b q n h"]:
    batch, length, heads, width = query.shape
    groups = key.shape[2]
    scores = jnp.einsum(
        "bqgnh,bkgh->bgnqk",
        query.reshape(batch, length, groups, heads // groups, width),
        key,
        preferred_element_type=jnp.float32,
        precision="highest",
    )
    if cap is not None:
        scores = cap * jnp.tanh(scores / cap)
    q, k = first_query + jnp.arange(length)[:, None], first_key + jnp.arange(key.shape[1])[None, :]
    if slopes is not None:
        scores = scores + jnp.asarray(slopes, jnp.float32).reshape(groups, -1, 1, 1) * (k - q)
    seen = (k <= q) & (k >= 0)
    if window is not None:
        seen = seen & (k > q - window)
    if valid is not None:
        seen = seen & valid[:, None, None, None, :]
    weight = jax.nn.softmax(jnp.where(seen, scores, _MASKED), axis=-1).astype(value.dtype)
    mixed = jnp.einsum("bgnqk,bkgh->bqgnh", weight, value, preferred_element_type=jnp.float32, precision="highest")
    return mixed.reshape(batch, length, heads, width)
