"""Deletes a model from a store, and reads only the models that are complete."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from csvjax.atomic import replacing
from csvjax.data.loss_format import FORMAT, decode_units, merge_empty
from csvjax.data.losses import LossTable
from csvjax.data.read_losses import read_losses
from csvjax.errors import InputError
from csvjax.losses import store as stores
from csvjax.losses.locks import undisturbed
from csvjax.names import hint
from csvjax.objects import refuse_remote, zarr_place

__all__ = ["drop", "read_complete"]


def drop(path: Path, lm: str) -> None:
    """Delete a model and its losses from a store. The store is complete at any moment.

    Raises: InputError if there is no store of csvjax losses, no such model in it, or if a process is writing to it.
    """
    refuse_remote(path, "a store from which a model is deleted")
    if not _begun(path):
        raise InputError(f"expected a store that csvjax losses wrote at {path}, found something else; check the path")
    with undisturbed(path), replacing(path) as part:
        shutil.copytree(path, part, copy_function=_copy)
        group = zarr.open_group(part, mode="r+")
        attributes: dict[str, Any] = dict(group.attrs)
        lms: list[str] = stores.attribute(group, "lms")
        if lm not in lms:
            raise InputError(f"expected a model of the store {path}, found {lm!r}: {hint(lm, lms)}")
        row, rows = lms.index(lm), part / "loss" / "c"
        shutil.rmtree(rows / str(row), ignore_errors=True)
        for later in range(row + 1, len(lms)):
            if (rows / str(later)).is_dir():
                (rows / str(later)).rename(rows / str(later - 1))
        loss = group["loss"]
        assert isinstance(loss, zarr.Array)
        loss.resize((len(lms) - 1, loss.shape[1]))
        for name in ("models", "accuracy", "batch"):
            kept = {key: value for key, value in dict(attributes.get(name, {})).items() if key != lm}
            if kept or name == "models":
                attributes[name] = kept
            else:
                attributes.pop(name, None)
        group.attrs.put(attributes | {"lms": [name for name in lms if name != lm]})


def _copy(source: str, target: str) -> None:
    """Copy a file of a store. Chunks are never changed in place, so a hard link is enough; attributes are copied."""
    try:
        if Path(source).name != "zarr.json":
            os.link(source, target)
            return
    except OSError:  # a file system without hard links
        pass
    shutil.copy2(source, target)


def _begun(path: Path) -> bool:
    """Whether `path` is a store of csvjax losses."""
    try:
        attributes = dict(zarr.open_group(zarr_place(path), mode="r").attrs)
    except Exception:  # errors of Zarr and the file system
        return False
    return attributes.get("format") == FORMAT and "models" in attributes


def read_complete(path: Path) -> tuple[LossTable, tuple[str, ...]]:
    """The losses of the models without missing chunks, and the names of the other models.

    Raises: InputError if no model is complete, and for a store that `read_losses` refuses.
    """
    if not _begun(path):
        return read_losses(path), ()
    group = zarr.open_group(zarr_place(path), mode="r")
    lms: list[str] = stores.attribute(group, "lms")
    whole = (stores.chunk_states(group) == stores.WHOLE).all(axis=1)
    left = tuple(lm for lm, complete in zip(lms, whole, strict=True) if not complete)
    if not left:
        return read_losses(path), ()
    if not whole.any():
        raise InputError(
            f"expected a model whose losses are complete in {path}, found none; run the same csvjax losses command "
            "again, which computes the missing losses"
        )
    try:
        arrays = {name: np.asarray(array[...]) for name, array in group.arrays() if name != "loss"}
        units, texts = decode_units(dict(group.attrs), arrays)
    except Exception as error:  # errors of Zarr and its codecs
        raise InputError(
            f"expected a store that can be read at {path}, found a damaged one; run csvjax losses again"
        ) from error
    loss = np.stack([np.asarray(group["loss"][row]) for row in np.flatnonzero(whole)])  # type: ignore[index]  # an array
    loss, units = merge_empty(loss, units, texts)
    return LossTable(tuple(lm for lm in lms if lm not in left), loss, units, texts), left
