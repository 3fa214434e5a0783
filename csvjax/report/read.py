"""The folder of a run, read and checked once: after this the report knows that its columns and numbers are there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csvjax.errors import InputError
from csvjax.evaluate.table import METRICS
from csvjax.result.files import load, load_convergence, load_tree
from csvjax.result.result import Result

__all__ = ["Run", "read_run"]

TEXT = {"predictions": ("split", "law", "benchmark", "lm", "family"), "salience": ("benchmark", "token", "domain")}
NUMBERS = {
    "predictions": ("observed", "floor", "mean", "lower90", "upper90", "mean_loss", "salient_loss"),
    "metrics": METRICS,
    "salience": ("start", "bytes", "base_weight", "share"),
}


@dataclass(frozen=True)
class Run:
    """What a run left behind. Text columns are strings.

    predictions, metrics: without rows where every score was fitted. salience: rows of `csvjax.Result.salience`, None
    where there were no losses. fit, tree, convergence: the fit, its labelled draws and whether its chains agree, None
    where the folder has none. choices, referee: how each fit of an evaluation ended, and what the referee says.
    """

    config: dict[str, Any]
    figures: dict[str, float | str | None]
    predictions: pd.DataFrame
    metrics: pd.DataFrame
    salience: pd.DataFrame | None = None
    fit: Result | None = None
    tree: Any = None
    convergence: pd.DataFrame | None = None
    choices: pd.DataFrame | None = None
    referee: pd.DataFrame | None = None

    @property
    def held(self) -> pd.DataFrame:
        """Predictions of scores that were observed."""
        return self.predictions[self.predictions["observed"].notna()]


def _path(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise InputError(f"a report is made from a folder with the file {name}, and {folder} has none")
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} should be a JSON file and cannot be read as one: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} should hold a JSON object and holds a {type(found).__name__}")
    return found


def _frame(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:  # what pandas and pyarrow raise on a broken file derives from these
        first = (str(error).splitlines() or ["no message"])[0]
        raise InputError(f"{path} should be a {path.suffix[1:]} table and cannot be read as one: {first}") from None


def _checked(frame: pd.DataFrame, path: Path, text: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    missing = [c for c in (*text, *numbers) if c not in frame.columns]
    if missing:
        has = ", ".join(str(c) for c in frame.columns)
        raise InputError(f"{path} should have the columns {', '.join(missing)} and has only {has}")
    if frame.empty:
        raise InputError(f"{path} should have one row or more and has none")
    columns: dict[str, Any] = {column: frame[column].astype(str) for column in text}
    for column in numbers:
        try:  # a column of gaps only, as a run without losses leaves it, has no number type of its own
            columns[column] = pd.to_numeric(frame[column]).to_numpy(float, na_value=np.nan)
        except (ValueError, TypeError) as error:
            raise InputError(f"{path} should hold numbers in its column {column}: {error}") from None
    return frame.assign(**columns)


def _predictions(path: Path) -> pd.DataFrame:
    frame = _checked(_frame(path), path, TEXT["predictions"], NUMBERS["predictions"])
    gaps = frame[~np.isfinite(frame[["mean", "lower90", "upper90"]].to_numpy(float)).all(axis=1)]
    if len(gaps):
        row = gaps.iloc[0]
        raise InputError(
            f"{path} should have a finite mean and 90 % interval in every row, and {len(gaps)} have none, "
            f"the first of them {row['lm']} on {row['benchmark']} ({row['law']}, {row['split']})"
        )
    return frame


def _salience(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    frame = _checked(_frame(path), path, (*TEXT["salience"], "document"), NUMBERS["salience"])
    if not np.isfinite(frame[["base_weight", "share"]].to_numpy(float)).all() or (frame["base_weight"] < 0).any():
        raise InputError(f"{path} should hold a base_weight of 0 or more and a finite share, and some row does not")
    return frame


def _figures(path: Path) -> dict[str, float | str | None]:
    found = _json(path)
    for name, value in found.items():
        if not (value is None or isinstance(value, (int, float, str))):
            raise InputError(
                f"{path} should hold one number or text for each name, and {name} is a {type(value).__name__}"
            )
    return {k: float(v) if isinstance(v, (int, float)) else v for k, v in found.items()}


def _optional(path: Path) -> pd.DataFrame | None:
    return _frame(path) if path.is_file() else None


def _none(name: str) -> pd.DataFrame:
    """A table without rows."""
    text = ("split", "law", "benchmark") if name == "metrics" else TEXT[name]
    columns = {column: pd.Series(dtype=str) for column in text}
    return pd.DataFrame(columns | {column: pd.Series(dtype=float) for column in NUMBERS[name]})


def read_run(folder: Path) -> Run:
    """Read the folder of a run: its configuration, its fit, predictions with their figures, salience, comparison.

    `config.json` must be there, and `predictions.parquet`, `metrics.csv` and `figures.json` too, unless there is a fit,
    which may have seen every score.

    Raises InputError with one sentence for the first file that is missing, cannot be read or lacks a column.
    """
    if not folder.is_dir():
        raise InputError(f"a report is made from the folder of a run, and {folder} is none")
    config = _json(_path(folder, "config.json"))
    fitted = (folder / "fit.json").is_file()
    if fitted and not (folder / "predictions.parquet").is_file():
        predictions, metrics, figures = _none("predictions"), _none("metrics"), {}
    else:
        path = _path(folder, "metrics.csv")
        figures = _figures(_path(folder, "figures.json"))
        predictions = _predictions(_path(folder, "predictions.parquet"))
        metrics = _checked(_frame(path), path, ("split", "law", "benchmark"), NUMBERS["metrics"])
    return Run(
        config=config,
        figures=figures,
        predictions=predictions,
        metrics=metrics,
        salience=_salience(folder / "salience.parquet"),
        fit=load(folder) if fitted else None,
        tree=load_tree(folder) if fitted else None,
        convergence=load_convergence(folder) if fitted else None,
        choices=_optional(folder / "choices.csv"),
        referee=_optional(folder / "referee.csv"),
    )
