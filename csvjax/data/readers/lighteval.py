"""Reads results of lighteval, and of the first Open LLM Leaderboard, whose files have the same form.

Tasks are called `suite|task|shots`, later `task|shots`; "all" is their average. The tasks of MMLU form no group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data.readers.lm_harness import metric_rows
from csvjax.data.readers.schema import Row, field
from csvjax.errors import InputError

__all__ = ["NAME", "matches", "rows"]

NAME = "results of lighteval"


def matches(loaded: Any) -> bool:
    return (
        isinstance(loaded, Mapping)
        and isinstance(loaded.get("results"), Mapping)
        and isinstance(loaded.get("config_general"), Mapping)
    )


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """The scores of all tasks, without averages.

    Raises: InputError for results without the name of the model, and for tasks without metrics.
    """
    lm = _model(path, loaded["config_general"])
    for task in loaded["results"]:
        if task == "all" or str(task).endswith(("|_average|0", ":_average|0", "_average|5")):
            continue
        metrics = field(path, loaded["results"], task, dict, "results")
        row: Row = {"lm": lm, "source": path.name, "benchmark": task_name(str(task))}
        yield from metric_rows(path, metrics, row, {})


def task_name(task: str) -> str:
    """`leaderboard|arc:challenge|25` and `arc:challenge|25` are arc:challenge; `helm|mmlu:law|5|0` is mmlu:law."""
    parts = [part for part in task.split("|") if part]
    while len(parts) > 1 and parts[-1].isdigit():
        parts.pop()
    return parts[-1] if parts else task


def _model(path: Path, general: Mapping[str, Any]) -> str:
    config = general.get("model_config")
    told = [general.get("model_name"), config.get("model_name") if isinstance(config, Mapping) else None]
    if isinstance(config, Mapping):
        told += [config.get("pretrained"), config.get("model")]
    for name in told:
        if isinstance(name, str) and name.strip():
            return name.strip()
    if path.parent.name and path.name.startswith("results"):
        return path.parent.name.replace("__", "/")
    raise InputError(f"{path}, config_general: expected the name of the model in 'model_name', found none; add it")
