"""The rules that a user gives for reading a table of scores, and the result of reading one table."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax.data.numerals import Decimal
from csvjax.data.scales import Scale
from csvjax.data.score_units import ScoreUnit
from csvjax.errors import InputError

if TYPE_CHECKING:
    from csvjax.data.models import Model
    from csvjax.data.registry import Benchmark

__all__ = ["Found", "ReadingRules", "names_from"]

_ROLES = ("lm", "family", "params", "tokens", "flops")


@dataclass(frozen=True)
class ReadingRules:
    """How to read tables of scores. Attributes that are not listed are as in `csvjax.data.read_scores.read_scores`.

    Attributes:
        columns: column of each role (lm, family, params, tokens, flops, benchmark, score, metric, stderr); None to find
            it by its usual spellings.
        units: unit of the columns params, tokens and flops.
        metric: the metric to read of each benchmark of a long table that has several.
        ignore: columns, or benchmarks of a long table, that are not read.
        joined: a text in `benchmarks` and `ignore` may be several names, separated by commas, as on a command line.
        every_metric: read all metrics of a long table.
        registry: the user's descriptions of benchmarks.
        models: the user's descriptions of models.
    """

    columns: Mapping[str, str | None] = field(default_factory=dict)
    units: Mapping[str, float | None] = field(default_factory=dict)
    benchmarks: Sequence[str] | None = None
    score_unit: ScoreUnit = None
    ignore: Sequence[str] = ()
    n_items: Mapping[str, int | float] | None = None
    floors: Mapping[str, int | float] | None = None
    ceilings: Mapping[str, int | float] | None = None
    metric: str | None = None
    decimal: Decimal | None = None
    joined: bool = False
    every_metric: bool = False
    registry: tuple[Benchmark, ...] = ()
    models: tuple[Model, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.benchmarks, str) or (self.benchmarks is not None and not self.benchmarks):
            raise InputError(
                f"expected benchmarks to be a list of at least one name, found {self.benchmarks!r}; give a list"
            )
        if self.decimal not in (None, ".", ","):
            raise InputError(f"expected decimal to be '.' or ',', found {self.decimal!r}; give the decimal mark")

    def wanted(self, known: Collection[str]) -> tuple[str, ...] | None:
        """The benchmarks that the user named, None for all."""
        if self.benchmarks is None:
            return None
        return names_from(self.benchmarks, known) if self.joined else tuple(self.benchmarks)

    def unread(self, known: Collection[str]) -> tuple[str, ...]:
        """The names in `ignore`."""
        return names_from(self.ignore, known) if self.joined else tuple(self.ignore)

    def roles(self) -> dict[str, str | None]:
        """The given column of each role that describes models; None where it was not given."""
        return {role: self.columns.get(role) for role in _ROLES}


@dataclass(frozen=True, eq=False)
class Found:
    """What was read from one table.

    Attributes:
        lms: covariates of the models, index `lm`.
        benchmarks: names of the benchmarks.
        score: fractions, or in the unit of the benchmark; NaN where missing [lm, benchmark].
        known: `n_items`, `floor` and `ceiling`, each by benchmark.
        units: a word for the unit of each benchmark.
        items_from: where the number of items of each benchmark comes from.
        source: the metric of each benchmark.
        covariates: column and unit of each role.
        ignored: columns that were not read, each with the reason.
        said: sentences on what was assumed.
        groups: for each benchmark that is part of another, by its name: the benchmark that it belongs to.
        scales: scales by benchmark, at least of those whose scores are not fractions.
    """

    lms: pd.DataFrame
    benchmarks: tuple[str, ...]
    score: Float[np.ndarray, "lm benchmark"]
    known: dict[str, dict[str, float]]
    units: dict[str, str]
    items_from: dict[str, str]
    source: dict[str, str]
    covariates: dict[str, tuple[str, str]]
    ignored: tuple[tuple[str, str], ...]
    said: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, Scale] = field(default_factory=dict)


def names_from(texts: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The names in texts from a command line: each text is one name, or several separated by commas.

    A name that contains a comma is recognised if it is among the known names or in quotes.
    """
    found: list[str] = []
    for text in texts:
        if text in known:
            found.append(text)
            continue
        parts = next(csv.reader([text], skipinitialspace=True), [])
        at = 0
        while at < len(parts):
            joined = [(end, ",".join(parts[at:end]).strip()) for end in range(len(parts), at + 1, -1)]
            whole = next(((end, name) for end, name in joined if name in known), (at + 1, parts[at].strip()))
            found.append(whole[1])
            at = whole[0]
    return tuple(found)
