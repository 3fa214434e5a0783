"""The small problem behind a large one: the Gram matrix of the models' losses, in one pass over the units.

    D[m, u] = loss[m, u] / bytes[u] - mean over models - (the same of the mean loss)
    G[m, n] = sum_u pi[u] D[m, u] D[n, u]

A salience with a normal prior changes the models' salient losses only through G, a matrix as large as the number of
models. The part that all models share is subtracted first. The law uses psi relative to the mean over models, so this
changes nothing; without it, G would be a small difference of large numbers.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from csvjax.scale.corpus import Chunk, Corpus
from csvjax.scale.kernels import LANES, TILES

__all__ = ["Gram", "centred", "gram"]


class Gram(NamedTuple):
    """gram [lm, lm], (nats per byte)^2. mean [lm]: mean loss weighted by bytes, nats per byte."""

    gram: Float[np.ndarray, "lm lm"]
    mean: Float[np.ndarray, " lm"]


def centred(chunk: Chunk, at: Array, mean: Array, shared: bool = False) -> Float[Array, "unit known"]:
    """D of the models `at` on one chunk, transposed. mean [known]: subtracted from each model. shared: keep the part
    that all models have in common.
    """
    loss = chunk.loss
    if loss.ndim == 2:
        flat = jnp.take(loss, at, axis=0).T
    else:
        kept = jnp.take(loss, at, axis=2)
        flat = jnp.swapaxes(kept, 2, 3).reshape(-1, len(at)).astype(jnp.float32)
    assert loss.ndim == 2 or flat.shape[0] == loss.shape[0] * TILES * LANES
    found = flat * chunk.per_byte[:, None] - mean
    return found if shared else found - jnp.mean(found, axis=1, keepdims=True)


@partial(jax.jit, static_argnames="shared")
def _part(chunk: Chunk, at: Array, guess: Array, shared: bool) -> tuple[Array, Array]:
    pi = jnp.exp(chunk.log_base)
    plain = jnp.where(chunk.log_base[:, None] > -jnp.inf, centred(chunk, at, guess, shared), 0.0)
    product = partial(jnp.dot, precision=lax.Precision.HIGHEST)
    return product(plain.T, plain * pi[:, None]), product(plain.T, pi)


@jax.jit
def _means(chunk: Chunk, at: Array) -> tuple[Array, Array]:
    """sum of pi loss / bytes [known], and sum of pi."""
    pi = jnp.exp(chunk.log_base) * chunk.per_byte
    loss = chunk.loss
    if loss.ndim == 4:
        weight = pi.reshape(-1, TILES, LANES)
        found = jnp.einsum("rtml,rtl->m", loss.astype(jnp.float32), weight, precision=lax.Precision.HIGHEST)
    else:
        found = jnp.dot(loss, pi, precision=lax.Precision.HIGHEST)
    return jnp.take(found, at), jnp.sum(jnp.exp(chunk.log_base))


def gram(corpus: Corpus, at: Int[np.ndarray, " known"] | None = None, shared: bool = False) -> Gram:
    """G and the mean losses of the models `at`, or of all, in one pass. shared: keep the part that all models share.

    The first chunk's means are subtracted before products are computed, and their error is corrected afterwards, so
    that no precision is lost to rounding. Sums over chunks are float64.
    """
    where = jnp.arange(len(corpus.lms)) if at is None else jnp.asarray(at)
    count = len(where)
    square, first, mean = np.zeros((count, count)), np.zeros(count), np.zeros(count)
    guess: Array | None = None
    for chunk, _ in corpus.chunks():
        sums, share = _means(chunk, where)
        guess = sums / share if guess is None else guess
        product, off = _part(chunk, where, guess, shared)
        corpus.wait((product, off))
        square += np.asarray(product, float)
        first += np.asarray(off, float)
        mean += np.asarray(sums, float)
    found = square - np.outer(first, first)
    return Gram((found + found.T) / 2, mean)
