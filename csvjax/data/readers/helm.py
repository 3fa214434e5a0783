"""Reads run folders of HELM: each run is a folder with `run_spec.json` and `stats.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data.readers.schema import Row, field, number
from csvjax.data.records import load_json
from csvjax.errors import InputError

__all__ = ["FILES", "NAME", "rows"]

NAME = "run folders of HELM"
FILES = (
    "run_spec.json",
    "stats.json",
    "per_instance_stats.json",
    "scenario_state.json",
    "scenario.json",
    "instances.json",
)
_METRICS = (
    *("exact_match", "quasi_exact_match", "prefix_exact_match", "quasi_prefix_exact_match", "final_number_exact_match"),
    *(
        "math_equiv",
        "math_equiv_chain_of_thought",
        "f1_score",
        "ifeval_strict_accuracy",
        "chain_of_thought_correctness",
    ),
    *("accuracy", "pass", "code_eval_acc", "safety_score", "omni_math_accuracy"),
)


def rows(folder: Path) -> Iterator[Row]:
    """The scores of all runs in a folder and its subfolders, on the test split and without perturbations.

    Raises: InputError for files that HELM does not write.
    """
    for spec in sorted(folder.rglob("run_spec.json")):
        stats = spec.parent / "stats.json"
        if stats.is_file():
            yield from _run(spec, stats)


def _loaded(path: Path) -> Any:
    try:
        return load_json(path, path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected text in UTF-8, found other bytes; write the run again") from None


def _run(spec: Path, stats: Path) -> Iterator[Row]:
    told = _loaded(spec)
    name = field(spec, told, "name", str, "top of the file")
    model = field(spec, field(spec, told, "adapter_spec", dict, "top of the file"), "model", str, "adapter_spec")
    scenario, _, arguments = name.partition(":")
    kept = [word for word in arguments.split(",") if not word.startswith(("model=", "model_deployment="))]
    benchmark = f"{scenario}:{','.join(kept)}".rstrip(": ") or name
    loaded = _loaded(stats)
    if not isinstance(loaded, list):
        raise InputError(
            f"{stats}: expected a list of statistics, found a JSON {type(loaded).__name__}; write it again"
        )
    means: dict[str, tuple[float, float | None]] = {}
    count = None
    for at, stat in enumerate(loaded, 1):
        where = f"statistic {at}"
        what = field(stats, stat, "name", dict, where)
        metric = field(stats, what, "name", str, f"{where}, name")
        if what.get("split", "test") not in ("test", "valid") or what.get("perturbation"):
            continue
        value = number(stats, stat.get("mean"), f"{where} ({metric})") if isinstance(stat, Mapping) else None
        if value is None:
            continue
        if metric == "num_instances":
            count = value
        elif metric in _METRICS and (metric not in means or what.get("split") == "test"):
            means[metric] = value, None
    for metric in _METRICS:
        if metric in means:
            row: Row = {"lm": model, "benchmark": benchmark, "metric": metric, "score": means[metric][0]}
            row["source"] = spec.parent.name
            if count is not None and count >= 1:
                row["n_items"] = count
            yield row
