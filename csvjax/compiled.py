"""Compiled programs that outlive their process: a command that is called again does not compile again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["keep_compiled"]

_LARGEST = 2**30  # bytes; what was not used for longest makes room


def keep_compiled() -> None:
    """Let JAX keep what took it a second or more to compile, in the user's cache folder.

    An environment that names another folder (JAX_COMPILATION_CACHE_DIR) is left as it is, and an empty name keeps
    nothing. A folder that cannot be written is no error.
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
        "JAX_COMPILATION_CACHE_MAX_SIZE": _LARGEST,
    }
    jax = sys.modules.get("jax")
    for name, value in settings.items():
        os.environ.setdefault(name, str(value))  # for a JAX that is yet to be imported, here or in another process
        if jax is not None:
            jax.config.update(name.lower(), value)
