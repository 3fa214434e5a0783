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
    """sqrt((mu (1 - mu))^2 + (h (1 - h))^2) / n with h = 0.5 / (n + 1), of the solved fraction of n items.

    Binomial in between; at 0 and 1 that of half an item, so that these stay possible. Smooth, so that no mode can sit
    on an edge.
    """
    half = 0.5 / (n_items + 1)
    return jnp.sqrt((mean * (1 - mean)) ** 2 + (half * (1 - half)) ** 2) / n_items
