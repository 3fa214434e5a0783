"""Runs in object stores: written here and uploaded when they are complete, downloaded to be read.

`complete.json` names every file of a run with its SHA-256. It is deleted before an upload and created after it, so an
upload that was interrupted is no run, and a reader sees if another command has changed a file since. `begun.json` is
there while a run is uploaded, so that the same command may replace what an interrupted upload has left.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from csvjax.atomic import removed_at_the_end
from csvjax.errors import InputError
from csvjax.objects import Bucket, address, open_bucket

__all__ = ["check_address", "local_run", "uploaded"]

_MARK, _BEGUN = "complete.json", "begun.json"
_FORMAT = "csvjax run in an object store 1"
_AGAIN = "run the command that writes it again"


def check_address(url: str) -> None:
    """Check that a run may be written at an address. Only runs, and what is left of an upload, are replaced.

    Raises: InputError if there are objects of another kind, and for a store that cannot be reached.
    """
    bucket = open_bucket(url)
    names = bucket.names()
    if names and not {_MARK, _BEGUN} & set(names):
        raise InputError(
            f"expected nothing or an older run to replace at {url}, found {names[0]}; choose another --out"
        )


@contextmanager
def uploaded(url: str) -> Iterator[Path]:
    """A temporary folder; when the block ends, the files in it become the run at an address.

    Raises: InputError for what `check_address` refuses, for a store that cannot be reached, and if another command has
    written a run there at the same time.
    """
    check_address(url)
    with _temporary() as folder:
        yield folder
        _upload(folder, open_bucket(url))


def _upload(folder: Path, bucket: Bucket) -> None:
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    older = bucket.names()
    bucket.put(_BEGUN, b"{}")
    bucket.delete(_MARK)
    checksums = {}
    for name, path in paths.items():
        data = path.read_bytes()
        bucket.put(name, data)
        checksums[name] = hashlib.sha256(data).hexdigest()
    for name in set(older) - set(paths) - {_BEGUN, _MARK}:
        bucket.delete(name)
    mark = {"format": _FORMAT, "files": checksums}
    if not bucket.create(_MARK, json.dumps(mark, indent=1).encode()):
        raise InputError(
            f"expected no other command that writes to {bucket.url}, found a run that was completed meanwhile; choose "
            "another --out, or run the same command again"
        )
    bucket.delete(_BEGUN)


@contextmanager
def local_run(run: Path) -> Iterator[Path]:
    """The folder of a run: itself, or a temporary copy of the run at an address.

    Raises: InputError if there is no complete run at an address, and if it changes while it is read.
    """
    url = address(run)
    if url is None:
        yield run
        return
    with _temporary() as folder:
        _download(open_bucket(url), folder)
        yield folder


def _download(bucket: Bucket, folder: Path) -> None:
    for name, checksum in _files_of(bucket).items():
        found = bucket.get(name)
        if found is None or hashlib.sha256(found[0]).hexdigest() != checksum:
            raise InputError(
                f"expected the whole run at {bucket.url}, found {name} missing or changed; {_AGAIN}, if none does now"
            )
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found[0])


def _files_of(bucket: Bucket) -> dict[str, str]:
    """The names of the files of a run, with their checksums.

    Raises: InputError for a run that is not there or not complete, and for names that leave its folder.
    """
    found = bucket.get(_MARK)
    if found is None:
        what = "an upload that was interrupted" if bucket.get(_BEGUN) else "none"
        raise InputError(f"expected a run of csvjax at {bucket.url}, found {what}; give another address, or {_AGAIN}")
    try:
        mark: Any = json.loads(found[0])
        if mark["format"] != _FORMAT:
            raise ValueError(mark["format"])
        files = {str(name): str(checksum) for name, checksum in mark["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(f"expected a list of files in {bucket.url}/{_MARK}, found another content; {_AGAIN}") from None
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name or "\0" in name:
            raise InputError(f"expected files in the folder of the run at {bucket.url}, found {name!r}; {_AGAIN}")
    return files


@contextmanager
def _temporary() -> Iterator[Path]:
    """A folder that is removed at the end, also if the command is interrupted."""
    folder = Path(tempfile.mkdtemp(prefix="csvjax-run-"))
    with removed_at_the_end(folder):
        yield folder
