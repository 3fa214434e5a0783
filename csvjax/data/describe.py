"""Describes what was read from tables of scores, so that a user can check it before a fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from csvjax.data.registry import Benchmark
from csvjax.data.registry import known as known_of
from csvjax.data.rules import Found
from csvjax.data.scales import written
from csvjax.data.scores import ScoreTable

__all__ = ["BenchmarkNote", "CovariateNote", "Description", "describe"]


@dataclass(frozen=True)
class BenchmarkNote:
    """What was read about one benchmark.

    Attributes:
        name: name of the benchmark.
        unit: word for the unit in the table.
        source: metrics that were read.
        floor: score of random guessing, a fraction; NaN if unknown.
        floor_from: where the floor comes from.
        ceiling: highest possible score, a fraction; NaN if unknown.
        n_items: number of items; NaN if unknown.
        items_from: where the number of items comes from.
        lowest: lowest score, a fraction.
        highest: highest score, a fraction.
        known: number of models with a score.
        usual_items: number of items of the split that is usually reported, known from the name; a fit does not use it.
        group: the ability under which the benchmark is usually listed.
    """

    name: str
    unit: str
    source: str
    floor: float
    floor_from: str
    ceiling: float
    n_items: float
    items_from: str
    lowest: float
    highest: float
    known: int
    usual_items: float = math.nan
    group: str = ""
    bounded: bool = True


@dataclass(frozen=True)
class CovariateNote:
    """What was read about one covariate.

    Attributes:
        name: family, params, tokens or flops.
        column: name of the column.
        unit: unit of the column, as its name gives it.
        known: number of models with a value.
        lowest: smallest value, in units of 1.
        highest: largest value, in units of 1.
    """

    name: str
    column: str
    unit: str
    known: int
    lowest: float
    highest: float


@dataclass(frozen=True)
class Description:
    """What was read from tables.

    Attributes:
        files: names of the tables.
        models: names of the models.
        families: number of families.
        benchmarks: what was read about each benchmark.
        covariates: what was read about each covariate.
        ignored: columns that were not read, each with the reason.
        said: sentences on what was assumed.
        groups: for each benchmark that is part of another, by its name: the benchmark that it belongs to.
    """

    files: tuple[str, ...]
    models: tuple[str, ...]
    families: int
    benchmarks: tuple[BenchmarkNote, ...]
    covariates: tuple[CovariateNote, ...]
    ignored: tuple[tuple[str, str], ...]
    said: tuple[str, ...] = field(default=())
    groups: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The description as a value for JSON; unknown numbers are null."""
        found = asdict(self)
        found["ignored"] = [{"column": column, "reason": reason} for column, reason in self.ignored]
        return {name: _plain(value) for name, value in found.items()}

    def lines(self, limit: int = 12) -> list[str]:
        """The description as lines of text.

        Args:
            limit: number of benchmarks that are shown, and of ignored columns for each reason.
        """
        families = f" of {self.families} families" if self.families < len(self.models) else ""
        found = [f"read {_count(len(self.models), 'model')}{families} from {', '.join(self.files)}"]
        found += [f"  benchmark {_line(note)}" for note in self.benchmarks[:limit]]
        if len(self.benchmarks) > limit:
            found.append(f"  and {len(self.benchmarks) - limit} more benchmarks; csvjax check shows all")
        found += [f"  covariate {_covariate_line(note)}" for note in self.covariates]
        by_reason: dict[str, list[str]] = {}
        for column, reason in self.ignored:
            by_reason.setdefault(reason, []).append(column or "the column without a name")
        for reason, columns in by_reason.items():
            more = f" and {len(columns) - limit} more" if len(columns) > limit else ""
            found.append(f"  ignored {', '.join(columns[:limit])}{more}: {reason}")
        return found + [f"  note: {sentence}" for sentence in self.said]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _line(note: BenchmarkNote) -> str:
    floor = f"chance {note.floor:.3g} ({note.floor_from})" if not math.isnan(note.floor) else "chance unknown, inferred"
    items = "items unknown"
    if not math.isnan(note.n_items):
        items = f"{note.n_items:g} items ({note.items_from})"
    elif not math.isnan(note.usual_items):
        items = f"items unknown (usually {note.usual_items:g})"
    source = f" [{note.source}]" if note.source else ""
    if not note.bounded:
        floor, items = "no floor or ceiling", "predicted in this unit"
    low, high = (f"{end:.3g}" if note.bounded else written(end) for end in (note.lowest, note.highest))
    scores = f"{_count(note.known, 'score')} from {low} to {high}" if note.known else "no scores"
    return f"{note.name}{source}: {note.unit}, {scores}, {floor}, {items}"


def _covariate_line(note: CovariateNote) -> str:
    if math.isnan(note.lowest):
        return f"{note.name} [{note.column}]: {note.known} known"
    unit = f" x {note.unit}" if note.unit not in ("", "1") else ""
    return f"{note.name} [{note.column}{unit}]: {note.known} known, from {note.lowest:.3g} to {note.highest:.3g}"


def describe(
    files: Iterable[str],
    found: Sequence[Found],
    table: ScoreTable,
    given: Iterable[str] = (),
    said: Iterable[str] = (),
    registry: Sequence[Benchmark] = (),
) -> Description:
    """Describe what was read.

    Args:
        files: names of the tables.
        found: what was read from each table.
        table: the merged scores.
        given: benchmarks whose number of items the user gave.
        said: further sentences on what was assumed.
        registry: the user's facts about benchmarks.
    """
    notes = []
    given = set(given)
    told_floor = {name for part in found for name in part.known.get("floor", {})}
    for b, name in enumerate(table.benchmarks):
        score = table.score[:, b]
        known = score[~np.isnan(score)]
        entry = next((own for own in registry if own.name == name), None) or known_of(name)
        chance = None if entry is None or not table.scales[b].bounded else entry.chance
        floor = float(table.floor[b])
        how = "given by the table" if name in told_floor else "given"
        if math.isnan(floor) and chance is not None:
            floor, how = chance, "from its name"
        items_from = next((part.items_from[name] for part in found if name in part.items_from), "given")
        notes.append(
            BenchmarkNote(
                name,
                ", ".join(dict.fromkeys(part.units[name] for part in found if name in part.units)) or "fraction",
                ", ".join(dict.fromkeys(part.source[name] for part in found if name in part.source)),
                floor,
                "" if math.isnan(floor) else how,
                float(table.ceiling[b]),
                float(table.n_items[b]),
                "" if math.isnan(table.n_items[b]) else "given" if name in given else items_from,
                float(known.min()) if len(known) else math.nan,
                float(known.max()) if len(known) else math.nan,
                len(known),
                math.nan if entry is None or entry.items is None else float(entry.items),
                "" if entry is None else entry.group,
                table.scales[b].bounded,
            )
        )
    sentences = dict.fromkeys([*(sentence for part in found for sentence in part.said), *said, *_remarks(table, found)])
    ignored = dict.fromkeys(pair for part in found for pair in part.ignored)
    return Description(
        tuple(dict.fromkeys(files)),
        table.lms,
        len({family for part in found for family in part.lms["family"]}),
        tuple(notes),
        tuple(_covariates(found)),
        tuple(ignored),
        tuple(sentences),
        {name: group for part in found for name, group in part.groups.items()},
    )


def _covariates(found: Sequence[Found]) -> Iterable[CovariateNote]:
    for role in ("family", "params", "tokens", "flops"):
        parts = [part for part in found if role in part.covariates]
        if not parts:
            continue
        column, unit = parts[0].covariates[role]
        if role == "family":
            yield CovariateNote(role, column, "", sum(len(part.lms) for part in parts), math.nan, math.nan)
            continue
        values = np.concatenate([part.lms[role].to_numpy(float) for part in parts])
        values = values[~np.isnan(values)]
        if len(values):
            yield CovariateNote(role, column, unit, len(values), float(values.min()), float(values.max()))


def _remarks(table: ScoreTable, found: Sequence[Found]) -> Iterable[str]:
    """Sentences that a user should read before a fit."""
    varied = [np.nanmax(column) > np.nanmin(column) for column in table.score.T if not np.isnan(column).all()]
    if varied and not any(varied) and len(table.lms) > 1:
        yield "the scores of no benchmark vary between models"
    for role, smallest in (("params", 1e4), ("tokens", 1e4), ("flops", 1e10)):
        for part in found:
            if role in part.covariates:
                values = part.lms[role].to_numpy(float)
                if np.isfinite(values).any() and np.nanmax(values) < smallest:
                    yield (
                        f"the largest number of {role} is {np.nanmax(values):g}, which is too small; give the unit of "
                        f"the column with {role}_unit, for example 1e9"
                    )
