"""Reads results of lm-evaluation-harness (`results_*.json`), of all its versions.

Metrics were first called `acc` and `acc_stderr`, later `acc,none` and `acc_stderr,none` with a filter after the comma.
A task in a group that has a score itself has the name of the group in `group`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data.readers.schema import Row, field, number, stderr_of

__all__ = ["NAME", "matches", "metric_rows", "rows"]

NAME = "results of lm-evaluation-harness"

_MODEL = re.compile(r"(?:^|,)\s*(?:pretrained|model|model_name|path|engine)\s*=\s*([^,]+)")
_USUAL = frozenset({"acc", "acc_norm", "exact_match", "em", "f1", "mc2", "pass@1"})
_PLAIN_FILTERS = ("", "none")
_NO_METRIC = frozenset(
    {"alias", "samples", "sample_len", "sample_count", "version", "task_name", "name", "n", "num_samples"}
)


def matches(loaded: Any) -> bool:
    if not isinstance(loaded, Mapping) or not isinstance(loaded.get("results"), Mapping):
        return False
    keys = ("config", "configs", "versions", "n-shot", "n-samples", "model_name", "git_hash", "lm_eval_version")
    return any(key in loaded for key in keys)


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """The scores of all tasks and groups.

    Raises: InputError that names the task and the metric, for content that the harness does not write.
    """
    known: Row = {"lm": _model(path, loaded), "source": path.name}
    config = loaded.get("config")
    params = number(path, config.get("model_num_parameters"), "config") if isinstance(config, Mapping) else None
    if params is not None and params > 0:
        known["params"] = params
    results: Mapping[str, Any] = {**loaded["results"]}
    for name, group in _mapping(path, loaded, "groups").items():
        results.setdefault(name, group)  # type: ignore[attr-defined]
    part_of = _parts(path, loaded, results)
    counts = _mapping(path, loaded, "n-samples")
    rising = _mapping(path, loaded, "higher_is_better")
    for task in results:
        metrics = field(path, results, task, dict, "results")
        row: Row = {**known, "benchmark": task}
        if task in part_of:
            row["group"] = part_of[task]
        count = counts.get(task)
        if isinstance(count, Mapping):
            n_items = number(path, count.get("effective", count.get("original")), f"n-samples of {task!r}")
            if n_items is not None and n_items >= 1:
                row["n_items"] = n_items
        up = rising.get(task)
        yield from metric_rows(path, metrics, row, up if isinstance(up, Mapping) else {})


def metric_rows(path: Path, metrics: Mapping[str, Any], row: Row, rising: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each metric whose higher values are better."""
    where = f"task {row['benchmark']!r}"
    for key, value in metrics.items():
        name, _, filtered = (part.strip() for part in str(key).partition(","))
        if not name or name in _NO_METRIC or name.endswith("_stderr") or rising.get(name) is False:
            continue
        nested = isinstance(value, (dict, list)) and name not in _USUAL
        if nested or (isinstance(value, str) and _is_word(value)):
            continue
        score = number(path, value, f"{where}, metric {key!r}")
        if score is None:
            continue
        found: Row = {**row, "score": score, "metric": name if filtered in _PLAIN_FILTERS else f"{name},{filtered}"}
        error_key = f"{name}_stderr,{filtered}" if "," in str(key) else f"{name}_stderr"
        error = stderr_of(path, metrics.get(error_key), f"{where}, {error_key!r}")
        if error is not None:
            found["stderr"] = error
        yield found


def _is_word(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return True
    return False


def _mapping(path: Path, loaded: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = loaded.get(key)
    return {} if not found else field(path, loaded, key, dict, "top of the file")


def _parts(path: Path, loaded: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, str]:
    """The group of each task, for groups that have a score themselves."""
    found: dict[str, str] = {}
    for group, tasks in _mapping(path, loaded, "group_subtasks").items():
        has_score = isinstance(results.get(group), Mapping) and any(
            isinstance(value, float) and "stderr" not in key for key, value in results[group].items()
        )
        if has_score and isinstance(tasks, list):
            found |= {str(task): group for task in tasks if task != group}
    return found


def _model(path: Path, loaded: Mapping[str, Any]) -> str:
    """The name of the model: from the file, or from the name that the harness gives to its folder."""
    config = loaded.get("config")
    config = config if isinstance(config, Mapping) else {}
    general = loaded.get("config_general")
    told = [loaded.get("model_name"), general.get("model_name") if isinstance(general, Mapping) else None]
    arguments = config.get("model_args")
    if isinstance(arguments, Mapping):
        told += [arguments.get(key) for key in ("pretrained", "model", "model_name", "path")]
    elif isinstance(arguments, str) and (match := _MODEL.search(arguments)):
        told.append(match[1].strip())
    told += [config.get("model_name"), config.get("model")]
    for name in told:
        if isinstance(name, str) and name.strip():
            return name.strip().removeprefix("models--")
    return (path.parent.name if path.name.startswith("results") and path.parent.name else path.stem).replace("__", "/")
