"""Runs many methods on many questions, and judges their predictions.

A trial is one method on one question. Its key is a hash of everything that its result depends on: the view, the
observations, the method with its settings, the seed, the number of draws, and the source code of the method and of the
modules of csvjax that it imports. A result that the cache folder has under this key is not computed again. A method
that fails gives an outcome too.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import pandas as pd

from csvjax.atomic import replacing
from csvjax.baselines.method import Method, NotApplicable
from csvjax.baselines.view import View
from csvjax.cluster import Lost, Tell, Where, run_all
from csvjax.data.dataset import Dataset
from csvjax.errors import CsvjaxError
from csvjax.evaluate.judged import COLUMNS, judge_cells
from csvjax.evaluate.questions import Question
from csvjax.evaluate.sources import source_hash
from csvjax.names import positions

__all__ = ["Comparison", "Outcome", "Trial", "compare", "key_of", "tasks", "versions"]

Status = Literal["ok", "failed", "not applicable"]


@dataclass(frozen=True, eq=False)
class Trial:
    """One method on one question. The method never sees `observed` [lm, target], which is for the referee."""

    split: str
    question: str
    label: str
    method: Method
    view: View
    lms: tuple[str, ...]
    targets: tuple[str, ...]
    sees: frozenset[str]
    asked: np.ndarray
    observed: np.ndarray
    seed: int
    draws: int


class Outcome(NamedTuple):
    """What became of a trial.

    Attributes:
        split: the split of the question.
        question: name of the question.
        method: name of the method.
        status: "ok", "failed" or "not applicable".
        reason: why there is no prediction; "" for "ok".
        asked: number of scores to predict.
        answered: number of scores that were predicted.
        seconds: CPU time.
        again: whether the result was read from the cache.
    """

    split: str
    question: str
    method: str
    status: Status
    reason: str
    asked: int
    answered: int
    seconds: float
    again: bool = False


class Comparison(NamedTuple):
    """The results of all trials.

    Attributes:
        cells: judged predictions, the rows of `judge_cells` with the columns split, question and method.
        outcomes: an `Outcome` for each trial, as a frame.
    """

    cells: pd.DataFrame
    outcomes: pd.DataFrame


def tasks(
    dataset: Dataset, asked: Iterable[Question], methods: Mapping[str, Method], draws: int = 400, seed: int = 0
) -> Iterator[Trial]:
    """A trial for each method and question."""
    table = dataset.scores
    assert table is not None  # without scores there is no question
    for question in asked:
        view = question.view(dataset)
        sees = question.sees - (frozenset() if view.loss.shape[1] else {"losses"})
        observed = table.score[:, positions(question.targets, table.benchmarks, "benchmark")]
        for label, method in methods.items():
            yield Trial(
                question.split, question.name, label, method, view, table.lms, question.targets, sees,
                question.asked, observed, seed, draws,
            )  # fmt: skip


def compare(
    work: Sequence[Trial],
    where: Where | None = None,
    cache: Path | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Comparison:
    """Run all trials. A method that cannot be fitted, or that raises an error, has an outcome with the reason.

    Args:
        work: the trials.
        where: where the trials run; None for this process.
        cache: folder for results, or None.
        tell: called with a sentence after each trial.
    """
    found: dict[int, tuple[Outcome, pd.DataFrame | None]] = {}
    open_trials = []
    for at, trial in enumerate(work):
        known = None if cache is None else _read(cache, trial)
        if known is None:
            open_trials.append(at)
        else:
            found[at] = known
    for number, result in run_all([work[at] for at in open_trials], _work, where or Where()):
        at = open_trials[number]
        answer = (_outcome(work[at], "failed", result.reason), None) if isinstance(result, Lost) else result
        found[at] = answer
        if cache is not None:
            _write(cache, work[at], *answer)
        tell(f"{answer[0].split}: {answer[0].question}, {answer[0].method}: {answer[0].status}")
    parts = [
        cells.assign(split=outcome.split, question=outcome.question, method=outcome.method)
        for outcome, cells in (found[at] for at in range(len(work)))
        if cells is not None
    ]
    whole = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=["split", "question", "method", *COLUMNS])
    )
    return Comparison(whole, pd.DataFrame([found[at][0] for at in range(len(work))], columns=list(Outcome._fields)))


def _work(trial: Trial, tell: Tell) -> tuple[Outcome, pd.DataFrame | None]:
    return _answer(trial)


def _outcome(
    trial: Trial, status: Status, reason: str = "", answered: int = 0, seconds: float = 0.0, again: bool = False
) -> Outcome:
    asked = int(trial.asked.sum())
    return Outcome(trial.split, trial.question, trial.label, status, reason, asked, answered, round(seconds, 3), again)


def _answer(trial: Trial) -> tuple[Outcome, pd.DataFrame | None]:
    """Run one trial and judge its predictions."""
    if missing := sorted(trial.method.needs - trial.sees):
        return _outcome(trial, "not applicable", f"needs {' and '.join(missing)} of the models to predict"), None
    begun = time.process_time()
    fit_key, draw_key = jax.random.split(jax.random.key(trial.seed))
    try:
        with np.errstate(all="ignore"):
            fitted = trial.method.fit(trial.view, fit_key)
            rows = np.flatnonzero(trial.asked.any(axis=1))
            asked = trial.view.take(rows)
            predicted = np.full(trial.asked.shape, np.nan)
            draws = np.full((trial.draws, *trial.asked.shape), np.nan)
            predicted[rows] = fitted.predict(asked)
            draws[:, rows] = fitted.draws(asked, draw_key, trial.draws)
    except NotApplicable as error:
        return _outcome(trial, "not applicable", " ".join(str(error).split())), None
    except CsvjaxError as error:
        return _outcome(trial, "failed", " ".join(str(error).split()), seconds=time.process_time() - begun), None
    except Exception as error:  # a third-party method may raise anything, and the other trials go on
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return _outcome(trial, "failed", reason, seconds=time.process_time() - begun), None
    seconds = time.process_time() - begun
    cells = judge_cells(
        trial.lms,
        [str(f) for f in trial.view.family],
        trial.targets,
        trial.asked,
        trial.observed,
        predicted,
        draws,
        trial.seed,
    )
    answered = int(cells["crps"].notna().sum())
    if not answered and (unknown := _unknown(trial)):
        return _outcome(trial, "not applicable", f"needs {unknown}, unknown for all models to predict"), None
    if not answered:
        return _outcome(trial, "failed", "predicted none of the scores", seconds=seconds), None
    return _outcome(trial, "ok", answered=answered, seconds=seconds), cells


def _unknown(trial: Trial) -> str:
    """Something that the method needs and that is unknown for all models to predict; "" if there is none.

    Compute is unknown if params, tokens and flops all are. If the method names required amounts as `amounts`, a single
    unknown one of them is enough.
    """
    rows = trial.asked.any(axis=1)
    view = trial.view
    amounts = {name: np.isnan(getattr(view, name)[rows]).all() for name in ("params", "tokens", "flops")}
    unknown = {
        **{name: amounts[name] for name in getattr(trial.method, "amounts", ())},
        "compute": all(amounts.values()),
        "scores": np.isnan(view.score[rows]).all(),
        "losses": np.isnan(view.loss[rows]).all(),
        "family": (view.family[rows] == "").all(),
    }
    needed = {*getattr(trial.method, "amounts", ()), *trial.method.needs}
    return next((name for name, nothing in unknown.items() if nothing and name in needed), "")


def key_of(trial: Trial) -> str:
    """The hash of everything that the result of a trial depends on."""
    digest = hashlib.blake2b(digest_size=16)
    said = (
        trial.split,
        trial.question,
        trial.label,
        trial.targets,
        sorted(trial.sees),
        trial.lms,
        trial.seed,
        trial.draws,
    )
    source = source_hash(_modules(trial.method) | {__name__})
    digest.update(repr((said, _signature(trial.method), versions(), source)).encode())
    for array in (*(getattr(trial.view, f.name) for f in fields(trial.view)), trial.asked, trial.observed):
        value = array.astype("U") if array.dtype.kind in "OU" else array
        digest.update(repr((value.shape, value.dtype.kind)).encode())
        digest.update("\0".join(value.tolist()).encode() if value.dtype.kind == "U" else value.tobytes())
    return digest.hexdigest()


def _signature(value: Any) -> Any:
    """A method with its settings, as a value whose repr is the same in every process."""
    if isinstance(value, functools.partial):
        return (_signature(value.func), [_signature(v) for v in value.args], _signature(value.keywords))
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value).__qualname__, {f.name: _signature(getattr(value, f.name)) for f in fields(value)})
    if isinstance(value, Mapping):
        return {str(k): _signature(v) for k, v in sorted(value.items(), key=lambda item: str(item[0]))}
    if isinstance(value, (list, tuple)):
        return [_signature(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(str(v) for v in value)
    if isinstance(value, np.ndarray):
        return (value.shape, hashlib.blake2b(value.tobytes(), digest_size=8).hexdigest())
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else repr(value)


@functools.cache
def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    return {name: importlib.metadata.version(name) for name in ("csvjax", "jax", "numpy", "scipy")}


def _modules(value: Any) -> set[str]:
    """The modules that define a method and its functions."""
    if isinstance(value, functools.partial):
        parts: Iterable[Any] = (value.func, *value.args, *value.keywords.values())
        return set().union(*(_modules(part) for part in parts))
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__module__}.union(*(_modules(getattr(value, f.name)) for f in fields(value)))
    if isinstance(value, (list, tuple)):
        return set().union(*(_modules(part) for part in value))
    return {value.__module__} if callable(value) else {type(value).__module__}


def _read(cache: Path, trial: Trial) -> tuple[Outcome, pd.DataFrame | None] | None:
    place = cache / key_of(trial)
    try:
        outcome = Outcome(**json.loads(place.with_suffix(".json").read_text(encoding="utf-8")))._replace(again=True)
        return outcome, pd.read_parquet(place.with_suffix(".parquet")) if outcome.status == "ok" else None
    except (OSError, ValueError, TypeError):
        return None  # missing or damaged: the trial is run again


def _write(cache: Path, trial: Trial, outcome: Outcome, cells: pd.DataFrame | None) -> None:
    """Write the result to the cache. The outcome is written last, so that it proves that both files are complete."""
    if outcome.status == "failed":
        return  # not cached: it may succeed another time
    place = cache / key_of(trial)
    os.makedirs(cache, exist_ok=True)
    if cells is not None:
        with replacing(place.with_suffix(".parquet")) as part:
            cells.to_parquet(part)
    with replacing(place.with_suffix(".json")) as part:
        part.write_text(json.dumps(outcome._asdict()), encoding="utf-8")
