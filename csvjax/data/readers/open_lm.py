"""Reads evaluations of open_lm (github.com/mlfoundations/scaling), `evaluation_MODEL_heavy.json` and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data import kinds, records
from csvjax.data.readers.schema import Row, field, number

__all__ = ["NAME", "matches", "rows"]

NAME = "an evaluation of open_lm"


def matches(loaded: Any) -> bool:
    metrics = loaded.get("eval_metrics") if isinstance(loaded, Mapping) else None
    return isinstance(metrics, Mapping) and isinstance(metrics.get("icl"), Mapping)


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """A row for each task, with size, tokens and corpus (as the family) from the file of the model, if it exists.

    Raises: InputError for a score or an amount that is not a number.
    """
    name = path.name.removesuffix(".json").removeprefix("evaluation_")
    for suffix in ("_heavy", "_medium", "_light"):
        name = name.removesuffix(suffix)
    row: Row = {"lm": name, "source": path.name, **_model(path.parent.parent / "models" / f"{name}.json")}
    for task, value in field(path, loaded["eval_metrics"], "icl", dict, "eval_metrics").items():
        score = number(path, value, f"eval_metrics.icl, {task!r}")
        if score is not None:
            yield {**row, "benchmark": str(task), "score": score}


def _model(path: Path) -> Row:
    if not path.is_file():
        return {}
    loaded = records.load_json(path, kinds.decode(path, path.read_bytes()))
    settings = field(path, loaded, "hyperparameters", dict, "top of the file")
    found: Row = {}
    params = number(path, settings.get("params"), "hyperparameters.params")
    tokens = number(path, settings.get("tokens"), "hyperparameters.tokens")
    if params is not None and params > 0:
        found["params"] = params
    if tokens is not None and tokens > 0:
        found["tokens"] = tokens
    if isinstance(loaded.get("dataset_name"), str):
        found["family"] = loaded["dataset_name"]
    return found
