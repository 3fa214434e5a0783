"""How experiments start, where they find public tables, and how they go on after they were stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.compiled import keep_compiled
from csvjax.errors import CsvjaxError, InputError

T = TypeVar("T")


def data_folder() -> Path:
    """The folder of public tables.

    Raises: InputError if the variable CSVJAX_DATA does not name a folder.
    """
    named = os.environ.get("CSVJAX_DATA")
    if named is None or not (folder := Path(named)).is_dir():
        found = "it unset" if named is None else repr(named)
        raise InputError(f"expected CSVJAX_DATA to name the folder of public tables, found {found}; set it")
    return folder


def once(path: Path, make: Callable[[], T]) -> T:
    """What `make` gave, read from the JSON file `path` if that was written before."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        value = make()
        with replacing(path) as part:
            runs.write_json(value, part)
    found: T = json.loads(path.read_text(encoding="utf-8"))
    return found


def start(main: Callable[..., Any]) -> None:
    """Call `main` with the options of the command line; wrong input ends with a sentence and exit code 2."""
    keep_compiled()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except CsvjaxError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
