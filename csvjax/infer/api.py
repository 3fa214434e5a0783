"""One call for every method of inference."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

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
) -> Fit:
    """Fit by any method.

    data: what the density's model takes, a pytree of arrays. folder: where NUTS keeps warm-up and draws; a second call
    with the same arguments goes on where the first one was stopped. Other methods leave nothing there. optimum: the
    mode, where it was found before (`Fit.optimum`); NUTS and SVI start from it.

    Warns: FitWarning, with the status as its sentence, where a fit did not end well.
    Raises: InputError for a folder that holds draws of another fit.
    """
    if isinstance(method, Nuts):
        return _told(method.run(density, data, key, folder, optimum))
    if isinstance(method, Svi) and optimum is not None:
        return _told(method.read(jax.device_get(_from_mode(density, method, data, key, optimum))))
    return _told(method.read(jax.device_get(find_mode(density, method, data, key))))


@float64
def fit_many(density: Density, data: Any, axes: Any, method: Method, keys: Array) -> list[Fit]:
    """Many fits of the same shape at once: folds, replicates, seeds, prior strengths that are data.

    data: stacked along the axes that `axes` names, as `jax.vmap`'s in_axes does (a hashable pytree: None where all fits
    share). keys: one for each fit. Every fit has the numbers it would have alone, up to rounding.

    Warns: FitWarning for each fit that did not end well. Raises: InputError for a method that cannot be mapped.
    """
    if isinstance(method, Nuts):
        raise InputError("expected map, laplace, svi or bootstrap for many fits at once, found nuts; call fit for each")
    found = jax.device_get(_solve_many(density, method, data, axes, keys))
    return [_told(method.read(jax.tree.map(lambda a, i=i: np.asarray(a[i]), found))) for i in range(len(keys))]
