"""Shape aliases."""

from __future__ import annotations

import jax
import numpy as np

__all__ = ["AnyArray"]

AnyArray = jax.Array | np.ndarray
"""An array on either side of the border between numpy and JAX: `Float[AnyArray, "lm unit"]`."""
