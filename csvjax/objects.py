"""Object stores: folders at s3://, gs://, az:// and memory://, through obstore.

An object is written in one step and is complete or absent. There are no locks; who changes an object that others change
too says which version of it is to be replaced, and is refused if it is no longer there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from csvjax.errors import InputError, installed

__all__ = ["Bucket", "address", "open_bucket", "reachable", "refuse_remote", "zarr_place"]

_ADDRESS = re.compile(r"(s3|gs|az|memory):/{1,2}(?=[^/])")
_TIMEOUT = timedelta(seconds=60)  # for one try of a request
_PATIENCE = timedelta(minutes=5)  # for a request with all its tries


def address(path: str | os.PathLike[str]) -> str | None:
    """The address of a folder in an object store, or None for a local path. `pathlib` turns s3:// into s3:/."""
    text = os.fspath(path)
    found = _ADDRESS.match(text)
    return None if found is None else f"{found[1]}://{text[found.end() :].rstrip('/')}"


def refuse_remote(path: str | os.PathLike[str], what: str) -> None:
    """Raises: InputError if `path`, in the words `what`, is in an object store."""
    if url := address(path):
        raise InputError(
            f"expected a local path for {what}, found {url}; give a local path, and copy it there when it is complete"
        )


@contextmanager
def reachable(url: str) -> Iterator[None]:
    """Raises: InputError, in one sentence, for an error of the object store at `url` in the block."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"expected an object store that can be used at {url}, found an error ({said[:200].rstrip('.')}); check the "
            "address, the credentials and the network, and run the same command again"
        ) from None


@dataclass(frozen=True)
class Bucket:
    """A folder of an object store; names are relative to it, with slashes.

    Attributes:
        url: its address.
        store: what obstore opened.
    """

    url: str
    store: Any

    def get(self, name: str) -> tuple[bytes, str | None] | None:
        """The content and the version of an object; None if there is none."""
        import obstore

        with reachable(self.url):
            try:
                found = obstore.get(self.store, name)
                return bytes(found.bytes()), found.meta["e_tag"]
            except FileNotFoundError:
                return None

    def put(self, name: str, data: bytes) -> None:
        """Write an object, or replace it."""
        self._put(name, data, "overwrite")

    def create(self, name: str, data: bytes) -> bool:
        """Write an object; False if there is one."""
        return self._put(name, data, "create")

    def swap(self, name: str, data: bytes, version: str | None) -> bool:
        """Write an object in the place of this version of it; False if it is another by now."""
        return self._put(name, data, {"e_tag": version})

    def _put(self, name: str, data: bytes, mode: Any) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with reachable(self.url):
            try:
                obstore.put(self.store, name, data, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def delete(self, name: str) -> None:
        """Delete an object, if there is one."""
        import obstore

        with reachable(self.url), suppress(FileNotFoundError):
            obstore.delete(self.store, name)

    def names(self, below: str = "") -> list[str]:
        """The sorted names of the objects below a folder."""
        import obstore

        with reachable(self.url):
            return sorted(found["path"] for found in obstore.list(self.store, below or None).collect())


@cache
def open_bucket(url: str) -> Bucket:
    """The folder at an address, with the credentials and the endpoint of the environment (AWS_..., GOOGLE_...).

    Raises: InputError if obstore is not installed, and for an address that it cannot read.
    """
    with installed(f"an address like {url.split('://')[0]}://", "objects"):
        from obstore.store import MemoryStore, from_url
    if url.startswith("memory://"):
        return Bucket(url, MemoryStore())
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    options: dict[str, Any] = {
        "client_options": {"timeout": _TIMEOUT, **({"allow_http": True} if plain else {})},
        "retry_config": {"max_retries": 10, "retry_timeout": _PATIENCE},
    }
    with reachable(url):
        return Bucket(url, from_url(url, **options))


def zarr_place(path: str | os.PathLike[str], read_only: bool = True) -> Any:
    """What `zarr.open_group` takes for a local path or an address."""
    url = address(path)
    if url is None:
        return os.fspath(path)
    bucket = open_bucket(url)
    from zarr.storage import ObjectStore

    return ObjectStore(bucket.store, read_only=read_only)
