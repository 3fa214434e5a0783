"""Public tables by name: from a folder of the user's, from the cache, or from their repository at a fixed commit."""

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
    """`files`: SHA-256 in hexadecimal, by path in the repository. `folder`: where files lie in a folder of tables."""

    name: str
    repository: str
    commit: str
    licence: str
    about: str
    folder: str
    files: Mapping[str, str]


@cache
def public_tables() -> Mapping[str, PublicTable]:
    """All that csvjax knows, by name."""
    loaded = tomllib.loads((Path(__file__).parent / "public.toml").read_text(encoding="utf-8"))
    return {name: PublicTable(name, **told) for name, told in loaded.items()}


def fetch(name: str) -> tuple[PublicTable, list[Path]]:
    """The table of that name and its files on this machine, in the order of the catalogue.

    A file in the folder that CSVJAX_DATA names is taken from there; else from the cache of csvjax, where it is
    downloaded to if it is missing. Every file is checked by its SHA-256.

    Raises: InputError for another name, a file that differs from the one that is meant, and one that cannot be
    downloaded, with where to put it.
    """
    known = public_tables()
    if name not in known:
        raise InputError(f"expected the name of a public table, found {name!r}: {names.hint(name, known)}")
    table = known[name]
    return table, [_file(table, path, digest) for path, digest in table.files.items()]


def _file(table: PublicTable, path: str, digest: str) -> Path:
    own = os.environ.get(_FOLDER)
    place = Path(own or "FOLDER") / table.folder / PurePosixPath(path).name
    if own and place.is_file():
        if hashlib.sha256(place.read_bytes()).hexdigest() != digest:
            raise InputError(
                f"{place}: expected the file {path} of github.com/{table.repository} at {table.commit[:12]}, found one "
                f"with other content; replace it, or take it away to download it"
            )
        return place
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    url = _URL.format(repository=table.repository, commit=table.commit, path=path)
    cached = pooch.os_cache("csvjax") / "tables" / table.folder
    try:
        return Path(pooch.retrieve(url, f"sha256:{digest}", place.name, cached))
    except OSError as error:  # of the network (requests' errors are such) and of the file system
        raise InputError(
            f"expected to download {url}, found no way to ({type(error).__name__}); save this file as {place} and "
            f"set {_FOLDER} to {'that folder' if own else 'FOLDER'}"
        ) from None
    except ValueError:
        raise InputError(
            f"{url}: expected a file with the SHA-256 {digest[:12]}..., found another one; try again, or take it from "
            f"a copy that you trust"
        ) from None
