"""How experiments start, where they find public tables, and how they go on after they were stopped."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import typer

from csvjax import runs
from csvjax.atomic import replacing
from csvjax.compiled import keep_compiled
from csvjax.errors import CsvjaxError, InputError
from csvjax.evaluate.metrics import interval

T = TypeVar("T")
LEVELS = (50, 80, 90)  # per cent
_ROUNDING = 1e-6  # scores are at the ends of intervals where both are 0 or 1


def data_folder() -> Path:
    """The folder of public tables.

    Raises: InputError if the variable CSVJAX_DATA does not name a folder.
    """
    named = os.environ.get("CSVJAX_DATA")
    if named is None or not (folder := Path(named)).is_dir():
        found = "it unset" if named is None else repr(named)
        raise InputError(f"expected CSVJAX_DATA to name the folder of public tables, found {found}; set it")
    return folder


def intervals(y: np.ndarray, draws: np.ndarray, unit: float = 1.0) -> dict[str, float]:
    """How many cells [...] the intervals of the draws [draw, ...] hold at each level, and their mean width in units."""
    row = {}
    for level in LEVELS:
        low, high = interval(draws, level / 100)
        row[f"inside{level}"] = float(np.sum((y >= low - _ROUNDING) & (y <= high + _ROUNDING)))
        row[f"width{level}"] = float(np.mean(high - low)) / unit
    return row


def begin(out: Path, config: dict[str, Any]) -> Path:
    """The folder of a run, with its config.json.

    Raises: InputError for a folder that holds something else, or answers to another config.
    """
    folder = runs.check_out(out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    new = json.dumps(runs.plain({"format": runs.FORMAT} | config), indent=1)
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != json.loads(new):
        raise InputError(f"expected {path} to hold the settings of this call, found others; choose another --out")
    with replacing(path) as part:
        part.write_text(new + "\n", encoding="utf-8")
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


def finish(folder: Path, figures: dict[str, float], **parts: Any) -> None:
    """Write the result as it is committed in experiments/results, and print the figures as the last line."""
    name = json.loads((folder / "config.json").read_text(encoding="utf-8"))["command"]
    made = {"command": f"python -m experiments.{name} --out runs/{name}", "date": datetime.date.today().isoformat()}
    runs.write_json(made | {"figures": figures} | parts, folder / f"{name}.json")
    typer.echo(json.dumps(figures))


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
