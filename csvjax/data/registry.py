"""Facts about benchmarks by name: from a file of csvjax, and from a file of the user, which overrides it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from csvjax import names
from csvjax.data.rules import Found
from csvjax.data.scales import FRACTION, Scale, find_scale
from csvjax.data.user_files import checked_aliases, is_number, load_tables
from csvjax.errors import InputError

__all__ = ["Benchmark", "about_link", "known", "name_in", "read_registry", "told_scales", "with_registry"]

_OWN = Path(__file__).parent / "benchmarks.toml"
_LINKS = {
    "fraction": "",
    "elo": "it is a rating",
    "nats": "it is a loss",
    "minutes": "it is a time or a speed",
    "number": "its scores are not fractions",
    "bits": "it is a loss",
    "perplexity": "it is a loss",
    "dollars": "it is a cost",
    "log": "its scores are not fractions",
}
# With these endings a name still means the whole benchmark.
_SAME = re.compile(r"(_(\d+_?shots?|acc|acc_norm|norm|em|exact_match|pass_1|cot))*")


@dataclass(frozen=True)
class Benchmark:
    """Facts about a benchmark; None or "" where unknown.

    Attributes:
        name: the name.
        aliases: other names.
        chance: score of random guessing, a fraction.
        ceiling: highest possible score, a fraction.
        items: number of items of the split that is usually reported.
        better: whether "higher" or "lower" scores are better. Default: that of the link.
        link: kind of the scores, a key of `_LINKS`.
        group: the ability under which the benchmark is usually listed.
        source: where the facts come from.
    """

    name: str
    aliases: tuple[str, ...] = ()
    chance: float | None = None
    ceiling: float | None = None
    items: int | None = None
    better: str = ""
    link: str = "fraction"
    group: str = ""
    source: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """Name and aliases in lower case, with underscores for other characters."""
        return tuple(dict.fromkeys(_plain(name) for name in (self.name, *self.aliases)))

    @property
    def scale(self) -> Scale:
        return find_scale(self.link if self.link == "fraction" or not self.better else f"{self.link}:{self.better}")


def known(name: str) -> Benchmark | None:
    """The benchmark in the file of csvjax that a name means; None if there is none. The longest match counts.

    What follows a separator may be ignored: "mmlu_5shot" and "MMLU (5-shot)" are MMLU, but "mmlu_pro" is not. The
    number of items is left out if the name may mean a part of the benchmark.
    """
    plain, table = _plain(name), _spellings()
    word = plain
    while word not in table:
        word, found, _ = word.rpartition("_")
        if not found:
            return None
    entry = table[word]
    if _SAME.fullmatch(plain[len(word) :]):
        return entry
    return Benchmark(**{**{f.name: getattr(entry, f.name) for f in fields(entry)}, "items": None})


def about_link(name: str) -> str | None:
    """Why scores of the benchmark with this name cannot be fitted as fractions; None if they can."""
    found = known(name)
    return None if found is None else _LINKS[found.link] or None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


@cache
def _spellings() -> dict[str, Benchmark]:
    return _by_spelling(_OWN, read_registry(_OWN))


def read_registry(path: str | os.PathLike[str]) -> tuple[Benchmark, ...]:
    """Read a TOML file with a table for each benchmark; its keys are the attributes of `Benchmark`.

    Raises: InputError for a file that cannot be read, an unknown key, a wrong value, and a name that two benchmarks
    have.
    """
    keys = [field.name for field in fields(Benchmark) if field.name != "name"]
    loaded = load_tables(path, "benchmark", keys)
    found = tuple(_entry(path, name, told) for name, told in loaded.items())
    _by_spelling(path, found)
    return found


def _by_spelling(path: str | os.PathLike[str], entries: Sequence[Benchmark]) -> dict[str, Benchmark]:
    table: dict[str, Benchmark] = {}
    for entry in entries:
        for word in entry.spellings:
            if word in table:
                raise InputError(
                    f"{path}: expected each name once, found {word!r} for {table[word].name!r} and for {entry.name!r}; "
                    f"leave one out"
                )
            table[word] = entry
    return table


def _entry(path: str | os.PathLike[str], name: str, told: Mapping[str, Any]) -> Benchmark:
    where = f"{path}, benchmark {name!r}"
    if "better" in told and told["better"] not in ("higher", "lower"):
        raise InputError(f"{where}: expected better to be 'higher' or 'lower', found {told['better']!r}; choose one")
    if "link" in told and told["link"] not in _LINKS:
        raise InputError(f"{where}: expected link to be one of {', '.join(_LINKS)}, found {told['link']!r}; choose one")
    for key in ("chance", "ceiling"):
        if key in told and not (is_number(told[key]) and 0 <= told[key] <= 1):
            raise InputError(
                f"{where}: expected {key} to be a fraction, found {told[key]!r}; give a number from 0 to 1"
            )
    if told.get("chance", 0) >= told.get("ceiling", 1):
        raise InputError(
            f"{where}: expected chance to be below the ceiling, found {told['chance']} and {told.get('ceiling', 1)}; "
            f"correct one of them"
        )
    if "items" in told and not (isinstance(told["items"], int) and is_number(told["items"]) and told["items"] >= 1):
        raise InputError(
            f"{where}: expected items to be a whole number above 0, found {told['items']!r}; give the number of items"
        )
    return Benchmark(name, **{**told, "aliases": checked_aliases(where, told)})


def name_in(entries: Sequence[Benchmark], name: str) -> str:
    """The name of a benchmark in the user's registry if `name` is one of its aliases, otherwise `name`."""
    return next((entry.name for entry in entries if _plain(name) in entry.spellings), name)


def with_registry(found: Found, entries: Sequence[Benchmark]) -> Found:
    """Apply the user's facts about benchmarks to a table.

    A benchmark whose name is an alias is renamed. If several columns become one benchmark, each model gets its first
    score. Chance, ceiling and items of the registry override those of the table. For fractions where lower is better,
    1 - score is used.
    """
    table = {word: entry for entry in entries for word in entry.spellings}
    each = [table.get(_plain(name)) for name in found.benchmarks]
    columns: dict[str, np.ndarray] = {}
    became: dict[str, list[str]] = {}
    scales: dict[str, Scale] = {}
    for name, entry, score in zip(found.benchmarks, each, found.score.T, strict=True):
        new = name if entry is None else entry.name
        scale = found.scales.get(name, FRACTION)
        if scales.setdefault(new, scale) != scale:
            raise InputError(
                f"expected one unit for the columns that become {new}, found {scales[new].word} and {scale.word}; give "
                f"them one with score_unit, or take {name!r} out of the aliases"
            )
        turned = entry is not None and entry.better == "lower" and found.scales.get(name, FRACTION).bounded
        score = 1 - score if turned else score
        before = columns.get(new)
        columns[new] = score if before is None else np.where(np.isnan(before), score, before)
        became.setdefault(new, []).append(name)
    said = [f"{names.some(old)} are read as {new}" for new, old in became.items() if old != [new]]
    told = {entry.name: entry for entry in each if entry is not None}
    first = {new: old[0] for new, old in became.items()}

    def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
        return {new: values[old] for new, old in first.items() if old in values}

    known_of = {role: renamed(values) for role, values in found.known.items()}
    items_from = renamed(found.items_from)
    for role, key in (("floor", "chance"), ("ceiling", "ceiling"), ("n_items", "items")):
        for new in first:
            if scales[new].bounded and new in told and (value := getattr(told[new], key)) is not None:
                known_of.setdefault(role, {})[new] = float(value)
                if role == "n_items":
                    items_from[new] = "given by the registry"
    return Found(
        found.lms,
        tuple(columns),
        np.stack(list(columns.values()), axis=1) if columns else found.score[:, :0],
        known_of,
        renamed(found.units),
        items_from,
        {new: metric for new, metric in renamed(found.source).items() if became[new] == [new]},
        found.covariates,
        found.ignored,
        (*found.said, *said),
        renamed(found.groups),
        renamed(found.scales),
    )


def told_scales(entries: Sequence[Benchmark], columns: Collection[str]) -> dict[str, Scale]:
    """The scales of the columns whose scores are not fractions according to the registry of the user."""
    table = {word: entry for entry in entries for word in entry.spellings}
    found = {name: entry.scale for name in columns if (entry := table.get(_plain(name))) is not None}
    return {name: scale for name, scale in found.items() if not scale.bounded}
