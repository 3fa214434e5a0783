"""Reads the data file of BenchPress (github.com/microsoft/benchpress): models x benchmarks, null where unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data.readers.schema import Row, field, number
from csvjax.errors import InputError

__all__ = ["NAME", "matches", "rows"]

NAME = "data of BenchPress"


def matches(loaded: Any) -> bool:
    return isinstance(loaded, Mapping) and all(
        isinstance(loaded.get(k), list) for k in ("models", "benchmarks", "observed")
    )


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """The scores. Benchmarks in percent have the metric "score"; the reader of long tables leaves out the others.

    Raises: InputError for a matrix that does not have a row for each model and a column for each benchmark.
    """
    benchmarks = [field(path, item, "id", str, f"benchmark {at}") for at, item in enumerate(loaded["benchmarks"], 1)]
    observed = loaded["observed"]
    if len(observed) != len(loaded["models"]):
        raise InputError(
            f"{path}, observed: expected a row for each of {len(loaded['models'])} models, found {len(observed)}; "
            f"check that the file is complete"
        )
    kinds = _kinds(benchmarks, observed)
    for at, (model, scores) in enumerate(zip(loaded["models"], observed, strict=True), 1):
        lm = field(path, model, "id", str, f"model {at}")
        if not isinstance(scores, list) or len(scores) != len(benchmarks):
            raise InputError(
                f"{path}, observed, row {at}: expected {len(benchmarks)} scores, found another number; check that the "
                f"file is complete"
            )
        for benchmark, value in zip(benchmarks, scores, strict=True):
            score = number(path, value, f"observed, model {lm!r}, benchmark {benchmark!r}")
            if score is not None:
                row: Row = {"lm": lm, "benchmark": benchmark, "score": score, "source": path.name}
                row["metric"] = kinds[benchmark]
                if kinds[benchmark] == "score":
                    row["unit"] = 0.01
                yield row


def _kinds(benchmarks: list[str], observed: list[Any]) -> dict[str, str]:
    """The kind of each benchmark: "score" in percent, "rating", "price", or "loss" up to 1."""
    found = {}
    for b, name in enumerate(benchmarks):
        values = [row[b] for row in observed if isinstance(row, list) and len(row) > b]
        known = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        best = max(known, default=0)
        if any(word in name for word in ("usd", "dollar", "price", "cost", "vending")):
            found[name] = "price"
        else:
            found[name] = "rating" if best > 100 else "loss" if known and best <= 1 else "score"
    return found
