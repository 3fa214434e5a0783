"""Output for other programs: one JSON document on stdout, and tables as CSV, JSON or parquet files."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csvjax.cli.source import OUTPUT_PANEL, switch
from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AsJson", "check_table_path", "predictions", "with_json", "write_table"]

AsJson = Annotated[
    bool,
    switch("--json", "Print one JSON document on stdout; all other output goes to stderr.", OUTPUT_PANEL),
]
_FORMATS = (".csv", ".json", ".parquet")
# Columns of the result -> columns of the file, whose names a reader understands without the manual.
_PREDICTIONS = {
    "lm": "lm",
    "benchmark": "benchmark",
    "mean": "predicted",
    "mean_lower90": "mean_score_lower90",
    "mean_upper90": "mean_score_upper90",
    "lower90": "new_observation_lower90",
    "upper90": "new_observation_upper90",
    "observed": "observed",
    "unit": "unit",
}


def with_json(command: Callable[..., Any]) -> Callable[..., None]:
    """The decorator that adds `--json`: print the returned value as JSON, and send all other output to stderr."""
    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson)

    @functools.wraps(command)
    def call(as_json: bool, **given: Any) -> None:
        if not as_json:
            command(**given)
            return
        with contextlib.redirect_stdout(sys.stderr):
            answer = command(**given)
        from csvjax.plain import plain

        typer.echo(json.dumps(_rows(plain(_rows(answer))), ensure_ascii=False, allow_nan=False))

    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    call.__signature__ = signature.replace(parameters=[*own, option])  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, option)}
    return call


def _rows(value: Any) -> Any:
    """The value with every frame replaced by a list of objects, one for each row."""
    if isinstance(value, dict):
        return {name: _rows(part) for name, part in value.items()}
    return value.to_dict("records") if hasattr(value, "to_dict") else value


def predictions(found: pd.DataFrame) -> pd.DataFrame:
    """A table of predictions for other programs: predicted score, both 90 % intervals, observed score."""
    return found[list(_PREDICTIONS)].rename(columns=_PREDICTIONS)


def check_table_path(path: Path) -> None:
    """Check the path of a table before the work begins.

    Raises: InputError for a folder, and for a name that does not end in .csv, .json or .parquet.
    """
    if path.is_dir():
        raise InputError(f"expected a file to write to, found the folder {path}; choose another")
    if path.suffix not in _FORMATS:
        raise InputError(f"expected a file that ends in {', '.join(_FORMATS)}, found {path}; rename it")


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, JSON (a list of objects) or parquet, as the name of the file ends.

    The file is complete or as it was before, even if the process is killed.

    Raises: InputError for a path that `check_table_path` refuses.
    """
    from csvjax.atomic import replacing
    from csvjax.plain import plain, write_json

    check_table_path(path)
    with replacing(path.resolve()) as part:
        if path.suffix == ".csv":
            frame.to_csv(part, index=False, lineterminator="\n")
        elif path.suffix == ".parquet":
            frame.to_parquet(part, index=False)
        else:
            write_json(plain(frame.to_dict("records")), part)
