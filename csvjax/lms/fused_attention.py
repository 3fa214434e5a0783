"""Fused attention, which never writes its scores to memory (FlashAttention, arXiv 2205.14135), by platform.

    platform   kernel                  not used for
    cuda       cuDNN, `__cudnn$fmha`   float32; a cap on the scores (Gemma-2); padding on the left; heads wider than 256
                                       (before Hopper 128) or not a multiple of 8
    tpu        Splash, a Pallas call   float32 and float16; padding on the left; other than 128 n tokens
    others     none

So every family except Gemma-2, BLOOM and MPT has a fused kernel on both platforms; Gemma-2 has one only on a TPU, and
families with linear biases (BLOOM, MPT) have none. Other cases use blocks (`csvjax.lms.blocked_attention`). Float32
does too, because both kernels multiply in 16 bits.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

__all__ = ["cudnn", "fused_kernel", "splash"]

Kernel = Literal["cudnn", "splash"]
_LANES = 128  # the width of a TPU's registers
_SPLASH_BLOCK = 512  # queries and keys in the memory of a TPU core at a time


def target() -> tuple[str, float]:
    """The platform for which programs are compiled, and the compute capability of a CUDA device."""
    if jax.default_backend() != "gpu":
        return jax.default_backend(), 0.0
    try:
        return "cuda", float(jax.devices()[0].compute_capability)
    except (AttributeError, ValueError):  # ROCm reports names such as gfx90a
        return "rocm", 0.0


def fused_kernel(length: int, head_width: int, cap: float | None, padded: bool, dtype: DTypeLike) -> Kernel | None:
    """The fused kernel for attention of this kind; None if the table above excludes it."""
    if padded or jnp.dtype(dtype) not in (jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16)):
        return None
    platform, capability = target()
    if platform == "cuda":
        max_width = 256 if capability >= 9 else 128
        # Devices before Ampere have neither bfloat16 nor this kernel.
        return "cudnn" if capability >= 8 and cap is None and head_width <= max_width and head_width % 8 == 0 else None
    if platform == "tpu":
        return "splash" if length % _LANES == 0 and jnp.dtype(dtype) == jnp.dtype(jnp.bfloat16) else None
    return None


def cudnn(
    query: Float[Array, "b t n h"],
    key: Float[Array, "b t m h"],
    value: Float[Array, "b t m h"],
    scale: float,
    window: int | None,
) -> Float[Array, "b t n h"]:
    local = None if window is None else (window - 1, 0)  # tokens before the query's own
    return jax.nn.dot_product_attention(
        query, key, value, scale=scale, is_causal=True, local_window_size=local, implementation="cudnn"
    )


def splash(
    query: Float[Array, "b t n h"],
    key: Float[Array, "b t m h"],
    value: Float[Array, "b t m h"],
    window: int | None,
    cap: float | None,
    interpret: bool = False,
) -> Float[Array, "b t n h"]:
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

    length, heads, width = query.shape[1:]
    # Narrower heads are padded with zeros, which add nothing to scores; the padded values are removed.
    filled = [jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, -width % _LANES))) for x in (query, key, value)]
    size = next(n for n in (_SPLASH_BLOCK, 256, _LANES) if length % n == 0)
    one = (
        masks.CausalMask((length, length))
        if window is None
        else masks.LocalMask((length, length), (window - 1, 0), offset=0)
    )
    kernel = kernels.make_splash_mha(
        masks.MultiHeadMask([one] * heads),
        block_sizes=kernels.BlockSizes(block_q=size, block_kv=size),
        attn_logits_soft_cap=cap,
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
    mixed = jax.vmap(kernel)(*(x.swapaxes(1, 2) for x in filled))
    return mixed.swapaxes(1, 2)[..., :width]
