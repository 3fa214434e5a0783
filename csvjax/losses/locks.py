"""Locks of a store. They end with their process, even if it is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zarr

from csvjax.errors import InputError
from csvjax.objects import address

__all__ = ["alone", "remove_empty", "undisturbed", "working"]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A block that only one process at a time enters for this folder; others wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def working(path: Path) -> Iterator[None]:
    """Hold a store as one of its writers. The first writer removes files that a killed process left behind.

    In an object store nothing is held, and nothing is left behind.
    """
    if address(path) is not None:
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in path.rglob("*.partial"):
                left.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # another process writes, and unfinished files may be its own
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def undisturbed(path: Path) -> Iterator[None]:
    """Hold a store while nobody writes to it.

    Raises: InputError if a process is writing to it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"expected a store that no process is writing to at {path}, found csvjax losses at work; wait until it "
                "is done"
            ) from None
        yield
    finally:
        os.close(handle)


def remove_empty(path: Path) -> None:
    """Remove a store without models, which an extraction without results leaves, unless a process is writing to it.

    In an object store it stays, because nobody can know whether another process is about to write to it.
    """
    if address(path) is not None:
        return
    if zarr.open_group(path, mode="r").attrs.get("lms"):
        return
    try:
        with undisturbed(path):
            if not zarr.open_group(path, mode="r").attrs.get("lms"):
                shutil.rmtree(path)
    except InputError:
        pass
