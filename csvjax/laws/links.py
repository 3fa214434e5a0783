"""From a capability in logits to a mean score between floor and ceiling, and the noise of its items."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["item_variance", "link", "link_slope"]


def link(logit: Float[Array, "*s"], floor: Float[Array, "*s"], ceiling: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """mu = gamma + (eta - gamma) sigmoid(logit), the mean score as a fraction of items."""
    return floor + (ceiling - floor) * jax.nn.sigmoid(logit)


def link_slope(logit: Float[Array, "*s"], floor: Float[Array, "*s"], ceiling: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """d mu / d logit = (eta - gamma) sigmoid(logit) sigmoid(-logit)."""
    return (ceiling - floor) * jax.nn.sigmoid(logit) * jax.nn.sigmoid(-logit)


def item_variance(mean: Float[Array, "*s"], n_items: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """mu (1 - mu) / n, of the solved fraction of n items, at least that of half an item: 0 and 1 stay possible."""
    half = 0.5 / (n_items + 1)
    inside = jnp.clip(mean, half, 1 - half)
    return inside * (1 - inside) / n_items
