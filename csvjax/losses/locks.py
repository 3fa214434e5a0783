"""Who works on a store: locks that end with their process, so that a kill leaves none behind."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zarr

from csvjax.errors import InputError

__all__ = ["alone", "remove_empty", "undisturbed", "working"]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else is in such a block for this folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def working(path: Path) -> Iterator[None]:
    """Hold the store at `path` as one of those who write to it; the first of them clears what a kill left behind."""
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in path.rglob("*.partial"):
                left.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # someone else writes, and what looks left behind may be theirs
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def undisturbed(path: Path) -> Iterator[None]:
    """Hold the store at `path` while nobody writes to it. Raises: InputError if somebody does."""
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"expected a store that nobody writes to at {path}, found one that csvjax losses works on; wait until "
                "it is done"
            ) from None
        yield
    finally:
        os.close(handle)


def remove_empty(path: Path) -> None:
    """Remove a store that has no model, unless somebody writes to it: an extraction without a result leaves none."""
    if zarr.open_group(path, mode="r").attrs.get("lms"):
        return
    try:
        with undisturbed(path):
            if not zarr.open_group(path, mode="r").attrs.get("lms"):
                shutil.rmtree(path)
    except InputError:
        pass
