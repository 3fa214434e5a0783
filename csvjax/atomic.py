"""Files that are whole or absent: written under another name beside their place, then moved there."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


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
    try:
        yield part
        if path.is_dir():
            os.replace(path, old)
        os.replace(part, path)
    finally:
        for left in (part, old):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)
