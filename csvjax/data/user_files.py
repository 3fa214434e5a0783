"""Reads TOML files with facts about benchmarks or models: a table for each, whose keys are checked."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from csvjax import names
from csvjax.errors import InputError

__all__ = ["checked_aliases", "is_number", "load_tables"]


def load_tables(path: str | os.PathLike[str], what: str, keys: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """The tables of a TOML file by name.

    Args:
        path: the file.
        what: "benchmark" or "model", for errors.
        keys: the keys that a table may have.

    Raises: InputError for a file that cannot be read, for entries that are not tables, and for an unknown key.
    """
    try:
        loaded = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"expected a TOML file of {what}s, found no file {path}; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: expected TOML, found other text ({error}); correct the file") from None
    for name, told in loaded.items():
        where = f"{path}, {what} {name!r}"
        if not isinstance(told, Mapping):
            raise InputError(
                f"{where}: expected a table with the keys {', '.join(keys)}, found {told!r}; begin it with "
                f'["{name}"], with quotes if the name contains a dot'
            )
        if unknown := [key for key in told if key not in keys]:
            raise InputError(
                f"{where}: expected keys of a {what}, found {unknown[0]!r}: {names.hint(unknown[0], keys)}"
            )
    return loaded


def checked_aliases(where: str, told: Mapping[str, Any]) -> tuple[str, ...]:
    """The aliases of a table.

    Raises: InputError for aliases that are not a list of names.
    """
    aliases = told.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise InputError(f"{where}: expected aliases to be a list of names, found {aliases!r}; write ['a', 'b']")
    return tuple(aliases)


def is_number(value: Any) -> bool:
    """Whether a value of TOML is a number; a boolean is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
