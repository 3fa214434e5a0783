"""Algebra of many small positive definite matrices, in plain array operations.

The batched LAPACK kernels of jaxlib 0.10 wait for the thread pool that they run on: two of them at once on two cores
wait for each other for ever (deadlock). The matrices here have at most about twenty rows, so sweeps over whole batches
are as fast, and their derivatives need only products.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["inverse", "lower_root"]


@jax.custom_jvp
def inverse(a: Float[Array, "*batch n n"]) -> tuple[Float[Array, "*batch n n"], Float[Array, "*batch"]]:
    """A^-1 and log det A of positive definite matrices, by the sweep operator (Goodnight 1979, Am. Stat. 33, 149)."""
    n = a.shape[-1]
    if not n:
        return a, jnp.zeros(a.shape[:-2], a.dtype)

    def sweep(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        a, log_det = carry
        here = jnp.arange(n) == k
        column = a[..., :, k]
        pivot = column[..., k]
        scaled = column / pivot[..., None]
        swept = a - column[..., :, None] * scaled[..., None, :]
        swept = jnp.where(here[:, None], scaled[..., None, :], jnp.where(here, scaled[..., :, None], swept))
        swept = jnp.where(here[:, None] & here, -1 / pivot[..., None, None], swept)
        return swept, log_det + jnp.log(pivot)

    swept, log_det = jax.lax.fori_loop(0, n, sweep, (a, jnp.zeros(a.shape[:-2], a.dtype)))
    return -swept, log_det


@inverse.defjvp
def _inverse_jvp(primals: tuple, tangents: tuple) -> tuple:
    found, log_det = inverse(*primals)
    change = found @ tangents[0]
    return (found, log_det), (-change @ found, jnp.trace(change, axis1=-2, axis2=-1))


def lower_root(a: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """L, lower triangular with L L' = A, of positive definite matrices: Cholesky's algorithm, column by column."""
    n = a.shape[-1]

    def column(k: Array, root: Array) -> Array:
        at = (jnp.arange(n) == k).astype(a.dtype)
        rest = a @ at - jnp.einsum("...ij,...j->...i", root, root[..., k, :])
        pivot = jnp.sqrt(jnp.sum(rest * at, axis=-1, keepdims=True))
        below = jnp.where(jnp.arange(n) >= k, rest / pivot, 0.0)
        return root + below[..., :, None] * at

    return jax.lax.fori_loop(0, n, column, jnp.zeros_like(a))
