"""Sinusoidal positions (arXiv 1706.03762), with all sines before all cosines, as in tensor2tensor."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

__all__ = ["sinusoids"]


def sinusoids(positions: Int[Array, "*b t"], width: int) -> Float[Array, "*b t width"]:
    """sin(p f[i]) for i < h, then cos(p f[i]), with f[i] = 10000^(-i / (h - 1)) and h = width // 2.

    An odd width ends in a zero.

    Args:
        positions: position p of each token.
        width: width of the model, at least 4.
    """
    half = width // 2
    # In float32, as PyTorch computes them.
    step = np.float32(-math.log(10_000) / (half - 1))
    frequency = np.exp(np.arange(half, dtype=np.float32) * step)
    angle = positions[..., None].astype(jnp.float32) * jnp.asarray(frequency)
    parts = [jnp.sin(angle), jnp.cos(angle), jnp.zeros((*positions.shape, width % 2), jnp.float32)]
    return jnp.concatenate(parts, axis=-1)
