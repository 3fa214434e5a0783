"""Second derivatives of a potential, some columns at a time so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["hessian"]

_COLUMNS = 32


def hessian(potential: Callable[[Array], Array], x: Float[Array, " n"]) -> Float[Array, "n n"]:
    """H[i, j] = d2 potential / dx[i] dx[j], symmetrised: forward over reverse, column by column."""
    grad = jax.grad(potential)
    columns = jax.lax.map(lambda v: jax.jvp(grad, (x,), (v,))[1], jnp.eye(len(x), dtype=x.dtype), batch_size=_COLUMNS)
    return (columns + columns.T) / 2
