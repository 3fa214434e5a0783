"""Salience: how much each unit of the validation text counts for a task, and the loss that it defines.

The Capability Salience Vector (Ge et al. 2025, arXiv 2506.13216) weighs validation tokens so that the weighted loss
predicts a task. Here the weights are a softmax around the share of bytes, so that z = 0 gives the mean loss.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from csvjax.law.small import inverse, lower_root
from csvjax.types import AnyArray

__all__ = ["impute_losses", "salience", "salient_loss", "salient_losses"]

_GRAIN = 1e-6  # of a column's mean square, so that a matrix with collinear columns can be inverted


def salience(log_base: Float[AnyArray, " unit"], z: Float[AnyArray, " unit"]) -> Float[Array, " unit"]:
    """s[u] = softmax over u of (log pi[u] + z[u]); sums to 1, and is pi where z is constant."""
    return jax.nn.softmax(log_base + z)


def salient_loss(
    loss: Float[AnyArray, "lm unit"], log_base: Float[AnyArray, " unit"], z: Float[AnyArray, " unit"]
) -> Float[Array, " lm"]:
    """psi[m] = sum over u of s[u] loss[m, u], with `loss` in nats per byte of the unit."""
    return jnp.dot(loss, salience(log_base, z))


def salient_losses(
    loss: Float[AnyArray, "lm unit"], log_base: Float[AnyArray, " unit"], z: Float[AnyArray, "column unit"]
) -> Float[Array, "lm column"]:
    """psi for every column of z."""
    return jnp.dot(loss, jax.nn.softmax(log_base + z, axis=1).T)


def impute_losses(
    psi: Float[Array, "reference column"],
    known: Float[AnyArray, "reference x"],
    design: Float[AnyArray, "lm x"],
) -> tuple[Float[Array, "lm column"], Float[Array, "lm column column"]]:
    """Salient losses of models whose losses were not measured: their mean, and a root of their covariance.

    With B = (X'X)^-1 X' psi and S = (psi - X B)'(psi - X B) / (n - p) a model with covariates x has
    psi ~ Normal(x B, (1 + x (X'X)^-1 x') S)
    (Bayesian regression with flat priors, whose t is replaced by a normal). X has a column of ones.
    """
    n, columns = known.shape
    square = known.T @ known
    scale = jnp.trace(square) / max(columns, 1)
    inside, _ = inverse(square + _GRAIN * scale * jnp.eye(columns))
    slope = inside @ (known.T @ psi)
    left = psi - known @ slope
    covariance = left.T @ left / max(n - columns, 1)
    grain = _GRAIN * (jnp.trace(covariance) / covariance.shape[0] + 1e-12)
    root = lower_root(covariance + grain * jnp.eye(len(covariance)))
    leverage = jnp.einsum("mx,xy,my->m", design, inside, design)
    return jnp.asarray(design @ slope), jnp.sqrt(1 + leverage)[:, None, None] * root
