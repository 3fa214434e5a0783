"""The small decoder-only language model of the ladder, in Flax NNX."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

__all__ = ["Decoder", "DecoderConfig"]

# The default for float32 products is TF32 on a GPU and bfloat16 on a TPU, with 10 and 7 bits.
_FLOAT32 = jax.lax.Precision.HIGHEST


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of a decoder.

    The embedding is also the head (tied). Positions are rotary (RoFormer, arXiv 2104.09864), RMS norms (arXiv
    1910.07467) come before each sub-layer, the MLP has GELU and `mlp_ratio` times the width, and there are no biases.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    context: int = 128
    mlp_ratio: int = 4
    rope_theta: float = 10_000.0

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def params(self) -> int:
        """Parameters of attention, MLP and norms, without the embedding: N of the scaling laws."""
        matrices = (4 + 2 * self.mlp_ratio) * self.width**2
        return self.layers * (matrices + 2 * self.width) + self.width


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x^2) + eps) * scale, over the last axis."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.scale = nnx.Param(nnx.initializers.ones(rngs.params(), (width,)))

    def __call__(self, x: Float[Array, "... width"]) -> Float[Array, "... width"]:
        return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6) * self.scale[...]


def rotary(length: int, head_width: int, theta: float) -> tuple[Float[Array, "t h"], Float[Array, "t h"]]:
    """cos and sin of position * theta^(-2i / head_width), one angle for each pair (i, i + head_width / 2)."""
    inverse = theta ** (-jnp.arange(0, head_width, 2, dtype=jnp.float32) / head_width)
    angle = jnp.arange(length, dtype=jnp.float32)[:, None] * inverse
    return jnp.cos(angle), jnp.sin(angle)


def rotate(x: Float[Array, "b t n h"], cos: Float[Array, "t g"], sin: Float[Array, "t g"]) -> Float[Array, "b t n h"]:
    first, second = jnp.split(x, 2, axis=-1)
    cos, sin = cos[None, :, None], sin[None, :, None]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _product(x: Float[Array, "b t i"], kernel: nnx.Param) -> Float[Array, "b t o"]:
    return jnp.matmul(x, kernel[...], precision=_FLOAT32)


class Block(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        width, hidden = config.width, config.mlp_ratio * config.width
        inner = nnx.initializers.normal(width**-0.5)
        # Matrices that write to the residual stream start smaller, so that its variance does not grow with depth.
        outer = nnx.initializers.normal((2 * config.layers * width) ** -0.5)
        outer_mlp = nnx.initializers.normal((2 * config.layers * hidden) ** -0.5)
        self.heads = config.heads
        self.norm_attention = RMSNorm(width, rngs)
        self.norm_mlp = RMSNorm(width, rngs)
        self.qkv = nnx.Param(inner(rngs.params(), (width, 3 * width)))
        self.out = nnx.Param(outer(rngs.params(), (width, width)))
        self.up = nnx.Param(inner(rngs.params(), (width, hidden)))
        self.down = nnx.Param(outer_mlp(rngs.params(), (hidden, width)))

    def attention(self, x: Float[Array, "b t d"], cos: Array, sin: Array, mask: Array) -> Float[Array, "b t d"]:
        batch, length, width = x.shape
        q, k, v = jnp.split(_product(x, self.qkv).reshape(batch, length, 3 * self.heads, -1), 3, axis=2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        scores = jnp.einsum("bqnh,bknh->bnqk", q, k, precision=_FLOAT32) * q.shape[-1] ** -0.5 + mask
        mixed = jnp.einsum("bnqk,bknh->bqnh", jax.nn.softmax(scores, axis=-1), v, precision=_FLOAT32)
        return _product(mixed.reshape(batch, length, width), self.out)

    def __call__(self, x: Float[Array, "b t d"], cos: Array, sin: Array, mask: Array) -> Float[Array, "b t d"]:
        x = x + self.attention(self.norm_attention(x), cos, sin, mask)
        return x + _product(jax.nn.gelu(_product(self.norm_mlp(x), self.up)), self.down)


class Decoder(nnx.Module):
    """The model, with the protocol for losses: logits = hidden_states(tokens) @ head."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        self.config = config
        self.embedding = nnx.Param(
            nnx.initializers.normal(config.width**-0.5)(rngs.params(), (config.vocabulary, config.width))
        )
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.layers)])
        self.norm = RMSNorm(config.width, rngs)

    def hidden_states(self, tokens: Int[Array, "b t"]) -> Float[Array, "b t d"]:
        """The last hidden state, after the final norm. Padding on the right needs no mask."""
        length = tokens.shape[1]
        # Rows of the embedding have a norm near 1; the factor gives each coordinate a variance near 1.
        x = self.embedding[...][tokens] * self.config.width**0.5
        cos, sin = rotary(length, self.config.head_width, self.config.rope_theta)
        mask = jnp.where(jnp.tril(jnp.ones((length, length), bool)), 0.0, -1e30)
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return self.norm(x)

    @property
    def head(self) -> Float[Array, "d v"]:
        return self.embedding[...].T
