"""Linear layers, norms and activations of the transformer, in Flax NNX."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from csvjax.lms.architecture import Activation, Architecture

__all__ = ["Linear", "Norm", "activate", "empty", "product", "side_by_side"]


def empty(*shape: int) -> nnx.Param:
    """A parameter that is filled from a checkpoint."""
    return nnx.Param(jnp.zeros(shape, jnp.float32))


class Linear(nnx.Module):
    """x @ kernel + bias in float32. Products are summed in float32, whatever the type of the kernel.

    With `inner` the product is written in the type of the kernel, to which the next operation rounds anyway; this
    halves the memory traffic of a 16-bit model. What is added to the residual stream is always float32.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool):
        self.kernel = empty(inputs, outputs)
        self.bias = empty(outputs) if bias else None

    def __call__(self, x: Float[Array, "*b i"], inner: bool = False) -> Float[Array, "*b o"]:
        return self.shift(product(x, self.kernel[...], inner))

    def shift(self, y: Float[Array, "*b o"]) -> Float[Array, "*b o"]:
        y = y.astype(jnp.float32)
        return y if self.bias is None else y + self.bias[...]


def product(x: Array, kernel: Array, inner: bool = False) -> Array:
    """x @ kernel in the type of the kernel, summed in float32; written as float32 unless `inner`."""
    written = kernel.dtype if inner else jnp.float32
    return jnp.matmul(x.astype(kernel.dtype), kernel, preferred_element_type=written, precision="highest")


def side_by_side(x: Array, parts: Sequence[Linear]) -> list[Array]:
    """The results of several linear layers for x, in one product, which is faster than several narrow ones."""
    # The barrier delays the concatenation until x is known; otherwise copies of all blocks would be in memory at once.
    x, *kernels = jax.lax.optimization_barrier((x, *(part.kernel[...] for part in parts)))
    ends = list(accumulate(kernel.shape[1] for kernel in kernels[:-1]))
    found = jnp.split(product(x, jnp.concatenate(kernels, axis=1), inner=True), ends, axis=-1)
    return [part.shift(y) for part, y in zip(parts, found, strict=True)]


class Norm(nnx.Module):
    """Layer norm, or RMS norm (arXiv 1910.07467), in float32: (x - mean) / sqrt(var + eps) (offset + scale) + bias."""

    def __init__(self, architecture: Architecture, *width: int):
        self.centred, self.eps, self.offset = (
            architecture.norm == "layer",
            architecture.norm_eps,
            architecture.norm_offset,
        )
        self.scale = empty(*width) if architecture.norm_affine else None
        self.bias = empty(*width) if architecture.norm_affine and architecture.norm_bias and self.centred else None

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        if self.centred:
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + self.eps)
        if self.scale is not None:
            x = x * (self.scale[...].astype(jnp.float32) + self.offset)
        return x if self.bias is None else x + self.bias[...]


def activate(name: Activation, x: Array) -> Array:
    """The activation of each number."""
    match name:
        case "gelu":
            return jax.nn.gelu(x, approximate=False)
        case "gelu_tanh":
            return jax.nn.gelu(x, approximate=True)
        case "relu":
            return jax.nn.relu(x)
        case "relu2":
            return jnp.square(jax.nn.relu(x))
        case "silu":
            return jax.nn.silu(x)
