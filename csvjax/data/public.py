"""Finds public tables by name: in a folder of the user, in the cache, or in their repository at a fixed commit."""

from __future__ import annotations

import hashlib
import logging
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from csvjax import names
from csvjax.errors import InputError

__all__ = ["PublicTable", "fetch", "public_tables"]

_URL = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
_FOLDER = "CSVJAX_DATA"


@dataclass(frozen=True)
class PublicTable:
    """A public table.

    Attributes:
        name: the name for `csvjax fetch`.
        repository: owner and name on GitHub.
        commit: the commit from which the files are downloaded.
        licence: the licence of the table.
        about: what the table holds.
        folder: the folder of its files within CSVJAX_DATA and within the cache.
        files: SHA-256 in hexadecimal of each file, by its path in the repository.
        root: folder of the repository whose subfolders are kept; without it all files lie in one folder.
    """

    name: str
    repository: str
    commit: str
    licence: str
    about: str
    folder: str
    files: Mapping[str, str]
    root: str = ""

    def place(self, path: str) -> PurePosixPath:
        """Where the file with this path in the repository lies within the folder of the table."""
        return PurePosixPath(path).relative_to(self.root) if self.root else PurePosixPath(PurePosixPath(path).name)


@cache
def public_tables() -> Mapping[str, PublicTable]:
    """All public tables that csvjax knows, by name."""
    loaded = tomllib.loads((Path(__file__).parent / "public.toml").read_text(encoding="utf-8"))
    return {name: PublicTable(name, **told) for name, told in loaded.items()}


def fetch(name: str) -> tuple[PublicTable, list[Path]]:
    """A public table and the paths of its files on this machine.

    A file in the folder that the environment variable CSVJAX_DATA names is used. Otherwise the file is taken from the
    cache of csvjax, and downloaded to it first if it is missing. The SHA-256 of every file is checked.

    Raises: InputError for an unknown name, for a file with other content, and for a file that cannot be downloaded; the
    error says where to put it.
    """
    known = public_tables()
    if name not in known:
        raise InputError(f"expected the name of a public table, found {name!r}: {names.hint(name, known)}")
    table = known[name]
    return table, [_file(table, path, digest) for path, digest in table.files.items()]


def _file(table: PublicTable, path: str, digest: str) -> Path:
    own = os.environ.get(_FOLDER)
    place = Path(own or "FOLDER") / table.folder / table.place(path)
    if own and place.is_file():
        if hashlib.sha256(place.read_bytes()).hexdigest() != digest:
            raise InputError(
                f"{place}: expected the file {path} of github.com/{table.repository} at {table.commit[:12]}, found a "
                f"file with other content; replace it, or remove it to download it"
            )
        return place
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    url = _URL.format(repository=table.repository, commit=table.commit, path=path)
    cached = (pooch.os_cache("csvjax") / "tables" / table.folder / table.place(path)).parent
    try:
        return Path(pooch.retrieve(url, f"sha256:{digest}", place.name, cached))
    except OSError as error:  # errors of the network (requests) and of the file system
        raise InputError(
            f"expected to download {url}, found an error ({type(error).__name__}); save this file as {place}"
            + ("" if own else f" in a folder of your choice, and set {_FOLDER} to FOLDER")
        ) from None
    except ValueError:
        raise InputError(
            f"{url}: expected a file with the SHA-256 {digest[:12]}..., found another file; try again, or copy it "
            f"from a source that you trust"
        ) from None
