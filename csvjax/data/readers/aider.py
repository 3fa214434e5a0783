"""Reads Aider's leaderboards in YAML: a record for each run, with pass rates in percent after one, two, ... tries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data.readers.schema import Row, field, number

__all__ = ["NAME", "matches", "rows"]

NAME = "a leaderboard of Aider"

_RATE = re.compile(r"pass_rate_(\d+)")


def matches(loaded: Any) -> bool:
    return (
        isinstance(loaded, list)
        and bool(loaded)
        and all(isinstance(run, Mapping) and "model" in run and "edit_format" in run for run in loaded)
        and any("pass_rate_1" in run for run in loaded)
    )


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """The last pass rate of each run as its score, and earlier pass rates as further metrics.

    If a model has several runs, the later ones have the edit format and the number of the record in their names.

    Raises: InputError for a name that is not text or a rate that is not a number.
    """
    seen: dict[str, int] = {}
    last = max(int(match[1]) for run in loaded for key in run if (match := _RATE.fullmatch(str(key))))
    for at, run in enumerate(loaded, 1):
        where = f"record {at}"
        lm = field(path, run, "model", str, where)
        seen[lm] = seen.get(lm, 0) + 1
        row: Row = {"lm": lm if seen[lm] == 1 else f"{lm} ({run['edit_format']}, record {at})", "source": path.name}
        cases = number(path, run.get("test_cases"), f"{where}, test_cases")
        if cases is not None and cases >= 1:
            row["n_items"] = cases
        for tries in range(last, 0, -1):
            rate = number(path, run.get(f"pass_rate_{tries}"), f"{where}, pass_rate_{tries}")
            if rate is not None:
                benchmark = f"aider_{path.name.split('.')[0].removesuffix('_leaderboard')}"
                metric = "score" if tries == last else f"pass_rate_{tries}"
                yield {**row, "benchmark": benchmark, "score": rate, "unit": 0.01, "metric": metric}
