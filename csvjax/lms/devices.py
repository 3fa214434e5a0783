"""Places weights and batches on a mesh of (data, model) devices of one or several processes."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from csvjax.errors import InputError
from csvjax.lms.fill import Path, Place

__all__ = ["gather", "make_mesh", "place_batch", "place_weights"]

_WIDER = (
    "query",
    "key",
    "value",
    "gate",
    "up",
    "shared_gate",
    "shared_up",
    "project_in",
)  # outputs are split over devices
_NARROWER = ("out", "down", "shared_down", "project_out")  # inputs are split


def make_mesh(model: int = 1) -> Mesh:
    """A mesh of all devices of all processes: each model is split over `model` devices, and batches over the others.

    Raises: InputError if `model` does not divide the number of devices.
    """
    count = jax.device_count()
    if model < 1 or count % model:
        raise InputError(
            f"expected --model-devices to divide the number of devices, {count}, found {model}; choose another number"
        )
    return jax.make_mesh((count // model, model), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)


def _spec(path: Path, ndim: int) -> PartitionSpec:
    """How a parameter is split over devices.

    Matrices are split so that each branch of a block needs one sum over devices, at its end (arXiv 1909.08053).
    Each expert is split in the same way. Embedding, positions and head are split along the width, which works for every
    vocabulary.
    """
    if len(path) == 1 and ndim == 2:
        return PartitionSpec(None, "model")
    if len(path) == 1:
        return PartitionSpec(None)
    module, leaf = path[-2:]
    experts = (None,) * (ndim - 2)
    if module in _WIDER:
        return PartitionSpec(*experts, None, "model") if leaf == "kernel" else PartitionSpec("model")
    if module in _NARROWER and leaf == "kernel":
        return PartitionSpec(*experts, "model", None)
    return PartitionSpec(*(None,) * ndim)


def place_weights(mesh: Mesh) -> Place:
    """A function that splits weights over the model axis; weights that do not divide are copied to each device."""

    def place(path: Path, array: np.ndarray) -> jax.Array:
        spec = _spec(path, array.ndim)
        even = all(axis is None or size % mesh.shape[axis] == 0 for size, axis in zip(array.shape, spec, strict=True))
        sharding = NamedSharding(mesh, spec if even else PartitionSpec())
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return place


def place_batch(mesh: Mesh) -> Callable[[np.ndarray], jax.Array]:
    """A function that splits the rows of a batch, which every process has, over the data axis."""
    sharding = NamedSharding(mesh, PartitionSpec("data", None))
    return lambda array: jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def gather(found: jax.Array) -> np.ndarray:
    """Wait for an array, and return all of it on every process."""
    if found.is_fully_addressable:
        return np.asarray(found)
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(found, tiled=True))
