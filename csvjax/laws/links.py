"""From a capability in logits to a mean score between floor and ceiling, and the noise of its items."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from csvjax.types import AnyArray

__all__ = ["item_variance", "link", "link_slope"]


def link(
    logit: Float[AnyArray, "*s"], floor: Float[AnyArray, "*#s"], ceiling: Float[AnyArray, "*#s"]
) -> Float[Array, "*s"]:
    """mu = gamma + (eta - gamma) sigmoid(logit), the mean score as a fraction of items."""
    return jax.nn.sigmoid(logit) * (ceiling - floor) + floor


def link_slope(
    logit: Float[AnyArray, "*s"], floor: Float[AnyArray, "*#s"], ceiling: Float[AnyArray, "*#s"]
) -> Float[Array, "*s"]:
    """d mu / d logit = (eta - gamma) sigmoid(logit) sigmoid(-logit)."""
    return jax.nn.sigmoid(logit) * jax.nn.sigmoid(-logit) * (ceiling - floor)


def item_variance(mean: Float[AnyArray, "*s"], n_items: Float[AnyArray, "*#s"]) -> Float[Array, "*s"]:
    """mu (1 - mu) / n, of the solved fraction of n items, at least that of half an item: 0 and 1 stay possible."""
    half = 0.5 / (n_items + 1)
    inside = jnp.clip(mean, half, 1 - half)
    return inside * (1 - inside) / n_items
