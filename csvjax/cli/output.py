"""What commands give to other programs: one JSON document on stdout, and tables as parquet, CSV or JSON."""

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

from csvjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AsJson", "check_table_path", "predictions", "with_json", "write_table"]

AsJson = Annotated[
    bool,
    typer.Option(
        "--json", show_default=False, help="Print one JSON document on stdout; everything else goes to stderr."
    ),
]
_FORMATS = (".csv", ".json", ".parquet")
# What a table of predictions says, in words that need no manual.
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
    """The decorator of a command that returns its answer: `--json` prints this, and what it says goes to stderr."""
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
    """The answer with a list of objects for each frame."""
    if isinstance(value, dict):
        return {name: _rows(part) for name, part in value.items()}
    return value.to_dict("records") if hasattr(value, "to_dict") else value


def predictions(found: pd.DataFrame) -> pd.DataFrame:
    """Predicted cells as programs get them: what is predicted, both 90 % intervals, and what was observed."""
    return found[list(_PREDICTIONS)].rename(columns=_PREDICTIONS)


def check_table_path(path: Path) -> None:
    """Raises: InputError for a folder, and for a name that does not end as a table does."""
    if path.is_dir():
        raise InputError(f"expected a file to write to, found the folder {path}; choose another")
    if path.suffix not in _FORMATS:
        raise InputError(f"expected a file that ends in {', '.join(_FORMATS)}, found {path}; rename it")


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the format that its name ends in; the file is whole or as before. JSON: a list of objects.

    Raises: InputError as `check_table_path` does.
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
