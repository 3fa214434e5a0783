"""Reads samples of lm-evaluation-harness (`samples_TASK_DATE.jsonl`): one answer on each line, with its metrics.

Each metric becomes a score with its number of items. If the file has log-likelihoods of the choices, there are two more
metrics: `p_right`, the probability of the right choice among all choices, which improves while the accuracy is still at
chance (Schaeffer et al. 2024, arXiv 2406.04391); and `nll_right`, the loss on the right choice in nats, in which the
law is linear (Bhagia et al. 2024, arXiv 2412.04403).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from csvjax.data.readers.schema import Row, number
from csvjax.errors import InputError

__all__ = ["NAME", "matches", "rows"]

NAME = "samples of lm-evaluation-harness"

_FILE = re.compile(r"^samples_(?P<task>.+?)(?:_\d{4}-\d{2}-\d{2}T[\d\-.]+)?\.jsonl(?:\.gz)?$")
_ABOUT = frozenset({"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"})
_USUAL = ("acc", "acc_norm", "exact_match", "em", "f1", "pass@1")
_PLAIN = ("", "none")


def matches(loaded: Any) -> bool:
    return (
        isinstance(loaded, list)
        and bool(loaded)
        and all(isinstance(sample, Mapping) and {"doc_id", "filtered_resps"} <= set(sample) for sample in loaded)
    )


def rows(path: Path, loaded: Any) -> Iterator[Row]:
    """A row for each metric, with the mean over the samples.

    Raises: InputError for a file with another name, a repeated sample, and a metric that is not a number.
    """
    match = _FILE.match(path.name)
    if match is None:
        raise InputError(
            f"{path}: expected a name such as samples_TASK_DATE.jsonl, found another name; rename the file"
        )
    lm = path.parent.name.replace("__", "/")
    if not lm:
        raise InputError(
            f"{path}: expected the file in a folder with the name of the model, found no folder; move it there"
        )
    row: Row = {"lm": lm, "benchmark": match["task"], "source": path.name}
    each: dict[str, list[Mapping[str, Any]]] = {}
    for sample in loaded:
        each.setdefault(str(sample.get("filter", "")), []).append(sample)
    for filtered, samples in each.items():
        ids = [str(sample["doc_id"]) for sample in samples]
        if len(set(ids)) < len(ids):
            raise InputError(
                f"{path}: expected each doc_id once for a filter, found one twice; give the file of a single run"
            )
        for name in _metrics(samples):
            values = [number(path, sample.get(name), f"doc_id {sample['doc_id']}, {name!r}") for sample in samples]
            known = [value for value in values if value is not None]
            if known:
                score: Row = {**row, "score": float(np.mean(known)), "n_items": float(len(known))}
                yield {**score, "metric": name if filtered in _PLAIN else f"{name},{filtered}"}
    found = [right for right in (_right(path, sample) for sample in loaded) if right is not None]
    if len(found) > 1:
        share = np.array([right[0] for right in found])
        error = float(share.std(ddof=1) / math.sqrt(len(share)))
        smooth: Row = {**row, "score": float(share.mean()), "metric": "p_right"}
        yield {**smooth, "stderr": error} if error > 0 else smooth
        yield {**row, "score": float(np.mean([right[1] for right in found])), "metric": "nll_right", "scale": "nats"}


def _metrics(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    told = samples[0].get("metrics")
    names = [name for name in told if isinstance(name, str)] if isinstance(told, list) else _USUAL
    return [name for name in names if name not in _ABOUT and _is_number(samples[0].get(name))]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _right(path: Path, sample: Mapping[str, Any]) -> tuple[float, float] | None:
    """The probability of the right choice among all choices, by their likelihoods, and its negative log-likelihood.

    None for another kind of task.
    """
    target, answers = sample.get("target"), sample["filtered_resps"]
    if isinstance(target, str) and target.isdecimal():
        target = int(target)
    if not isinstance(target, int) or not isinstance(answers, list) or not 0 <= target < len(answers) >= 2:
        return None
    logs = [_log_likelihood(answer) for answer in answers]
    if any(value is None for value in logs):
        return None
    found = np.array(logs, dtype=float)
    if not np.isfinite(found).all():
        raise InputError(
            f"{path}, doc_id {sample['doc_id']}: expected finite log-likelihoods, found others; run it again"
        )
    weight = np.exp(found - found.max())
    return float(weight[target] / weight.sum()), float(-found[target])


def _log_likelihood(answer: Any) -> float | None:
    """The log-likelihood in a pair [log-likelihood, is greedy]; some versions of the harness write it as text."""
    if not isinstance(answer, list) or len(answer) != 2:
        return None
    try:
        return float(answer[0])
    except (TypeError, ValueError):
        return None
