"""Reads results of EvalPlus: `*eval_results.json` of one model, and the leaderboard's `results.json` of many."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csvjax.data.readers.schema import Row, field, number
from csvjax.errors import InputError

__all__ = ["NAME", "matches", "rows"]

NAME = "results of EvalPlus"

_SETTINGS = re.compile(r"_(vllm|hf|openai|anthropic|google|bedrock|gptqmodel|ollama)?_?temp_[\d.]+.*$")


def _is_entry(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("pass@1"), Mapping)


def matches(loaded: Any) -> bool:
    if not isinstance(loaded, Mapping) or not loaded:
        return False
    return isinstance(loaded.get("eval"), Mapping) or all(map(_is_entry, loaded.values()))


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """The scores of HumanEval and MBPP, plain and plus.

    Raises: InputError that names the key, for content that EvalPlus does not write.
    """
    if "eval" not in loaded:
        for name, entry in loaded.items():
            for benchmark in entry["pass@1"]:
                score = number(path, entry["pass@1"][benchmark], f"model {name!r}, {benchmark!r}")
                if score is not None:
                    yield {
                        "lm": name,
                        "benchmark": benchmark,
                        "metric": "pass@1",
                        "score": score,
                        "unit": 0.01,
                        "source": path.name,
                    }
        return
    tasks = field(path, loaded, "eval", dict, "top of the file")
    kind = next(iter(tasks), "").partition("/")[0]
    if kind not in ("HumanEval", "Mbpp"):
        raise InputError(
            f"{path}, eval: expected tasks of HumanEval or Mbpp, found {kind!r}; check that this is the right file"
        )
    name = path.name.removesuffix(".json").removesuffix("eval_results").rstrip("._-").removesuffix(".raw")
    lm = _SETTINGS.sub("", name).replace("--", "/") or path.parent.name
    for version, suffix in (("base", ""), ("plus", "+")):
        score = _pass_at_1(path, loaded, tasks, version)
        if score is not None:
            yield {
                "lm": lm, "benchmark": f"{kind}{suffix}", "metric": "pass@1", "score": score,
                "n_items": float(len(tasks)), "source": path.name,
            }  # fmt: skip


def _pass_at_1(path: Path, loaded: Mapping[str, Any], tasks: Mapping[str, Any], version: str) -> float | None:
    told = loaded.get("pass_at_k")
    if isinstance(told, Mapping) and isinstance(told.get(version), Mapping):
        return number(path, told[version].get("pass@1"), f"pass_at_k of {version!r}")
    shares = []
    for task in tasks:
        samples = field(path, tasks, task, (list, dict), "eval")
        samples = samples if isinstance(samples, list) else samples.get(version, [])
        passed = [_passed(sample, version) for sample in samples]
        if None in passed or not passed:
            return None
        shares.append(sum(map(bool, passed)) / len(passed))
    return sum(shares) / len(shares)


def _passed(sample: Any, version: str) -> bool | None:
    if isinstance(sample, list) and sample:
        return bool(sample[0] in ("pass", "success"))
    if isinstance(sample, Mapping) and isinstance(sample.get(f"{version}_status"), str):
        status = bool(sample[f"{version}_status"] == "pass")
        return status and (version == "base" or sample.get("base_status") == "pass")
    return None
