"""Decides which columns of a wide table are benchmarks, by their range, their variation and their names.

A column is a benchmark if its values can be fractions or percentages and nothing shows that it is something else. The
reason against a column is kept and shown to the user.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from csvjax.data.raw_table import RawTable, counts_rows
from csvjax.data.registry import about_link, known

__all__ = ["Companion", "Judged", "about", "is_summary", "judge", "known_benchmark"]

_STDERR = re.compile(
    r"^(?P<base>.+?)[\s_\-.,:|]*[(\[]?(stderr|std_?err|std\.? error|standard error|s\.?e\.?m?\.?|±)[)\]]?"
    r"(?P<rest>,[\w\-]+)?$",
    re.IGNORECASE,
)
_ERROR = re.compile(r"(stderr|std_?err|(standard|std)[ _.]*error|±)", re.IGNORECASE)
_LEADING = re.compile(r"^(stderr|std_?err|se)[\s_\-.:|]+(?P<base>.+)$", re.IGNORECASE)
_INTERVAL = r"ci|ci95|lower|upper|low|high|lo|hi|p5|p95"
_RANK, _RATING = "it is a rank", "it is a rating"
_OTHER = (
    (re.compile(r"^(.+?)[\s_\-.]+(n_?items|num_?items|n_?samples|num_?samples|n)$", re.IGNORECASE), "items"),
    (re.compile(r"^(.+?)[\s_\-.]+(std|stdev|sd|var|variance)$", re.IGNORECASE), "it is the spread of {}"),
    (
        re.compile(rf"^(.+?)([\s_\-.]+(ci|ci95|95|pct|conf|interval))*[\s_\-.]+({_INTERVAL})$", re.IGNORECASE),
        "it is an end of an interval of {}",
    ),
)


class _Words(NamedTuple):
    """The lists of words in `columns.toml`."""

    strong: frozenset[str]
    fillers: frozenset[str]
    of_benchmarks: frozenset[str]
    averages: frozenset[str]
    beside_averages: frozenset[str]
    summaries: frozenset[str]
    units: frozenset[str]
    reasons: dict[str, frozenset[str]]


@cache
def _words() -> _Words:
    table = tomllib.loads((Path(__file__).parent / "columns.toml").read_text(encoding="utf-8"))
    reasons = {reason: frozenset(words) for reason, words in table.pop("reasons").items()}
    return _Words(reasons=reasons, **{name: frozenset(words) for name, words in table.items()})


def is_summary(name: str) -> bool:
    """Whether a row with this name is not a model: it summarises other rows ("Average") or is "Random" or "Human"."""
    return len(name) < 20 and name.casefold().rstrip(".:") in _words().summaries


@dataclass(frozen=True)
class Companion:
    """A column with the standard errors or the numbers of items of the benchmark `of`."""

    column: str
    of: str


@dataclass(frozen=True)
class Judged:
    """The benchmarks of a table, their companion columns, and the columns that are ignored, each with the reason."""

    benchmarks: tuple[str, ...]
    stderr: tuple[Companion, ...]
    items: tuple[Companion, ...]
    ignored: tuple[tuple[str, str], ...]


def known_benchmark(name: str) -> bool:
    """Whether the registry of csvjax has a benchmark with this name whose scores are fractions."""
    return known(name) is not None and about_link(name) is None


def judge(
    raw: RawTable,
    used: Collection[str | None],
    named: Sequence[str] | None = None,
    told: Collection[str] = (),
) -> Judged:
    """Decide what each column outside `used` is.

    Args:
        raw: the table.
        used: columns that have another role.
        named: the benchmarks, if the user chose them.
        told: columns for which the user gave a unit without bounds. They are benchmarks too.
    """
    free = [column for column in raw.columns if column not in used]
    ignored = [pair for pair in raw.ignored if pair[0] not in used]
    numeric = [column for column in free if raw.is_numeric(column)]
    bases = set(named if named is not None else numeric)
    stderr, items, candidates = [], [], []
    for column in free:
        if named is not None and column in bases:
            continue
        if column not in numeric:
            if named is None:
                ignored.append((column, _of_text(raw, column)))
        elif (base := _base_of_stderr(column, bases)) is not None:
            stderr.append(Companion(column, base))
        elif named is None and (_ERROR.fullmatch(column) or (_STDERR.match(column) and _is_error_name(column))):
            ignored.append((column, "it is a standard error, but not of another column"))
        elif (companion := _other_companion(column, bases)) is not None:
            base, what = companion
            if what == "items":
                items.append(Companion(column, base))
            else:
                ignored.append((column, what.format(base)))
        else:
            candidates.append(column)
    if named is not None:
        return Judged(tuple(named), tuple(stderr), tuple(items), tuple(ignored))
    kept = []
    for column in candidates:
        reason = None if column in told else _against(raw, column, candidates)
        if reason is None:
            kept.append(column)
        else:
            ignored.append((column, reason))
    for column, reason in _relative(raw, [column for column in kept if column not in told]).items():
        kept.remove(column)
        ignored.append((column, reason))
    order = {column: at for at, column in enumerate(raw.columns)}
    ignored.sort(key=lambda pair: order.get(pair[0], -1))
    stderr = [companion for companion in stderr if companion.of in kept]
    return Judged(tuple(kept), tuple(stderr), tuple(c for c in items if c.of in kept), tuple(ignored))


def _of_text(raw: RawTable, column: str) -> str:
    told = {cell.casefold() for cell in raw.labels(column) if cell is not None}
    if not told:
        return "it is blank"
    return "it is a flag" if told <= {"true", "false", "yes", "no"} else "it is text"


def _is_error_name(column: str) -> bool:
    return re.search(r"err|±", column, re.IGNORECASE) is not None


def _base_of_stderr(column: str, bases: Collection[str]) -> str | None:
    """The benchmark whose standard errors a column holds, by its name."""
    for match in (_STDERR.match(column), _LEADING.match(column)):
        if match is None:
            continue
        rest = match.groupdict().get("rest") or ""
        wanted = f"{match['base']}{rest}".casefold().rstrip(" _-.:|")
        for base in bases:
            if base != column and base.casefold() == wanted:
                return base
    return None


def _other_companion(column: str, bases: Collection[str]) -> tuple[str, str] | None:
    for pattern, what in _OTHER:
        if match := pattern.match(column):
            for base in bases:
                if base != column and base.casefold() == match[1].casefold():
                    return base, what
    return None


def _split(column: str) -> list[str]:
    """The words of a name in lower case, without parts in parentheses."""
    outside = re.sub(r"\([^()]*\)", " ", column).replace("₂", "2")
    return [word for word in re.split(r"[^a-z0-9]+", outside.casefold()) if word]


def about(name: str, fractions: bool = False) -> str | None:
    """Why a column with this name is not a benchmark, or None. `fractions`: whether all its values are in [0, 1]."""
    words, told = _split(name), _words()
    if not fractions and (reason := about_link(name)) is not None:
        return reason
    unit = re.search(r"\(([^()]*)\)\s*$", name)
    if unit and unit[1].strip().casefold() in told.units and not known_benchmark(name[: unit.start()]):
        return f"its unit is {unit[1].strip()}"
    if len(words) > 1 and words[-1] in told.reasons[_RANK] | told.strong:  # "MMLU rank" and "MMLU loss" are not MMLU
        last = next(reason for reason, vocabulary in told.reasons.items() if words[-1] in vocabulary)
        if not fractions or last != _RATING:
            return last
    if known_benchmark(name) or (told.of_benchmarks.intersection(words) and not told.strong.intersection(words)):
        return None
    if "❤" in name or "♥" in name:
        return "it counts likes, votes or downloads"
    telling = [word for word in words if word not in told.fillers]
    others = sum(any(word in vocabulary for vocabulary in told.reasons.values()) for word in telling)
    for reason, vocabulary in told.reasons.items():
        hits = [word for word in telling if word in vocabulary]
        strong = [word for word in hits if word in told.strong and word in (words[0], words[-1])]
        if fractions and (others < len(telling) or reason == _RATING):
            continue
        if strong or (hits and 2 * others >= len(telling)):
            return reason
    return None


def _values(raw: RawTable, column: str) -> Float[np.ndarray, " known"]:
    found = raw.parsed(column)
    return found.values[np.isfinite(found.values)]


def _against(raw: RawTable, column: str, others: Collection[str]) -> str | None:
    """Why a column of numbers is not a benchmark, by its own name and values; None if it may be one."""
    values = _values(raw, column)
    if not len(values):
        return None
    fractions = bool((values >= 0).all() and (values <= 1).all())
    if not column or re.fullmatch(r"Unnamed: \d+", column):
        return "it has no name"
    if (reason := about(column, fractions)) is not None:
        return reason
    if known_benchmark(column):
        return None
    cells = raw.cells[raw.position(column)]
    if len(values) == len(cells) >= 4 and counts_rows(cells):
        return "it only numbers the rows"
    plain = re.sub(r"[,_\-\s]*norm(alised|alized)?$", "", column)
    if values.min() < 0 and plain != column and plain in others:
        return "it is another column rescaled by chance"
    if np.mean((values >= 0) & (values <= 100)) < 0.5:
        return (
            f"its values run from {values.min():.6g} to {values.max():.6g}, which are neither fractions nor percentages"
        )
    if len(values) >= 4 and set(np.unique(values)) == {0.0, 1.0}:
        return "all its values are 0 or 1, so it is a flag"
    return None


def _relative(raw: RawTable, kept: list[str]) -> dict[str, str]:
    """Why a column is not a benchmark, compared with the others: averages, and whole numbers next to fractions."""
    found: dict[str, str] = {}
    values = {column: raw.parsed(column).values for column in kept}
    averages, beside = _words().averages, _words().beside_averages
    named = [column for column in kept if averages.intersection(_split(column))]
    for column in kept:
        words = [word for word in _split(column) if word not in beside]
        if words and averages.issuperset(words) and len(kept) > 1:
            found[column] = "it is an average of other columns"
    rest = [column for column in kept if column not in found]
    if 3 <= len(rest) <= 60:
        for column in named or rest:
            others = [values[other] for other in rest if other != column]
            if column in rest and _is_mean(values[column], others):
                found[column] = "it is the average of the other columns"
                break
            if {"total", "sum"}.intersection(_split(column)) and _is_mean(values[column] / len(others), others):
                found[column] = "it is the sum of the other columns"
                break
    rest = [column for column in kept if column not in found]
    whole = [c for c in rest if _is_whole(values[c]) and not known_benchmark(c)]
    fractions = [c for c in rest if c not in whole and np.nanmax(values[c], initial=0.0) <= 1]
    if fractions and len(fractions) + len(whole) == len(rest):
        for column in whole:
            low, high = np.nanmin(values[column]), np.nanmax(values[column])
            found[column] = f"it holds whole numbers from {low:g} to {high:g}, but the other columns hold fractions"
    return found


def _is_whole(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 0 and bool((known % 1 == 0).all()) and bool(known.max() > 1) and bool((known > 1).mean() > 0.5)


def _is_mean(values: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a column is the mean of two or more others, up to rounding."""
    if len(others) < 2:
        return False
    mean = np.mean(others, axis=0)
    both = ~np.isnan(mean) & ~np.isnan(values)
    if both.sum() < 5 or np.std(values[both]) == 0:
        return False
    gap = np.abs(values[both] - mean[both]).max()
    return bool(gap <= 0.006 * max(1.0, np.abs(values[both]).max() / 10) and gap <= 0.05 * np.std(values[both]))
