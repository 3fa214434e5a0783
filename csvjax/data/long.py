"""Reads a long table, with a row for each score: model, benchmark, score, and often metric and standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from csvjax import names
from csvjax.data.columns import LONG, covariates, find_columns, lm_names, one_number_each, spelled_as
from csvjax.data.evidence import about, known_benchmark
from csvjax.data.items import items_from_stderr
from csvjax.data.raw_table import RawTable
from csvjax.data.rules import Found, ReadingRules
from csvjax.data.scales import SCALES, Scale, find_scale
from csvjax.data.score_units import (
    DEFAULT,
    Unit,
    check_units,
    find_units,
    refusal,
    to_scale,
    unbounded,
    word_of,
)
from csvjax.data.wide import covariate_notes
from csvjax.errors import InputError

__all__ = ["long_columns", "read_long"]

# If a benchmark has several metrics, the first of these is read; other metrics follow in the order of the table.
_PREFERRED = ("acc", "accuracy", "exact_match", "em", "acc_norm", "pass@1", "mc2", "f1", "score")
_CODES = {"", *SCALES, *(f"{word}:{better}" for word in SCALES for better in ("higher", "lower"))} - {"fraction:lower"}
_FILTERS = ("", "none", "strict-match", "flexible-extract")


def long_columns(raw: RawTable, rules: ReadingRules) -> dict[str, str] | None:
    """The columns of a long table by role, or None for a table that is not long.

    A table with columns called benchmark and score is long. Other spellings (task, value, ...) count if the first
    column holds text and the second one numbers.

    Raises: InputError if only one of the two columns is given and the other one is not found.
    """
    given = {role: rules.columns.get(role) for role in ("benchmark", "score", "metric", "stderr")}
    found = {role: given.get(role) or spelled_as(raw, role) for role in LONG}
    for column in given.values():
        if column is not None:
            raw.position(column)
    benchmark, score = found["benchmark"], found["score"]
    if benchmark is None or score is None:
        if given["benchmark"] or given["score"]:
            missing = "benchmark" if benchmark is None else "score"
            raise InputError(f"{raw.path}: expected a column of {missing}s, found none; name it with {missing}_column")
        return None
    told = given["benchmark"] is not None or given["score"] is not None
    exact = (benchmark.casefold(), score.casefold()) == ("benchmark", "score")
    if not told and not exact and (raw.is_numeric(benchmark) or not raw.is_numeric(score)):
        return None
    return {role: column for role, column in found.items() if column is not None}


@dataclass(frozen=True)
class _Rows:
    """The rows that are used, with the model and the name of the benchmark of each."""

    raw: RawTable
    lms: list[str]
    names: list[str]


def read_long(raw: RawTable, roles: dict[str, str], rules: ReadingRules) -> Found:
    """Read the scores of a long table.

    Raises: InputError for a table that `csvjax.data.read_scores.read_scores` refuses.
    """
    columns = find_columns(raw, rules.roles(), roles.values())
    lms = lm_names(raw, str(columns["lm"]), once=False)
    frame = covariates(raw, lms, columns, rules.units)
    said, ignored = list(raw.said), list(raw.ignored)
    rows, source = _chosen(raw, roles, lms, rules, said)
    raw = rows.raw
    of, found = pd.factorize(np.asarray(rows.names, dtype=object))
    wanted = rules.wanted(tuple(found)) if not rules.every_metric else None
    if wanted is not None:
        names.positions(wanted, tuple(found), "benchmark")
        found = np.asarray(wanted, dtype=object)
    else:
        found, left = _scores_only(raw, roles["score"], of, [str(name) for name in found], source, rules)
        ignored += left
    kept = np.flatnonzero(pd.Index(rows.names).isin(list(found)))
    if len(kept) < len(rows.names):
        raw = raw.rows([int(row) for row in kept])
        rows = _Rows(raw, [rows.lms[row] for row in kept], [rows.names[row] for row in kept])
    benchmarks = tuple(str(name) for name in found)
    if not benchmarks:
        raise InputError(
            f"{raw.path}: expected at least one benchmark with scores, found none; check the column {roles['score']!r}"
        )
    m = pd.Index(frame.index).get_indexer(pd.Index(rows.lms, dtype=str))
    b = pd.Index(benchmarks).get_indexer(pd.Index(rows.names))
    _once(raw, roles, rows, m * len(benchmarks) + b)
    values, units = _fractions(raw, roles, b, benchmarks, rules)
    score = np.full((len(frame), len(benchmarks)), np.nan)
    score[m, b] = values
    known, how = _known(raw, roles, rows, m, b, benchmarks, score, units)
    used = {*columns.values(), *roles.values()}
    ignored += [(name, "a long table does not use it") for name in raw.columns if name not in used and name != "source"]
    words = {name: units[name].word for name in benchmarks}
    notes = covariate_notes(columns, rules)
    ignored = [pair for pair in ignored if pair[0] not in used]
    groups = _groups(raw, roles, benchmarks)
    scales = {name: units[name].scale for name in benchmarks}
    told = tuple(ignored), tuple(said)
    return Found(frame, benchmarks, score, known, words, how, source, notes, *told, groups, scales)


def _groups(raw: RawTable, roles: dict[str, str], benchmarks: Sequence[str]) -> dict[str, str]:
    """The benchmark that each benchmark is a part of, if the table has this information."""
    if "group" not in roles:
        return {}
    found = dict(zip(raw.text(roles["benchmark"]), raw.text(roles["group"]), strict=True))
    return {name: group for name, group in found.items() if group}


def _chosen(
    raw: RawTable, roles: dict[str, str], lms: list[str], rules: ReadingRules, said: list[str]
) -> tuple[_Rows, dict[str, str]]:
    """The rows that are used, and the metric of each benchmark.

    A benchmark is called `task`, or `task:metric` for other metrics than the first. The parts of a benchmark that has a
    score itself are left out unless the user names them.
    """
    of = list(raw.text(roles["benchmark"]))
    if not all(of):
        raw.fail(of.index(""), roles["benchmark"], "the name of a benchmark", "write the name, or delete the row")
    metric = _metrics(raw, roles)
    parts = np.zeros(len(of), bool)
    if "group" in roles:
        groups, scored = raw.text(roles["group"]), set(of)
        parts = np.array([bool(group) and group in scored for group in groups])
    source: dict[str, str] = {}
    if metric is not None:
        of, source = _with_metrics(raw, of, metric, rules, said)
    of = _with_shots(raw, roles, of)
    asked = set(rules.wanted(tuple(dict.fromkeys(of))) or ())
    others = {name for name, word in source.items() if word == "other"}
    drop = parts | pd.Index(of).isin(list(others)) if others or parts.any() else parts
    if drop.any():
        drop = drop & ~pd.Index(of).isin(list(asked))
    if rules.every_metric:
        drop = np.zeros(len(of), bool)
    elif parts.any():
        groups = list(dict.fromkeys(group for group, part in zip(raw.text(roles["group"]), parts, strict=True) if part))
        said.append(
            f"parts of {names.some(groups)} are left out, because these have scores themselves; name a part to use it"
        )
    if drop.any():
        rows = [int(row) for row in np.flatnonzero(~drop)]
        raw, lms, of = raw.rows(rows), [lms[row] for row in rows], [of[row] for row in rows]
    return _Rows(raw, lms, of), {
        name: name.rpartition(":")[2] if word == "other" else word for name, word in source.items()
    }


def _metrics(raw: RawTable, roles: dict[str, str]) -> list[str] | None:
    if "metric" not in roles:
        return None
    cells = raw.text(roles["metric"])
    plain = {cell: cell.removesuffix(",none") for cell in dict.fromkeys(cells)}
    found = [plain[cell] for cell in cells]
    if "filter" in roles:
        found = [f"{name},{word}" if word not in ("", "none") else name
                 for name, word in zip(found, raw.text(roles["filter"]), strict=True)]  # fmt: skip
    return found


def _rank(metric: str) -> tuple[int, int]:
    name, _, filtered = metric.partition(",")
    place = _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED)
    return place, _FILTERS.index(filtered) if filtered in _FILTERS else len(_FILTERS)


def _with_metrics(
    raw: RawTable, of: list[str], metric: list[str], rules: ReadingRules, said: list[str]
) -> tuple[list[str], dict[str, str]]:
    """Names with metrics if a benchmark has several, and the metric of each name, or "other" if it is not read."""
    each: dict[str, dict[str, None]] = {}
    for name, word in dict.fromkeys(zip(of, metric, strict=True)):
        each.setdefault(name, {})[word] = None
    taken: dict[str, str] = {}
    left: dict[tuple[str, str], str] = {}
    for name, words in each.items():
        order = sorted((word for word in words if about(word) is None), key=_rank) or list(words)
        if rules.metric is not None:
            same = [word for word in words if rules.metric in (word, word.partition(",")[0])]
            order = same or order
        taken[name] = order[0]
        left |= {(name, word): f"{name}:{word}" for word in words if word != order[0]}
    if rules.metric is not None and rules.metric not in {w for word in metric for w in (word, word.partition(",")[0])}:
        raise InputError(
            f"{raw.path}: expected a metric of the table, found none named {rules.metric!r}: "
            f"{names.hint(rules.metric, dict.fromkeys(metric))}"
        )
    if left and not rules.every_metric:
        others = names.some(dict.fromkeys(word for _, word in left))
        said.append(
            f"benchmarks with several metrics are read by {names.some(dict.fromkeys(taken.values()))}; to read others "
            f"({others}), use names such as {next(iter(left.values()))!r}"
        )
    source = {**taken, **dict.fromkeys(left.values(), "other")}
    return [left.get((name, word), name) for name, word in zip(of, metric, strict=True)] if left else of, source


def _with_shots(raw: RawTable, roles: dict[str, str], of: list[str]) -> list[str]:
    """Names with the number of examples in the prompt, for benchmarks with several such numbers."""
    if "shots" not in roles:
        return of
    shots = list(raw.text(roles["shots"]))
    each: dict[str, set[str]] = {}
    for name, count in zip(of, shots, strict=True):
        each.setdefault(name, set()).add(count)
    return [f"{name} ({count}-shot)" if count and len(each[name] - {""}) > 1 else name
            for name, count in zip(of, shots, strict=True)]  # fmt: skip


def _scores_only(
    raw: RawTable, column: str, of: np.ndarray, found: list[str], source: dict[str, str], rules: ReadingRules
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """The benchmarks whose names and values are those of scores, and the other ones with the reason."""
    values = raw.parsed(column).values
    frame = pd.DataFrame({"of": of, "inside": (values >= 0) & (values <= 100), "fraction": values <= 1})
    frame = frame[~np.isnan(values)]
    shares = frame.groupby("of")[["inside", "fraction"]].agg("mean")
    kept, left = [], []
    told = set(check_units(rules.score_unit))
    free = unbounded(rules.score_unit, found) | set(_scales(raw, of, found))
    for at, name in enumerate(found):
        inside, fraction = shares.loc[at] if at in shares.index else (1.0, 1.0)
        metric = source.get(name, "") or (name.rpartition(":")[2] if ":" in name else "")
        reason = about(name, fraction == 1) or (about(metric) if metric else None)
        if name in free:
            reason = None
        elif reason is None and inside < 0.5 and not told & {DEFAULT, name}:
            reason = "its values are neither fractions nor percentages"
        if reason is None:
            kept.append(name)
        else:
            left.append((name, reason))
    return np.asarray(kept, dtype=object), left


def _once(raw: RawTable, roles: dict[str, str], rows: _Rows, cell: np.ndarray) -> None:
    twice = pd.Series(cell).duplicated().to_numpy()
    for row in np.flatnonzero(twice)[:1]:
        expected = f"one row for each benchmark of lm {rows.lms[row]!r}"
        raw.fail(int(row), roles["benchmark"], expected, "delete or rename one of the two")


def _fractions(
    raw: RawTable, roles: dict[str, str], b: np.ndarray, benchmarks: Sequence[str], rules: ReadingRules
) -> tuple[np.ndarray, dict[str, Unit]]:
    """Scores as fractions, and the unit of each benchmark: given, in the table, or decided from the values."""
    column = roles["score"]
    values = raw.numbers(column)
    order = np.argsort(b, kind="stable")
    ends = np.searchsorted(b[order], np.arange(len(benchmarks) + 1))
    rows = {name: order[ends[at] : ends[at + 1]] for at, name in enumerate(benchmarks)}
    told: dict[str, Unit] = {}
    if "unit" in roles:
        worth = _worth(raw, roles["unit"])
        for name, at in rows.items():
            each = np.unique(worth[at][~np.isnan(worth[at])])
            if len(each) == 1:
                told[name] = Unit(float(each[0]), word_of(float(each[0])), True)
    given = check_units(rules.score_unit)
    told = {} if DEFAULT in given else told
    told |= {name: Unit(1.0, scale.word, True, scale) for name, scale in _scales(raw, b, benchmarks).items()}
    told = {name: unit for name, unit in told.items() if name not in given}
    percent = raw.parsed(column).percent
    rest = {name: values[at] for name, at in rows.items() if name not in told}
    for name in given:
        if name != DEFAULT:
            names.positions([name], benchmarks, "benchmark")
    units = told | find_units(
        raw.path, rest, dict.fromkeys(rest, percent), rules.score_unit, known_benchmark, what="benchmark"
    )
    score = np.full(len(values), np.nan)
    for name, at in rows.items():
        score[at], wrong = to_scale(values[at], units[name])
        for place in np.flatnonzero(wrong)[:1]:
            expected, remedies = refusal(units[name])
            raw.fail(int(at[place]), column, expected, *remedies, "leave the benchmark out")
    return score, units


def _scales(raw: RawTable, of: np.ndarray, benchmarks: Sequence[str]) -> dict[str, Scale]:
    """The scales of the benchmarks that are not fractions, from a column `scale` as csvjax writes it."""
    if "scale" not in raw.columns:
        return {}
    codes = np.array([cell.strip().casefold() for cell in raw.text("scale")], dtype=object)
    each = {name: set(codes[of == at]) - {""} for at, name in enumerate(benchmarks)}
    for name, told in each.items():
        if told & _CODES - {"fraction"} and len(told) > 1:
            raise InputError(
                f"{raw.path}: expected one scale for {name!r}, found {', '.join(sorted(told))}; give it one"
            )
    found = {name: find_scale(*told) for name, told in each.items() if told and told <= _CODES}
    return {name: scale for name, scale in found.items() if not scale.bounded}


def _worth(raw: RawTable, column: str) -> np.ndarray:
    words = {"percent": 0.01, "%": 0.01, "fraction": 1.0, "proportion": 1.0}
    if raw.is_numeric(column):
        return raw.numbers(column)
    return np.array([words.get(cell.casefold(), np.nan) for cell in raw.text(column)])


def _known(
    raw: RawTable,
    roles: dict[str, str],
    rows: _Rows,
    m: np.ndarray,
    b: np.ndarray,
    benchmarks: Sequence[str],
    score: np.ndarray,
    units: dict[str, Unit],
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """n_items, floor and ceiling of the benchmarks, and where the numbers of items come from."""
    known: dict[str, dict[str, float]] = {}
    how: dict[str, str] = {}
    for role in ("n_items", "floor", "ceiling"):
        if role in roles:
            values = raw.numbers(roles[role])
            if raw.place == "result" and role == "n_items":  # some of several runs used only a part of the items
                each = pd.Series(values).groupby(np.asarray(rows.names, dtype=object)).median().dropna()
                known[role] = {str(name): float(value) for name, value in each.items()}
            else:
                known[role] = one_number_each(raw, rows.names, roles[role], values, "benchmark")
    how |= dict.fromkeys(known.get("n_items", {}), "given by the table")
    if "stderr" in roles:
        errors = raw.parsed(roles["stderr"]).values
        worth = np.array([units[name].worth for name in benchmarks])
        table = np.full(score.shape, np.nan)
        table[m, b] = np.where(np.isinf(errors), np.nan, errors) * worth[b]
        counts = known.setdefault("n_items", {})
        for at, name in enumerate(benchmarks):
            n = items_from_stderr(score[:, at], table[:, at])
            if name not in counts and not np.isnan(n) and units[name].scale.bounded:
                counts[name], how[name] = n, "from standard errors"
    return known, how
