"""Files that are whole or absent: written under another name beside their place, then moved there."""

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
    """Give a free path in the same folder; afterwards what was written there, a file or a folder, becomes `path`.

    After an exception `path` is as before and nothing is left beside it. A file is replaced in one step. A folder in
    the way is first moved aside: a kill between the two moves leaves the old one whole beside the new one.
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
    """Remove a file or folder when the block ends, if it is there; `discard` removes it too."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _remove(path)
        _unfinished.discard(path)


def discard(patience: float = 0.5) -> None:
    """Remove what is being written, before the process ends without unwinding. No file moves to its place after this.

    patience: seconds to wait for a move that has begun.
    """
    _moving.acquire(timeout=patience)
    for path in list(_unfinished):
        for _ in range(3):  # whoever writes there goes on meanwhile
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
