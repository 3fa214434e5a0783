"""Salience: how much each unit of the validation text counts towards a task, and the loss that it defines.

The Capability Salience Vector (Ge et al. 2025, arXiv 2506.13216) weighs validation tokens so that the weighted loss
predicts a task. Here the weights are a softmax around the share of bytes, so that z = 0 is the mean loss itself.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from csvjax.types import AnyArray

__all__ = ["salience", "salient_loss"]


def salience(log_base: Float[AnyArray, " unit"], z: Float[AnyArray, " unit"]) -> Float[Array, " unit"]:
    """s[u] = softmax over u of (log pi[u] + z[u]); sums to 1, and is pi where z is constant."""
    return jax.nn.softmax(log_base + z)


def salient_loss(
    loss: Float[AnyArray, "lm unit"], log_base: Float[AnyArray, " unit"], z: Float[AnyArray, " unit"]
) -> Float[Array, " lm"]:
    """psi[m] = sum over u of s[u] loss[m, u], with `loss` in nats per byte of the unit."""
    return jnp.dot(loss, salience(log_base, z))
