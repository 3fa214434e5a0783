"""Where weights and batches live: a mesh of (data, model) devices, of one process or several."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from csvjax.errors import InputError
from csvjax.lms.fill import Path, Place

__all__ = ["gather", "make_mesh", "place_batch", "place_weights"]

_WIDER = ("query", "key", "value", "gate", "up", "project_in")  # their outputs are spread
_NARROWER = ("out", "down", "project_out")  # their inputs are


def make_mesh(model: int = 1) -> Mesh:
    """All devices of all processes, each model spread over `model` of them, and batches over the rest.

    Raises: InputError if the devices do not divide so.
    """
    count = jax.device_count()
    if model < 1 or count % model:
        raise InputError(
            f"expected a number of devices for each model that divides the {count} there are, found {model}; "
            "choose another"
        )
    return jax.make_mesh((count // model, model), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)


def _spec(path: Path, ndim: int) -> PartitionSpec:
    """Matrices are cut so that a branch of a block needs one sum over devices at its end (arXiv 1909.08053); embedding,
    positions and head are cut across the width, which every vocabulary allows."""
    if len(path) == 1 and ndim == 2:
        return PartitionSpec(None, "model")
    if len(path) == 1:
        return PartitionSpec(None)
    module, leaf = path[-2:]
    if module in _WIDER:
        return PartitionSpec(None, "model") if leaf == "kernel" else PartitionSpec("model")
    if module in _NARROWER and leaf == "kernel":
        return PartitionSpec("model", None)
    return PartitionSpec(*(None,) * ndim)


def place_weights(mesh: Mesh) -> Place:
    """Weights over the model axis, whole on each device where they do not divide, the same on every data row."""

    def place(path: Path, array: np.ndarray) -> jax.Array:
        spec = _spec(path, array.ndim)
        even = all(axis is None or size % mesh.shape[axis] == 0 for size, axis in zip(array.shape, spec, strict=True))
        sharding = NamedSharding(mesh, spec if even else PartitionSpec())
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return place


def place_batch(mesh: Mesh) -> Callable[[np.ndarray], jax.Array]:
    """Rows of a batch over the data axis. Every process has the whole batch and keeps its part."""
    sharding = NamedSharding(mesh, PartitionSpec("data", None))
    return lambda array: jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def gather(found: jax.Array) -> np.ndarray:
    """The whole array on every process; waits for it."""
    if found.is_fully_addressable:
        return np.asarray(found)
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(found, tiled=True))
