"""Many methods on many questions: judged cells, and one outcome for each pair, also where a method fails.

Every pair of question and method is a task of its own, keyed by a hash of all that its answer depends on: the view, the
observations, the method with its settings, the seed, the number of draws, and the source of the method and of what it
imports from csvjax. What a folder has under that key is not computed again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, is_dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import pandas as pd

from csvjax.atomic import replacing
from csvjax.baselines.method import Method, NotApplicable
from csvjax.baselines.view import View
from csvjax.data.dataset import Dataset
from csvjax.errors import CsvjaxError
from csvjax.evaluate.judged import COLUMNS, judge_cells
from csvjax.evaluate.questions import Question
from csvjax.evaluate.sources import source_hash
from csvjax.names import positions

__all__ = ["Comparison", "Outcome", "Task", "compare", "key_of", "tasks", "versions"]

Status = Literal["ok", "failed", "not applicable"]


@dataclass(frozen=True, eq=False)
class Task:
    """One method on one question; `observed` [lm, target] is for the referee alone."""

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
    """`reason`: why there is no answer; `asked`, `answered`: cells; `seconds`: CPU; `again`: read from the cache."""

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
    """`cells`: rows of `judge_cells` with the columns split, question and method. `outcomes`: a row for each task."""

    cells: pd.DataFrame
    outcomes: pd.DataFrame


def tasks(
    dataset: Dataset, asked: Iterable[Question], methods: Mapping[str, Method], draws: int = 400, seed: int = 0
) -> Iterator[Task]:
    """Every method on every question."""
    table = dataset.scores
    assert table is not None  # else there would be no question
    for question in asked:
        view = question.view(dataset)
        sees = question.sees - (frozenset() if view.loss.shape[1] else {"losses"})
        observed = table.score[:, positions(question.targets, table.benchmarks, "benchmark")]
        for label, method in methods.items():
            yield Task(
                question.split, question.name, label, method, view, table.lms, question.targets, sees,
                question.asked, observed, seed, draws,
            )  # fmt: skip


def compare(
    work: Sequence[Task], jobs: int = 1, cache: Path | None = None, tell: Callable[[str], None] = lambda sentence: None
) -> Comparison:
    """Do all tasks, `jobs` at a time, each in a process of its own if there is more than one.

    A method that cannot fit, or that breaks, is an outcome with its reason. `cache`: a folder for answers.
    """
    found: dict[int, tuple[Outcome, pd.DataFrame | None]] = {}
    open_tasks = []
    for at, task in enumerate(work):
        known = None if cache is None else _read(cache, task)
        if known is None:
            open_tasks.append(at)
        else:
            found[at] = known
    for at, answer in _answers(work, open_tasks, jobs):
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


def _answers(
    work: Sequence[Task], at: Sequence[int], jobs: int
) -> Iterator[tuple[int, tuple[Outcome, pd.DataFrame | None]]]:
    if jobs < 2 or len(at) < 2:
        for number in at:
            yield number, _answer(work[number])
        return
    with ProcessPoolExecutor(min(jobs, len(at)), get_context("spawn")) as pool:
        running: dict[Future[Any], int] = {}
        left = iter(at)
        for number in left:
            running[pool.submit(_answer, work[number])] = number
            if len(running) >= 2 * jobs:
                break
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                number = running.pop(future)
                try:
                    yield number, future.result()
                except BrokenProcessPool:
                    yield number, (_outcome(work[number], "failed", "its process ended; it may need more memory"), None)
                following = next(left, None)
                if following is not None:
                    try:
                        running[pool.submit(_answer, work[following])] = following
                    except BrokenProcessPool:
                        yield (
                            following,
                            (_outcome(work[following], "failed", "an earlier process ended; run again"), None),
                        )


def _outcome(
    task: Task, status: Status, reason: str = "", answered: int = 0, seconds: float = 0.0, again: bool = False
) -> Outcome:
    asked = int(task.asked.sum())
    return Outcome(task.split, task.question, task.label, status, reason, asked, answered, round(seconds, 3), again)


def _answer(task: Task) -> tuple[Outcome, pd.DataFrame | None]:
    """What the method says, judged; failing is an answer too."""
    if missing := sorted(task.method.needs - task.sees):
        return _outcome(task, "not applicable", f"needs {' and '.join(missing)} of the models to predict"), None
    begun = time.process_time()
    fit_key, draw_key = jax.random.split(jax.random.key(task.seed))
    try:
        with np.errstate(all="ignore"):
            fitted = task.method.fit(task.view, fit_key)
            rows = np.flatnonzero(task.asked.any(axis=1))
            asked = task.view.take(rows)
            predicted = np.full(task.asked.shape, np.nan)
            draws = np.full((task.draws, *task.asked.shape), np.nan)
            predicted[rows] = fitted.predict(asked)
            draws[:, rows] = fitted.draws(asked, draw_key, task.draws)
    except NotApplicable as error:
        return _outcome(task, "not applicable", " ".join(str(error).split())), None
    except CsvjaxError as error:
        return _outcome(task, "failed", " ".join(str(error).split()), seconds=time.process_time() - begun), None
    except Exception as error:  # a method of somebody else may break in any way, and the others go on
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return _outcome(task, "failed", reason, seconds=time.process_time() - begun), None
    seconds = time.process_time() - begun
    cells = judge_cells(
        task.lms,
        [str(f) for f in task.view.family],
        task.targets,
        task.asked,
        task.observed,
        predicted,
        draws,
        task.seed,
    )
    answered = int(cells["crps"].notna().sum())
    if not answered and (unknown := _unknown(task)):
        return _outcome(task, "not applicable", f"needs {unknown}, unknown for all models to predict"), None
    if not answered:
        return _outcome(task, "failed", "gave no answer for any cell that was asked", seconds=seconds), None
    return _outcome(task, "ok", answered=answered, seconds=seconds), cells


def _unknown(task: Task) -> str:
    """What the method needs and the view shows for none of the models that are asked; "" if there is no such thing.

    Compute is unknown if all its amounts are. A method may name, as `amounts`, those that it cannot do without: then
    one of them is enough.
    """
    rows = task.asked.any(axis=1)
    view = task.view
    amounts = {name: np.isnan(getattr(view, name)[rows]).all() for name in ("params", "tokens", "flops")}
    unknown = {
        **{name: amounts[name] for name in getattr(task.method, "amounts", ())},
        "compute": all(amounts.values()),
        "scores": np.isnan(view.score[rows]).all(),
        "losses": np.isnan(view.loss[rows]).all(),
        "family": (view.family[rows] == "").all(),
    }
    needed = {*getattr(task.method, "amounts", ()), *task.method.needs}
    return next((name for name, nothing in unknown.items() if nothing and name in needed), "")


def key_of(task: Task) -> str:
    """The hash of all that the answer to a task depends on."""
    digest = hashlib.blake2b(digest_size=16)
    said = (task.split, task.question, task.label, task.targets, sorted(task.sees), task.lms, task.seed, task.draws)
    source = source_hash(_modules(task.method) | {__name__})
    digest.update(repr((said, _signature(task.method), versions(), source)).encode())
    for array in (*(getattr(task.view, f.name) for f in fields(task.view)), task.asked, task.observed):
        value = array.astype("U") if array.dtype.kind in "OU" else array
        digest.update(repr((value.shape, value.dtype.kind)).encode())
        digest.update("\0".join(value.tolist()).encode() if value.dtype.kind == "U" else value.tobytes())
    return digest.hexdigest()


def _signature(value: Any) -> Any:
    """A method with its settings as something whose text is the same in every process."""
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
    """Versions of the packages that compute."""
    return {name: importlib.metadata.version(name) for name in ("csvjax", "jax", "numpy", "scipy")}


def _modules(value: Any) -> set[str]:
    """The modules in which a method and its functions are written."""
    if isinstance(value, functools.partial):
        parts: Iterable[Any] = (value.func, *value.args, *value.keywords.values())
        return set().union(*(_modules(part) for part in parts))
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__module__}.union(*(_modules(getattr(value, f.name)) for f in fields(value)))
    if isinstance(value, (list, tuple)):
        return set().union(*(_modules(part) for part in value))
    return {value.__module__} if callable(value) else {type(value).__module__}


def _read(cache: Path, task: Task) -> tuple[Outcome, pd.DataFrame | None] | None:
    place = cache / key_of(task)
    try:
        outcome = Outcome(**json.loads(place.with_suffix(".json").read_text(encoding="utf-8")))._replace(again=True)
        return outcome, pd.read_parquet(place.with_suffix(".parquet")) if outcome.status == "ok" else None
    except (OSError, ValueError, TypeError):
        return None  # not there, or damaged: it is computed again


def _write(cache: Path, task: Task, outcome: Outcome, cells: pd.DataFrame | None) -> None:
    """The outcome last, so that it stands for both files."""
    if outcome.status == "failed":
        return  # may go well another time, and costs little
    place = cache / key_of(task)
    os.makedirs(cache, exist_ok=True)
    if cells is not None:
        with replacing(place.with_suffix(".parquet")) as part:
            cells.to_parquet(part)
    with replacing(place.with_suffix(".json")) as part:
        part.write_text(json.dumps(outcome._asdict()), encoding="utf-8")
