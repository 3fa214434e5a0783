"""One function for all methods of inference."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from csvjax.cluster import Where
from csvjax.compiled import jit_by_size
from csvjax.errors import FitWarning, InputError
from csvjax.infer.bootstrap import Bootstrap
from csvjax.infer.laplace import Laplace
from csvjax.infer.map import Map, Optimum, find_mode
from csvjax.infer.nuts import Nuts
from csvjax.infer.result import Fit
from csvjax.infer.svi import Svi
from csvjax.law.density import Density
from csvjax.precision import float64

__all__ = ["Method", "fit", "fit_many"]

Method = Map | Laplace | Svi | Nuts | Bootstrap


@partial(jit_by_size, static=("density", "method", "axes"))
def _solve_many(density: Density, method: Any, data: Any, axes: Any, keys: Array) -> Any:
    return jax.vmap(lambda data, key: method.solve(density, data, key), (axes, 0))(data, keys)


@partial(jit_by_size, static=("density", "method"))
def _from_mode(density: Density, method: Svi, data: Any, key: Array, optimum: Optimum) -> Any:
    return method.solve_from(density, data, key, optimum)


def _told(found: Fit) -> Fit:
    if not found.status.ok:
        warnings.warn(f"{found.name}: {found.status}", FitWarning, stacklevel=4)
    return found


@float64
def fit(
    density: Density,
    data: Any,
    method: Method,
    key: Array,
    folder: Path | None = None,
    optimum: Optimum | None = None,
    where: Where | None = None,
) -> Fit:
    """Fit a density by any method.

    Args:
        data: a pytree of arrays, the argument of the density's model.
        folder: NUTS keeps its warm-up and draws there; call again with the same arguments to resume. Other methods
            write nothing.
        optimum: the mode, if it was found before (`Fit.optimum`); NUTS and SVI start from it.
        where: where each chain of NUTS runs as a job; None for this process.

    Warns: FitWarning with the sentence of the status, if the status is not ok.
    Raises: InputError for a folder that holds draws of another fit.
    """
    if isinstance(method, Nuts):
        return _told(method.run(density, data, key, folder, optimum, where))
    if isinstance(method, Svi) and optimum is not None:
        return _told(method.read(jax.device_get(_from_mode(density, method, data, key, optimum))))
    return _told(method.read(jax.device_get(find_mode(density, method, data, key))))


@float64
def fit_many(density: Density, data: Any, axes: Any, method: Method, keys: Array) -> list[Fit]:
    """Many fits of the same shape at once: folds, replicates, seeds, prior strengths that are data.

    data: stacked along the axes in `axes`, which are like the in_axes of `jax.vmap` (a hashable pytree; None for what
    all fits share). keys: one for each fit. Each fit has the same numbers as alone, up to rounding.

    Warns: FitWarning for each fit whose status is not ok. Raises: InputError for a method that cannot be mapped (NUTS).
    """
    if isinstance(method, Nuts):
        raise InputError("expected map, laplace, svi or bootstrap for many fits at once, found nuts; call fit for each")
    found = jax.device_get(_solve_many(density, method, data, axes, keys))
    return [_told(method.read(jax.tree.map(lambda a, i=i: np.asarray(a[i]), found))) for i in range(len(keys))]
