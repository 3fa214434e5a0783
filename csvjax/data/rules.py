"""How a table of scores is to be read, where the user says it; and what reading one gives."""

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
    """`columns`: role (lm, family, params, tokens, flops, benchmark, score, metric, stderr) to column, None where the
    usual spellings are looked for. `units`: what one unit of params, tokens and flops is worth. `metric`: the metric to
    read of each benchmark of a long table that has several. `joined`: names in `benchmarks` may hold several names with
    commas between them, as on a command line. `registry`, `models`: what the user says of benchmarks and models. The
    rest as in `csvjax.data.read_scores.read_scores`.
    """

    columns: Mapping[str, str | None] = field(default_factory=dict)
    units: Mapping[str, float | None] = field(default_factory=dict)
    benchmarks: Sequence[str] | None = None
    score_unit: ScoreUnit = None
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

    def roles(self) -> dict[str, str | None]:
        """The columns of models that were given."""
        return {role: self.columns.get(role) for role in _ROLES}


@dataclass(frozen=True, eq=False)
class Found:
    """What a table says: scores as fractions or on the scale of their benchmark, and by benchmark what is known of it
    and how it was told.

    `known`: n_items, floor and ceiling by benchmark. `units`: words for the unit of each benchmark. `items_from`: how
    the numbers of items were found. `source`: the metric of each benchmark. `groups`: the benchmark
    of which another one is a part. `scales`: of benchmarks that are no fractions, at least.
    """

    lms: pd.DataFrame
    benchmarks: tuple[str, ...]
    score: Float[np.ndarray, "lm benchmark"]
    known: dict[str, dict[str, float]]
    units: dict[str, str]
    items_from: dict[str, str]
    source: dict[str, str]
    covariates: dict[str, tuple[str, str]]  # role to column and unit
    ignored: tuple[tuple[str, str], ...]
    said: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, Scale] = field(default_factory=dict)


def names_from(texts: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Names of a command line: each text is a name, or several with commas between them. A name with a comma of its own
    is found among the known ones, or stands in quotes.
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
