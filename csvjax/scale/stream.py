"""Salient losses of a text that need not fit in memory, and the gradient with respect to z of its units.

    psi[m, k]     = sum_u s[k, u] loss[m, u] / bytes[u],    s[k] = softmax(log pi + z[k])        nats per byte
    d f / d z[k, u] = s[k, u] (sum_m loss[m, u] g[m, k] / bytes[u] - sum_m psi[m, k] g[m, k]),    g = d f / d psi

The text comes in chunks of units. For each column the first pass keeps the largest logit so far, the sum of the
exponentials and the sum of the weighted losses, both relative to this logit (online softmax: Milakov and Gimelshein
2018, arXiv 1805.02867). Sums are float32 inside a chunk and float64 over chunks, so small chunks round less. The
gradient needs psi of the whole text, so each chunk is read a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from csvjax.scale.corpus import Chunk, Corpus, specs_of
from csvjax.scale.kernels import backward, forward
from csvjax.types import AnyArray

__all__ = ["Sums", "chunk_pull", "chunk_sums", "merge", "pulled", "salient_losses", "single", "value_and_gradient"]

_AXIS = "unit"


class Sums(NamedTuple):
    """Sums over the units so far. top [k]: largest logit. total [k]: sum of exp(logit - top). weighted [m, k]: sum of
    exp(logit - top) times the losses per byte. psi = weighted / total.
    """

    top: Float[AnyArray, " column"]
    total: Float[AnyArray, " column"]
    weighted: Float[AnyArray, "lm column"]

    @property
    def psi(self) -> Float[AnyArray, "lm column"]:
        return self.weighted / self.total


def merge(a: Sums, b: Sums) -> Sums:
    """The sums of two parts of a text together, in float64; their order does not matter."""
    a, b = (jax.tree.map(lambda x: np.asarray(x, float), sums) for sums in (a, b))
    top = np.maximum(a.top, b.top)
    left, right = np.exp(a.top - top), np.exp(b.top - top)
    return Sums(top, left * a.total + right * b.total, left * a.weighted + right * b.weighted)


def single(sums: Sums) -> Sums:
    """The sums in float32, for programs on chunks."""
    return jax.tree.map(lambda x: np.asarray(x, np.float32), sums)


def chunk_sums(chunk: Chunk, z: Float[Array, "column unit"]) -> Sums:
    """The sums of one chunk. A unit of weight 0 (log pi = -inf) does not count."""
    logit = chunk.log_base + z
    top = jnp.max(logit, axis=1)
    weight = jnp.exp(logit - jnp.where(jnp.isfinite(top), top, 0.0)[:, None])  # a device may hold only padding
    return Sums(top, jnp.sum(weight, axis=1), forward(chunk.loss, weight * chunk.per_byte))


def chunk_pull(chunk: Chunk, z: Float[Array, "column unit"], sums: Sums, g: Float[Array, "lm column"]) -> Array:
    """d f / d z of one chunk [column, unit], given the sums of the whole text."""
    share = jnp.exp(chunk.log_base + z - sums.top[:, None]) / sums.total[:, None]
    return share * (backward(chunk.loss, g) * chunk.per_byte - jnp.sum(sums.psi * g, axis=0)[:, None])


@partial(jax.jit, static_argnames="mesh")
def _sums(chunk: Chunk, z: Array, mesh: Any) -> Sums:
    if mesh is None:
        return chunk_sums(chunk, z)

    def part(chunk: Chunk, z: Array) -> Sums:
        mine = chunk_sums(chunk, z)
        top = jax.lax.pmax(mine.top, _AXIS)
        scale = jnp.exp(mine.top - top)
        return Sums(top, jax.lax.psum(scale * mine.total, _AXIS), jax.lax.psum(scale * mine.weighted, _AXIS))

    specs = (specs_of(chunk), PartitionSpec(None, _AXIS))
    return jax.shard_map(part, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False)(chunk, z)


@partial(jax.jit, static_argnames="mesh")
def _pull(chunk: Chunk, z: Array, sums: Sums, g: Array, mesh: Any) -> Array:
    if mesh is None:
        return chunk_pull(chunk, z, sums, g)
    unit, same = PartitionSpec(None, _AXIS), PartitionSpec()
    specs = (specs_of(chunk), unit, same, same)
    return jax.shard_map(chunk_pull, mesh=mesh, in_specs=specs, out_specs=unit, check_vma=False)(chunk, z, sums, g)


def salient_losses(corpus: Corpus, z: Float[np.ndarray, "column unit"]) -> Sums:
    """The sums of the whole text, from which psi [lm, column] follows, in one pass."""
    found: Sums | None = None
    for chunk, at in corpus.chunks():
        part = _sums(chunk, corpus.padded(z, at), corpus.mesh)
        found = part if found is None else merge(found, part)
        corpus.wait(found)
    assert found is not None
    return found


def pulled(
    corpus: Corpus, z: Float[np.ndarray, "column unit"], sums: Sums, g: Float[AnyArray, "lm column"]
) -> Float[np.ndarray, "column unit"]:
    """d f / d z, given g = d f / d psi, in one pass."""
    out = np.empty(z.shape, np.float32)
    g, sums = jnp.asarray(g, jnp.float32), single(sums)
    for chunk, at in corpus.chunks():
        found = _pull(chunk, corpus.padded(z, at), sums, g, corpus.mesh)
        out[:, at] = np.asarray(found)[:, : at.stop - at.start]
    return out


def value_and_gradient(
    corpus: Corpus,
    z: Float[np.ndarray, "column unit"],
    function: Callable[[Float[AnyArray, "lm column"]], tuple[Any, Float[AnyArray, "lm column"]]],
) -> tuple[Any, Float[np.ndarray, "column unit"]]:
    """f(psi) and d f / d z in two passes. function: psi -> (f, d f / d psi); the first may be any pytree.

    Equals f of `csvjax.law.salience.salient_losses` and its gradient.
    """
    sums = salient_losses(corpus, z)
    value, g = function(sums.psi)
    return value, pulled(corpus, z, sums, g)
