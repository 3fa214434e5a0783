"""Types for shape annotations."""

from __future__ import annotations

import jax
import numpy as np

__all__ = ["AnyArray"]

AnyArray = jax.Array | np.ndarray
"""A NumPy or a JAX array, for shape annotations such as `Float[AnyArray, "lm unit"]`."""
