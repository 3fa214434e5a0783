"""Keeps programs on disk as JAX lowered them, so that the next process neither traces nor lowers them again.

JAX's own cache keeps what XLA compiled, and finds it by the lowered program. Tracing and lowering the density of a law
takes some 7 CPU seconds of a command. Here a program is found by what it was made from: the function and its static
arguments, the shapes and types of the others, the source code of csvjax, and the versions of what that is built on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from csvjax.atomic import replacing

__all__ = ["NotKeepable", "described", "keepable", "lowered", "settings"]

_BUILT_ON = ("jax", "jaxlib", "numpyro", "numpy")
_SETTINGS = ("jax_enable_x64", "jax_default_matmul_precision")
_LIMIT = 2**28  # bytes; those that were unused for longest are removed

T = TypeVar("T")


class NotKeepable(Exception):
    """A value that cannot be described by what it is made of, or that a kept program cannot take."""


def keepable(kind: type[T]) -> type[T]:
    """A class decorator: a program that returns this named tuple can be kept."""
    from jax import export

    return export.register_namedtuple_serialization(kind, serialized_name=f"{kind.__module__}.{kind.__qualname__}")


def described(value: Any) -> str:
    """A description that is the same in every process, and differs for values that do.

    Raises: NotKeepable for an object that is not a plain value, a function of a module, a partial of one, or a
        dataclass of these.
    """
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, partial):
        return f"partial({described(value.func)}, {described(value.args)}, {described(value.keywords)})"
    if isinstance(value, tuple | list):
        return f"{type(value).__qualname__}({', '.join(map(described, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{described(k)}: {described(value[k])}' for k in sorted(value))})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ", ".join(f"{f.name}={described(getattr(value, f.name))}" for f in dataclasses.fields(value))
        return f"{type(value).__module__}.{type(value).__qualname__}({fields})"
    name = getattr(value, "__qualname__", "<locals>")
    if callable(value) and "<" not in name:
        return f"{value.__module__}.{name}"
    raise NotKeepable(f"{type(value).__qualname__} {value!r}")


def settings() -> tuple[Any, ...]:
    """The settings of JAX, here and now, on which a program depends beside its function and arguments."""
    import jax

    return *map(_setting, _SETTINGS), jax.default_backend()


def _setting(name: str) -> Any:
    import jax

    return getattr(jax.config, name)


def lowered(fun: Callable[..., Any], leaves: list[Any], made_from: str) -> Callable[..., Any]:
    """`fun(*leaves)`, lowered: from the disk where it was kept, otherwise traced now, and kept.

    Args:
        fun: a function of arrays. It must not use other arrays.
        leaves: its arguments, of which only the shapes and types are used.
        made_from: tells `fun` from every other function.

    Raises: NotKeepable where there is no folder to keep it in, or an argument or result is of a kind that cannot be
        kept.
    """
    import jax
    from jax import export

    cache_folder = _setting("jax_compilation_cache_dir")
    if not cache_folder:
        raise NotKeepable("no folder")
    shapes = [_shape(leaf) for leaf in leaves]
    whole = "\n".join([_built_on(), made_from, described(settings()), *map(str, shapes)])
    folder = Path(cache_folder, "lowered")
    path = folder / hashlib.sha256(whole.encode()).hexdigest()
    try:
        found = export.deserialize(bytearray(path.read_bytes()))
        path.touch()
        return found.call
    except Exception:  # none is kept, or not a whole one: it is made anew
        pass
    try:
        made = export.export(jax.jit(fun))(*shapes)
        kept = made.serialize()
    except (ValueError, NotImplementedError) as error:
        raise NotKeepable(str(error)) from error
    try:
        with replacing(path) as part:
            part.write_bytes(kept)
        _remove_oldest(folder)
    except OSError:  # a full or read-only disk only costs the next process its time
        pass
    return made.call


def _shape(leaf: Any) -> Any:
    import jax

    kind = jax.typeof(leaf)
    if kind.weak_type and not isinstance(leaf, bool | int):
        raise NotKeepable("a number whose type follows its neighbours")
    if len(getattr(getattr(leaf, "sharding", None), "device_set", (0,))) > 1:
        raise NotKeepable("an array of several devices")
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype)


@cache
def _built_on() -> str:
    """The versions of what programs are made with, and a hash of the source code of csvjax."""
    source = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        source.update(path.read_bytes())
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _BUILT_ON]
    return " ".join([sys.version, *versions, source.hexdigest()])


def _remove_oldest(folder: Path) -> None:
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir())
    excess = sum(size for _, size, _ in files) - _LIMIT
    for _, size, path in files:
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size
