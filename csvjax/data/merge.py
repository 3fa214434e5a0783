"""Merges tables of scores: all their models and benchmarks; where two tables disagree, the first one counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd

from csvjax import names
from csvjax.data.rules import Found
from csvjax.data.scales import FRACTION, Scale
from csvjax.errors import InputError

__all__ = ["merged"]

T = TypeVar("T")

_SAME = 1e-6


def merged(files: Sequence[str], parts: Sequence[Found]) -> tuple[Found, list[str]]:
    """Merge tables.

    Models and benchmarks are the same if their names are the same. A later table fills in what earlier tables do not
    know about a model or a benchmark.

    Returns: the merged table, and sentences about where the tables disagree.
    """
    if len(parts) == 1:
        return parts[0], []
    parts, said = _with_metrics(parts)
    lms = list(dict.fromkeys(name for part in parts for name in part.lms.index))
    benchmarks = tuple(dict.fromkeys(name for part in parts for name in part.benchmarks))
    score = np.full((len(lms), len(benchmarks)), np.nan)
    first = np.full(score.shape, -1)
    conflicts: list[str] = []
    count = 0
    for at, part in enumerate(parts):
        m = pd.Index(lms).get_indexer(part.lms.index)
        b = pd.Index(benchmarks).get_indexer(pd.Index(part.benchmarks))
        grid = np.ix_(m, b)
        was, new = score[grid], part.score
        differ = ~np.isnan(was) & ~np.isnan(new) & ~np.isclose(was, new, rtol=_SAME, atol=_SAME)
        count += int(differ.sum())
        for i, j in np.argwhere(differ)[: 3 - len(conflicts)]:
            conflicts.append(
                f"{part.benchmarks[j]} of {part.lms.index[i]} is {was[i, j]:.4g} in {files[first[m[i], b[j]]]} and "
                f"{new[i, j]:.4g} in {files[at]}"
            )
        fresh = np.isnan(was) & ~np.isnan(new)
        score[grid] = np.where(fresh, new, was)
        first[grid] = np.where(fresh, at, first[grid])
    if count:
        more = f", and {count - len(conflicts)} more" if count > len(conflicts) else ""
        said.append(f"two tables disagree, and the first one counts: {'; '.join(conflicts)}{more}")
    known = {}
    for role in ("n_items", "floor", "ceiling"):
        known[role] = {name: value for part in reversed(parts) for name, value in part.known.get(role, {}).items()}
    whole = replace(
        parts[0], lms=_models(lms, parts), benchmarks=benchmarks, score=score, known=known,
        units={name: unit for part in reversed(parts) for name, unit in part.units.items()},
        scales=_scales(files, parts),
    )  # fmt: skip
    return whole, said


def _with_metrics(parts: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """The tables, with new names for benchmarks that an earlier table has with another metric."""
    first: dict[str, str] = {}
    apart: dict[str, str] = {}
    found = []
    for part in parts:
        new = {}
        for name in part.benchmarks:
            metric = part.source.get(name, "")
            if metric and first.setdefault(name, metric) != metric:
                new[name] = f"{name}:{metric}"
        apart |= new
        found.append(_renamed(part, new) if new else part)
    said = [
        f"{names.some(apart)} have another metric in a later table, and are called {names.some(apart.values())} there"
    ]
    return found, said if apart else []


def _renamed(part: Found, new: dict[str, str]) -> Found:
    def renamed(table: dict[str, T]) -> dict[str, T]:
        return {new.get(name, name): value for name, value in table.items()}

    return replace(
        part,
        benchmarks=tuple(new.get(name, name) for name in part.benchmarks),
        known={role: renamed(values) for role, values in part.known.items()},
        units=renamed(part.units),
        items_from=renamed(part.items_from),
        source=renamed(part.source),
        groups=renamed(dict(part.groups)),
        scales=renamed(dict(part.scales)),
    )


def _scales(files: Sequence[str], parts: Sequence[Found]) -> dict[str, Scale]:
    """The scale of each benchmark.

    Raises: InputError for a benchmark that has different scales in two tables.
    """
    found: dict[str, Scale] = {}
    first: dict[str, str] = {}
    for file, part in zip(files, parts, strict=True):
        for name in part.benchmarks:
            scale = part.scales.get(name, FRACTION)
            if found.setdefault(name, scale) != scale:
                raise InputError(
                    f"expected one unit for {name}, found {found[name].word} in {first[name]} and {scale.word} in "
                    f"{file}; give the unit with score_unit, or rename one of the two"
                )
            first.setdefault(name, file)
    return found


def _models(lms: Sequence[str], parts: Sequence[Found]) -> pd.DataFrame:
    """The covariates of the models, each from the first table that has it."""
    index = pd.Index(lms, name="lm", dtype=str)
    frame = pd.DataFrame(index=index)
    families = pd.Series(index=index, dtype=object)
    for part in parts:
        told = part.lms["family"]
        told = told[told != told.index]
        families = families.fillna(told.astype(object).reindex(index))
    frame["family"] = families.fillna(pd.Series(index, index, dtype=object)).astype(str)
    for role in ("params", "tokens", "flops"):
        amounts = pd.Series(np.nan, index, dtype=float)
        for part in parts:
            amounts = amounts.fillna(part.lms[role].reindex(index))
        frame[role] = amounts.to_numpy()
    frame["flops"] = frame["flops"].fillna(6 * frame["params"] * frame["tokens"])
    return frame
