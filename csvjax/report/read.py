"""Reads and checks the folder of a run, so that the report can rely on its columns and numbers."""

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
    """The contents of a run folder.

    Attributes:
        config: the configuration.
        figures: the main results.
        predictions: predicted scores; no rows if every score was fitted.
        metrics: metrics of the predictions; no rows if every score was fitted.
        salience: rows of `csvjax.Result.salience`; None without losses.
        fit: the fit, or None.
        tree: labelled draws of the fit, or None.
        convergence: convergence of its chains, or None.
        choices: status of each fit of an evaluation, or None.
        referee: comparison of an evaluation, or None.
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
        """The predictions of scores that are known."""
        return self.predictions[self.predictions["observed"].notna()]


def _path(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise InputError(
            f"expected the file {name} in the run folder {folder}, found none; give the folder of a complete run"
        )
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: expected JSON, found a file that cannot be read ({error}); run the command again"
        ) from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object, found a {type(found).__name__}; run the command again")
    return found


def _frame(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:  # errors of pandas and pyarrow about damaged files
        first = (str(error).splitlines() or ["no message"])[0]
        raise InputError(
            f"{path}: expected a {path.suffix[1:]} table, found a damaged file ({first}); run the command again"
        ) from None


def _checked(frame: pd.DataFrame, path: Path, text: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    missing = [c for c in (*text, *numbers) if c not in frame.columns]
    if missing:
        has = ", ".join(str(c) for c in frame.columns)
        raise InputError(f"{path}: expected the columns {', '.join(missing)}, found only {has}; run the command again")
    if frame.empty:
        raise InputError(f"{path}: expected at least one row, found none; run the command again")
    columns: dict[str, Any] = {column: frame[column].astype(str) for column in text}
    for column in numbers:
        try:  # a column without values, as in a run without losses, has no type of numbers
            columns[column] = pd.to_numeric(frame[column]).to_numpy(float, na_value=np.nan)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{path}: expected numbers in the column {column}, found others ({error}); run the command again"
            ) from None
    return frame.assign(**columns)


def _predictions(path: Path) -> pd.DataFrame:
    frame = _checked(_frame(path), path, TEXT["predictions"], NUMBERS["predictions"])
    gaps = frame[~np.isfinite(frame[["mean", "lower90", "upper90"]].to_numpy(float)).all(axis=1)]
    if len(gaps):
        row = gaps.iloc[0]
        raise InputError(
            f"{path}: expected a finite mean and 90 % interval in every row, found {len(gaps)} rows without, the first "
            f"is {row['lm']} on {row['benchmark']} ({row['law']}, {row['split']}); run the command again"
        )
    return frame


def _salience(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    frame = _checked(_frame(path), path, (*TEXT["salience"], "document"), NUMBERS["salience"])
    if not np.isfinite(frame[["base_weight", "share"]].to_numpy(float)).all() or (frame["base_weight"] < 0).any():
        raise InputError(
            f"{path}: expected a base_weight of at least 0 and a finite share, found others; run the command again"
        )
    return frame


def _figures(path: Path) -> dict[str, float | str | None]:
    found = _json(path)
    for name, value in found.items():
        if not (value is None or isinstance(value, (int, float, str))):
            raise InputError(
                f"{path}: expected a number or text for each name, found a {type(value).__name__} for {name}; run the "
                f"command again"
            )
    return {k: float(v) if isinstance(v, (int, float)) else v for k, v in found.items()}


def _optional(path: Path) -> pd.DataFrame | None:
    return _frame(path) if path.is_file() else None


def _none(name: str) -> pd.DataFrame:
    """An empty table with the right columns."""
    text = ("split", "law", "benchmark") if name == "metrics" else TEXT[name]
    columns = {column: pd.Series(dtype=str) for column in text}
    return pd.DataFrame(columns | {column: pd.Series(dtype=float) for column in NUMBERS[name]})


def read_run(folder: Path) -> Run:
    """Read the folder of a run.

    It must have `config.json`, and either a fit or `predictions.parquet`, `metrics.csv` and `figures.json`. A fit may
    have seen every score and then has no predictions.

    Raises: InputError for the first file that is missing, cannot be read, or has no required column.
    """
    if not folder.is_dir():
        raise InputError(
            f"expected the folder of a run, found no folder {folder}; give the folder that was --out of the run"
        )
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
