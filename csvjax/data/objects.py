"""Turns JSON objects of several forms into records, one for each model with its scores side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from csvjax import names
from csvjax.data.registry import known
from csvjax.errors import InputError

__all__ = ["flat", "is_split", "of_objects", "of_split"]

Records = list[dict[str, Any]]

_WRAPPERS = frozenset({"scores", "results", "metrics", "benchmarks", "evals", "evaluations", "eval", "summary"})
_BESIDE = {
    **dict.fromkeys(("stderr", "std_err", "se", "standard_error"), "stderr"),
    **dict.fromkeys(("n_items", "n_samples", "num_samples", "n"), "n_items"),
}
_NO_SCORES = frozenset(
    {"config", "configs", "settings", "hyperparameters", "hparams", "args", "arguments", "metadata", "meta", "usage"}
    | {"generation", "generation_config", "versions", "environment", "system", "optimizer", "sampling", "timing"}
)
_WHOLE = ("models", "results", "scores", "leaderboard", "data")
_METRIC = re.compile(
    r"(acc|accuracy|acc_norm|em|exact_match|f1|mc[12]|pass@\d+|score|value|mean|stderr|n)\b|.*std_?err", re.I
)
_DEPTH = 6  # levels of objects that become columns


def flat(record: Mapping[Any, Any], depth: int = _DEPTH) -> dict[str, Any]:
    """A record whose objects are columns: {"arc": {"acc": 0.5, "em": 0.4}} has the columns "arc.acc" and "arc.em".

    The name of an object that only holds benchmarks, such as "scores", is left out. An object with one value and its
    error or its number of items has the columns NAME, NAME_stderr and NAME_n_items. Settings are left out.
    """
    found: dict[str, Any] = {}
    for key, value in record.items():
        if not isinstance(value, Mapping) or depth == 0 or str(key).casefold() in _NO_SCORES:
            found[str(key)] = value
            continue
        inside = flat(value, depth - 1)
        beside = {name: _BESIDE[name] for name in inside if name in _BESIDE}
        single = bool(beside) and len(inside) == len(beside) + 1
        for name, cell in inside.items():
            plain = f"{key}_{beside[name]}" if name in beside else str(key) if single else f"{key}.{name}"
            short = name if str(key).casefold() in _WRAPPERS else plain
            found[plain if short in found or short in record else short] = cell
    return found


def is_split(loaded: Mapping[Any, Any]) -> bool:
    """Whether this is a table with its columns apart from its rows, as pandas ("split") and Weights & Biases write."""
    columns, data = loaded.get("columns"), loaded.get("data")
    if not isinstance(columns, list) or not isinstance(data, list) or not data:
        return False
    return all(isinstance(row, list) and len(row) == len(columns) for row in data)


def of_split(loaded: Mapping[Any, Any]) -> Records:
    """The records of an object for which `is_split` holds."""
    rows: Records = [dict(zip(map(str, loaded["columns"]), row, strict=True)) for row in loaded["data"]]
    index = loaded.get("index")
    if isinstance(index, list) and len(index) == len(rows) and any(isinstance(name, str) for name in index):
        return [{"lm": name, **row} for name, row in zip(index, rows, strict=True)]
    return rows


def of_objects(path: object, loaded: Mapping[Any, Mapping[Any, Any]]) -> tuple[Records, Sequence[str]]:
    """The records of an object of objects, one for each model or, as pandas writes it, one for each column; and notes.

    The keys of the outer object are columns if the inner keys number the rows, or if more of the outer keys than of the
    inner ones are known benchmarks. An object of objects in "models", "results" and the like is taken for the whole.

    Raises: InputError for metrics of benchmarks without the name of a model.
    """
    for name in _WHOLE:
        value = loaded.get(name)
        if isinstance(value, Mapping) and value and all(isinstance(part, Mapping) for part in value.values()):
            return of_objects(path, value)
    inner = list(dict.fromkeys(str(key) for value in loaded.values() for key in value))
    numbered = bool(inner) and all(key.isdigit() for key in inner)
    if not numbered and _benchmarks(inner) >= _benchmarks(loaded):
        return [{"lm": str(name), **{str(k): v for k, v in value.items()}} for name, value in loaded.items()], ()
    if not numbered and all(_METRIC.match(key) for key in inner):
        raise InputError(
            f"{path}: expected an object for each model, found one for each benchmark with the metrics "
            f"{names.some(inner)}; write the name of the model above them"
        )
    rows: Records = [{str(name): value.get(key) for name, value in loaded.items()} for key in inner]
    if not numbered:
        rows = [{"lm": key, **row} for key, row in zip(inner, rows, strict=True)]
    return rows, ("the JSON has an object for each column",)


def _benchmarks(keys: Sequence[str] | Mapping[Any, Any]) -> int:
    return sum(known(str(key)) is not None for key in keys)
