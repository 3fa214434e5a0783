"""Reads records of every_eval_ever (github.com/evaleval/every_eval_ever, schema 0.2): a model and its results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data.readers.schema import Row, field, number, stderr_of
from csvjax.errors import InputError

__all__ = ["NAME", "matches", "rows"]

NAME = "records of every_eval_ever"


def _is_record(loaded: Any) -> bool:
    return isinstance(loaded, Mapping) and "evaluation_results" in loaded and "model_info" in loaded


def matches(loaded: Any) -> bool:
    return _is_record(loaded) or (isinstance(loaded, list) and bool(loaded) and all(map(_is_record, loaded)))


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """The results of each record, without metrics whose lower values are better.

    Raises: InputError that names the key, for records that do not follow the schema.
    """
    for at, record in enumerate(loaded if isinstance(loaded, list) else [loaded], 1):
        where = f"record {at}"
        info = field(path, record, "model_info", dict, where)
        name = info.get("id") or info.get("name")
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{path}, {where}, model_info: expected the model's name in 'id', found none; add it")
        for place, result in enumerate(field(path, record, "evaluation_results", list, where), 1):
            yield from _result(path, result, {"lm": name.strip(), "source": path.name}, f"{where}, result {place}")


def _result(path: Path, result: Any, known: Row, where: str) -> Iterator[Row]:
    name = field(path, result, "evaluation_name", str, where)
    config = result.get("metric_config") or {}
    details = field(path, result, "score_details", dict, where)
    score = number(path, details.get("score"), f"{where}, score")
    if not isinstance(config, Mapping) or config.get("lower_is_better") is True or score is None:
        return
    source = result.get("source_data")
    dataset = source.get("dataset_name") if isinstance(source, Mapping) else None
    row: Row = {**known, "score": score}
    row["benchmark"] = dataset if isinstance(dataset, str) and dataset.strip() else name
    metric = config.get("metric_name") or config.get("metric_id") or (name if row["benchmark"] != name else "score")
    row["metric"] = str(metric)
    lowest = number(path, config.get("min_score"), f"{where}, min_score")
    highest = number(path, config.get("max_score"), f"{where}, max_score")
    if lowest == 0 and highest in (1, 100):
        row["unit"] = 1 / highest
    uncertain = details.get("uncertainty")
    if isinstance(uncertain, Mapping):
        error = uncertain.get("standard_error")
        value = error.get("value") if isinstance(error, Mapping) else error
        if (found := stderr_of(path, value, f"{where}, standard_error")) is not None:
            row["stderr"] = found
        count = number(path, uncertain.get("num_samples"), f"{where}, num_samples")
        if count is not None and count >= 1:
            row["n_items"] = count
    if "n_items" not in row and isinstance(source, Mapping):
        count = number(path, source.get("samples_number"), f"{where}, samples_number")
        evaluated = source.get("sample_ids")
        if isinstance(evaluated, list) and evaluated:
            count = min(len(evaluated), count or math.inf)
        if count is not None and count >= 1:
            row["n_items"] = count
    yield row
