"""Second derivatives of a potential, from differences of its gradient along a few directions.

With few parameters the directions are the parameters themselves, and the result is the whole Hessian. With many, the
density names blocks of parameters that belong together (those of one benchmark). Then the curvature that scales the
search consists of each block and of the parameters outside all blocks; terms between these are left out. All blocks are
probed at the same time with random signs, so that terms between blocks average out (after Bekas, Kokiopoulou and Saad
2007, Appl. Numer. Math. 57, 1214).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

__all__ = [
    "Layout",
    "Metric",
    "curvature_of",
    "hessian",
    "identity",
    "in_blocks",
    "metric_of",
    "offset",
    "whole",
    "wholly",
]

_STEP = 1e-4  # for a parameter whose prior has unit scale
_PROBES = 4  # for the blocks
_LEAST = 1e-2  # smaller curvatures are raised to this; the curvature of a unit prior is 1


class Layout(NamedTuple):
    """Which parameters belong together. block: indices of each block's parameters. rest: indices of the others.
    directions: along these the gradient is differenced.
    """

    block: Int[np.ndarray, "block size"]
    rest: Int[np.ndarray, " rest"]
    directions: Float[np.ndarray, "direction n"]


class Metric(NamedTuple):
    """W of x = centre + W z, such that the curvature in z is one: a matrix for each block, and one for the rest."""

    block: Float[Array, "block size size"]
    rest: Float[Array, "rest rest"]

    def along(self, layout: Layout, z: Float[Array, " n"]) -> Float[Array, " n"]:
        """W z."""
        return self._each(layout, z, "bij,bj->bi", self.rest)

    def across(self, layout: Layout, gradient: Float[Array, " n"]) -> Float[Array, " n"]:
        """W' gradient."""
        return self._each(layout, gradient, "bji,bj->bi", self.rest.T)

    def back(self, layout: Layout, gradient: Float[Array, " n"]) -> Float[Array, " n"]:
        """The inverse of `across`. The columns of W are orthogonal, so this is the transpose up to their lengths."""
        block = self.block / jnp.sum(self.block**2, axis=1, keepdims=True)
        return Metric(block, self.rest / jnp.sum(self.rest**2, axis=0)).along(layout, gradient)

    def _each(self, layout: Layout, x: Array, product: str, rest: Array) -> Array:
        found = jnp.zeros_like(x).at[layout.rest].set(rest @ x[layout.rest])
        return found.at[layout.block].set(jnp.einsum(product, self.block, x[layout.block]))


def whole(n: int) -> Layout:
    """No blocks: the directions are the parameters."""
    return Layout(np.zeros((0, 0), int), np.arange(n), np.eye(n))


def in_blocks(n: int, block: Int[np.ndarray, "block size"]) -> Layout:
    """A layout whose first directions move one parameter of all blocks at once, with random signs; each has four such
    directions. The parameters outside the blocks have a direction each.
    """
    blocks, size = block.shape
    rest = np.setdiff1d(np.arange(n), block)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (_PROBES, blocks))
    probes = np.zeros((_PROBES, size, n))
    for j in range(size):
        probes[:, j, block[:, j]] = signs
    return Layout(block, rest, np.concatenate([probes.reshape(-1, n), np.eye(n)[rest]]))


def identity(layout: Layout, dtype: jnp.dtype) -> Metric:
    """The metric of a search that has not computed a curvature yet."""
    blocks, size = layout.block.shape
    block = jnp.broadcast_to(jnp.eye(size, dtype=dtype), (blocks, size, size))
    return Metric(block, jnp.eye(len(layout.rest), dtype=dtype))


def wholly(metric: Metric, layout: Layout) -> Float[Array, "n n"]:
    """W as one matrix."""
    n = layout.directions.shape[1]
    return jax.vmap(lambda z: metric.along(layout, z), out_axes=1)(jnp.eye(n, dtype=metric.rest.dtype))


def offset(i: Int[Array, ""], layout: Layout, dtype: jnp.dtype) -> Float[Array, " n"]:
    """The i-th offset from x at which the gradient is computed: forth and back along each direction."""
    return jnp.where(i % 2 == 0, _STEP, -_STEP).astype(dtype) * jnp.asarray(layout.directions, dtype)[i // 2]


def curvature_of(grads: Float[Array, "gradient n"], layout: Layout) -> Metric:
    """The Hessian's blocks from the gradients at all offsets, symmetrised."""
    change = (grads[::2] - grads[1::2]) / (2 * _STEP)
    blocks, size = layout.block.shape
    probed = len(change) - len(layout.rest)
    rest = change[probed:][:, layout.rest]
    block = jnp.zeros((blocks, size, size), grads.dtype)
    if blocks:
        signs = jnp.asarray(layout.directions)[:probed:size, layout.block[:, 0]]  # [probe, block]
        columns = change[:probed].reshape(-1, size, change.shape[1])[:, :, layout.block]  # [probe, j, block, i]
        block = jnp.einsum("pjbi,pb->bij", columns, signs) / len(signs)
    return Metric((block + jnp.swapaxes(block, 1, 2)) / 2, (rest + rest.T) / 2)


def metric_of(curvature: Metric) -> tuple[Metric, Float[Array, ""]]:
    """W with W W' = |H|^-1, where small eigenvalues of H are raised to 0.01; and the smallest eigenvalue."""

    def root(h: Array) -> tuple[Array, Array]:
        values, vectors = jnp.linalg.eigh(h)
        return vectors / jnp.sqrt(jnp.maximum(jnp.abs(values), _LEAST))[..., None, :], values

    rest, values = root(curvature.rest)
    if not len(curvature.block):
        return Metric(curvature.block, rest), values[0]
    block, others = jax.lax.map(root, curvature.block)
    return Metric(block, rest), jnp.minimum(jnp.min(others), jnp.min(values, initial=jnp.inf))


def hessian(potential: Callable[[Array], Array], x: Float[Array, " n"]) -> Float[Array, "n n"]:
    """H[i, j] = d2 potential / dx[i] dx[j], symmetrised: central differences of the exact gradient, column by column.

    In float64 the error is about 1e-8 of the fourth derivative. If the density contains a solver, each exact column
    would cost thirty times a gradient, and a normal approximation would not be visibly better.
    """
    grad, layout = jax.grad(potential), whole(len(x))
    steps = jnp.arange(2 * len(x))
    return curvature_of(jax.lax.map(lambda i: grad(x + offset(i, layout, x.dtype)), steps), layout).rest
