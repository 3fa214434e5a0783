"""Writes files that are either complete or absent: write under another name in the same folder, then rename."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["discard", "removed_at_the_end", "replacing"]

_unfinished: set[Path] = set()
_moving = threading.Lock()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; when the block ends, the file or folder written there becomes `path`.

    After an exception `path` is as before and no temporary file is left. A file is replaced in one step. An existing
    folder is first renamed: if the process is killed between the two renames, the old and the new folder are both
    complete, under temporary names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    part = path.with_name(f".{mark}.part.{path.name}")
    old = path.with_name(f".{mark}.old.{path.name}")
    with removed_at_the_end(part), removed_at_the_end(old):
        yield part
        with _moving:
            try:
                if path.is_dir():
                    os.replace(path, old)
                os.replace(part, path)
            except BaseException:
                if old.is_dir() and not path.exists():
                    os.replace(old, path)
                raise


@contextmanager
def removed_at_the_end(path: Path) -> Iterator[None]:
    """Remove a file or folder when the block ends, if it exists. `discard` removes it too."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _remove(path)
        _unfinished.discard(path)


def discard(patience: float = 0.5) -> None:
    """Remove all unfinished files before the process ends abruptly. No file is renamed to its final name after this.

    Args:
        patience: seconds to wait for a rename that has begun.
    """
    _moving.acquire(timeout=patience)
    for path in list(_unfinished):
        for _ in range(3):  # another thread may still be writing there
            try:
                _remove(path)
            except OSError:
                continue
            break


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
