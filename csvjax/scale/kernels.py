"""The two products that salience consists of, for a chunk of units in its memory layout.

    sums[m, k]  = sum_u loss[m, u] weight[k, u]          forward
    pull[k, u]  = sum_m slope[m, k] loss[m, u]           backward

float32 losses are flat, [lm, unit]: each product is one matrix product, which runs at the speed of memory. 16-bit
losses lie in tiles [run, tile, lm, lane] of `TILES` x `LANES` units. On a CPU their conversion is then part of the
loop that multiplies; for a matrix product, XLA would write the converted losses to memory first and read them again.
Weights are always float32, because float16 cannot represent a weight of 1e-7.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from csvjax.types import AnyArray

__all__ = ["LANES", "TILES", "backward", "forward", "to_tiles", "units_of"]

TILES, LANES = 8, 64
_TOGETHER = 5  # rows of losses in one loop; with more the loop waits for memory


def to_tiles(loss: Float[np.ndarray, "lm unit"]) -> Float[np.ndarray, "run tile lm lane"]:
    """16-bit losses in the order in which they are read. The number of units must be a multiple of TILES x LANES."""
    tiles = loss.reshape(len(loss), -1, TILES, LANES)
    return np.ascontiguousarray(tiles.transpose(1, 2, 0, 3), np.float16)


def units_of(loss: AnyArray) -> int:
    """Number of units of a chunk, in either layout."""
    return int(loss.shape[1] if loss.ndim == 2 else loss.shape[0] * TILES * LANES)


def forward(loss: AnyArray, weight: Float[Array, "column unit"]) -> Float[Array, "lm column"]:
    """sum_u loss[m, u] weight[k, u], in float32."""
    if loss.ndim == 2:
        if len(weight) == 1:
            # XLA would turn it into a matrix product, which has a third of the speed.
            column = lax.optimization_barrier(weight[0])
            return lax.optimization_barrier(jnp.dot(loss, column, precision=lax.Precision.HIGHEST))[:, None]
        return jnp.dot(loss, weight.T, precision=lax.Precision.HIGHEST)
    tiles = weight.reshape(len(weight), -1, TILES, LANES)
    if jax.default_backend() != "cpu":
        return jnp.einsum("rtml,krtl->mk", loss.astype(jnp.float32), tiles, precision=lax.Precision.HIGHEST)
    return jnp.stack([_forward_column(loss, column) for column in tiles], axis=1)


def _forward_column(loss: AnyArray, weight: Float[Array, "run tile lane"]) -> Float[Array, " lm"]:
    lms = loss.shape[2]

    def run(sums: Array, r: Array) -> tuple[Array, None]:
        for t in range(TILES):  # one loop over lm and lane with a term for each tile
            tile = lax.dynamic_slice(loss, (r, t, 0, 0), (1, 1, lms, LANES))[0, 0]
            sums = sums + lax.dynamic_slice(weight, (r, t, 0), (1, 1, LANES))[0] * tile.astype(jnp.float32)
        return sums, None

    sums, _ = lax.scan(run, jnp.zeros((lms, LANES), jnp.float32), jnp.arange(loss.shape[0]))
    return jnp.sum(sums, axis=1)


def backward(loss: AnyArray, slope: Float[Array, "lm column"]) -> Float[Array, "column unit"]:
    """sum_m slope[m, k] loss[m, u], in float32."""
    if loss.ndim == 2:
        if slope.shape[1] == 1:
            column = lax.optimization_barrier(slope[:, 0])
            return lax.optimization_barrier(jnp.dot(column, loss, precision=lax.Precision.HIGHEST))[None]
        return jnp.dot(slope.T, loss, precision=lax.Precision.HIGHEST)
    if jax.default_backend() != "cpu":
        pull = jnp.einsum("rtml,mk->krtl", loss.astype(jnp.float32), slope, precision=lax.Precision.HIGHEST)
        return pull.reshape(slope.shape[1], -1)
    return jnp.stack([_backward_column(loss, column).reshape(-1) for column in slope.T])


def _backward_column(loss: AnyArray, slope: Float[Array, " lm"]) -> Float[Array, "run tile lane"]:
    lms = loss.shape[2]

    def row(r: Array, m: Array | int) -> Array:
        found = lax.dynamic_slice(loss, (r, 0, m, 0), (1, TILES, 1, LANES))[0, :, 0]
        return lax.dynamic_slice(slope, (m,), (1,)) * found.astype(jnp.float32)

    def run(r: Array) -> Array:
        def group(i: Array, pull: Array) -> Array:
            for m in range(_TOGETHER):
                pull = pull + row(r, i * _TOGETHER + m)
            return pull

        pull = lax.fori_loop(0, lms // _TOGETHER, group, jnp.zeros((TILES, LANES), jnp.float32))
        for m in range(lms - lms % _TOGETHER, lms):
            pull = pull + row(r, m)
        return pull

    return lax.map(run, jnp.arange(loss.shape[0]))
