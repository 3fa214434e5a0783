"""Stores of losses in object stores, where several machines change the attributes without locks.

A store begins with its attributes, which only one process can create. Whoever opens it writes the arrays of the text
that are not there yet. A change of the attributes names the version that it replaces, and is made again on top of
another one that came before. The losses of a chunk are an object, which is complete or absent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import zarr
from zarr.storage import MemoryStore, ObjectStore

from csvjax.data.loss_format import create_array
from csvjax.errors import InputError
from csvjax.objects import Bucket

__all__ = ["amend", "claim", "complete", "of", "put_array"]

_GROUP, _LOSS = "zarr.json", "loss/zarr.json"
_TRIES = 1000


def of(group: zarr.Group) -> Bucket | None:
    """The object store that a group is in, or None for a local folder."""
    store = group.store
    return Bucket(str(store.store), store.store) if isinstance(store, ObjectStore) else None


def claim(bucket: Bucket, attributes: Mapping[str, Any]) -> None:
    """Create the attributes of a store unless there are some.

    Raises: InputError for a folder with other objects.
    """
    if bucket.get(_GROUP) is not None:
        return
    if (others := bucket.names()) and bucket.get(_GROUP) is None:  # none that another process has just created
        raise InputError(
            f"expected a store of csvjax losses or nothing at {bucket.url}, found {others[0]}; choose another address"
        )
    bucket.create(_GROUP, _metadata(attributes)[_GROUP])


def complete(group: zarr.Group, units: int) -> None:
    """Create the array of losses, without rows, unless it is there."""
    bucket = of(group)
    if bucket is not None:
        bucket.create(_LOSS, _metadata(dict(group.attrs), units)[_LOSS])


def put_array(bucket: Bucket, name: str, data: np.ndarray) -> None:
    """Write an array. Nothing is deleted before, so several processes may do this at once with the same data."""
    written: dict[str, Any] = {}
    create_array(zarr.create_group(MemoryStore(written)), name, data)
    for part, content in written.items():
        if part.startswith(f"{name}/"):
            bucket.put(part, bytes(content.to_bytes()))


def amend(group: zarr.Group, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the attributes as they are now, and have a row of losses for each model."""
    bucket = of(group)
    assert bucket is not None
    for _ in range(_TRIES):
        found = bucket.get(_GROUP)
        assert found is not None
        metadata = json.loads(found[0])
        changed = change(dict(metadata["attributes"]))
        _grow(bucket, len(changed["lms"]))  # first: a model that is named has its row
        metadata["attributes"] = changed
        if bucket.swap(_GROUP, _json(metadata), found[1]):
            group.metadata.attributes.clear()
            group.metadata.attributes.update(changed)
            return
    raise InputError(f"expected to change {bucket.url}, found other changes {_TRIES} times; run the command again")


def _grow(bucket: Bucket, rows: int) -> None:
    for _ in range(_TRIES):
        found = bucket.get(_LOSS)
        assert found is not None
        metadata = json.loads(found[0])
        if metadata["shape"][0] >= rows:
            return
        metadata["shape"][0] = rows
        if bucket.swap(_LOSS, _json(metadata), found[1]):
            return
    raise InputError(f"expected to change {bucket.url}, found other changes {_TRIES} times; run the command again")


def _metadata(attributes: Mapping[str, Any], units: int = 1) -> dict[str, bytes]:
    """The metadata of a store without models, as Zarr writes them."""
    written: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(written), attributes=dict(attributes))
    create_array(group, "loss", shape=(0, units), chunks=(1, attributes["chunk"]), dtype=np.float32)
    return {name: bytes(value.to_bytes()) for name, value in written.items()}


def _json(metadata: Any) -> bytes:
    return json.dumps(metadata, indent=2).encode()
