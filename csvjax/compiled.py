"""Compiles JAX programs with an effort that fits their size, and keeps them on disk for the next process."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

from csvjax.programs import NotKeepable, described, lowered, settings

__all__ = ["jit_by_size", "keep_compiled"]

_CACHE_BYTES = 2**30  # limit of the cache; JAX removes the programs that were unused for longest

_SMALL = 3000  # array elements up to which compiling costs more time than running
_EFFORT = {
    "small": {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 0},
    "large": {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1},
}


def jit_by_size(fun: Callable[..., Any], *, small: int = _SMALL, static: tuple[str, ...] = ()) -> Callable[..., Any]:
    """`jax.jit` with less compiler optimisation for small data.

    The density of a law is thousands of small operations. For 18 models and 8 benchmarks its gradient takes 1 ms, and
    XLA's default effort takes 9 CPU seconds to compile it; without its own fusion and LLVM's optimisation, 1.7 s and
    1.3 ms. For 1,000 models and 50 benchmarks LLVM's first level takes 6 s where the default takes 10, and runs in half
    the time.

    Args:
        fun: the function to compile.
        small: up to this number of array elements, in all tuples among the arguments, nothing is optimised.
        static: the names of the arguments that are not arrays.

    Returns: the compiled function.
    """
    import jax

    plain = jax.jit(fun, static_argnames=static)
    compiled: dict[str, Callable[..., Any]] = {}
    kept: dict[Any, Callable[..., Any] | None] = {}
    signature = inspect.signature(fun)

    @wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        named = signature.bind(*args, **kwargs).arguments
        fixed = {name: value for name, value in named.items() if name in static}
        given = {name: value for name, value in named.items() if name not in static}
        leaves, tree = jax.tree.flatten(given)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return plain(*args, **kwargs)  # inside another jit; compiler options apply to whole programs only
        tables = jax.tree.leaves([value for value in named.values() if isinstance(value, tuple)])
        effort = "small" if sum(getattr(leaf, "size", 1) for leaf in tables) <= small else "large"
        if effort not in compiled:
            compiled[effort] = jax.jit(fun, compiler_options=_options(effort), static_argnames=static)
        shapes = tuple(
            (getattr(leaf, "shape", ()), str(getattr(leaf, "dtype", type(leaf))), getattr(leaf, "weak_type", False))
            for leaf in leaves
        )
        key = (effort, tuple(fixed.values()), tree, shapes, settings())
        if key not in kept:
            kept[key] = _kept(fun, fixed, leaves, tree, _options(effort))
        program = kept[key]
        return compiled[effort](*args, **kwargs) if program is None else program(*leaves)

    return call


def _kept(
    fun: Callable[..., Any], fixed: dict[str, Any], leaves: list[Any], tree: Any, options: dict[str, Any]
) -> Callable[..., Any] | None:
    """The function of `leaves` from the disk, or one that was written there; None where it cannot be kept."""
    import jax

    def flat(*leaves: Any) -> Any:
        return fun(**jax.tree.unflatten(tree, leaves), **fixed)

    try:
        call = lowered(flat, leaves, f"{described(fun)} {described(fixed)} {tree}")
    except NotKeepable:
        return None
    return jax.jit(call, compiler_options=options)


@cache
def _options(effort: str) -> dict[str, Any]:
    """The compiler options that this version of JAX knows; none on a device other than the CPU."""
    import jax

    if jax.default_backend() != "cpu":
        return {}
    known = {}
    for name, value in _EFFORT[effort].items():
        try:
            jax.jit(lambda: 0, compiler_options={name: value})()
        except Exception:  # versions of XLA raise different errors for an unknown option
            continue
        known[name] = value
    return known


def keep_compiled() -> None:
    """Let JAX keep programs that took a second or more to compile in the user's cache folder.

    If the environment variable JAX_COMPILATION_CACHE_DIR is set, nothing changes; an empty value turns the cache off.
    A folder that cannot be written is not an error.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "csvjax" / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": 1.0,
        "JAX_COMPILATION_CACHE_MAX_SIZE": _CACHE_BYTES,
    }
    jax = sys.modules.get("jax")
    for name, value in settings.items():
        os.environ.setdefault(name, str(value))  # for a JAX that is imported later, here or in a child process
        if jax is not None:
            jax.config.update(name.lower(), value)
