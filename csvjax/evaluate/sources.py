"""Hashes the source code that a result depends on, so that a change of other code does not invalidate it."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

__all__ = ["source_hash"]


def source_hash(modules: Iterable[str]) -> str:
    """The hash of the modules of csvjax among `modules`, and of all modules of csvjax that they import.

    `__init__` files, which only collect names, are not included, nor what is imported through them: code imports the
    modules that matter by their own names.
    """
    found: set[str] = set()
    left = [name for name in modules if name.split(".")[0] == "csvjax"]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _imports(name)
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + _source(name))
    return digest.hexdigest()


@functools.cache
def _path(name: str) -> Path | None:
    """The file of a module; None if there is no such module."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin)


@functools.cache
def _source(name: str) -> bytes:
    path = _path(name)
    return b"" if path is None or path.name == "__init__.py" else path.read_bytes()


@functools.cache
def _imports(name: str) -> tuple[str, ...]:
    """The modules of csvjax that a module imports, at the top or inside functions."""
    path = _path(name)
    if path is None or path.name == "__init__.py":
        return ()
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("csvjax.")]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "csvjax":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.append(inner if _path(inner) is not None else node.module)
    return tuple(found)
