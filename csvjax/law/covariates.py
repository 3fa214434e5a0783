"""Columns of the models' table as covariates of the law.

params, tokens and flops are amounts: the covariates are their natural logarithms and products of these logarithms,
written params*tokens. Any other column may be used too:

- a column of numbers is used as it is, or as logarithms if all numbers are positive and the largest is at least 30
  times the smallest; log:COLUMN and raw:COLUMN override this rule;
- dates become years;
- any other column is a category, with one column (0 or 1) for each of its levels.

Every covariate is standardised over the models that have a value. Each missing value is one latent factor: all products
of a missing amount depend on the same factor. If two of params, tokens and flops are given, the third follows from
flops = 6 params tokens (Kaplan et al. 2020, arXiv 2001.08361, eq. 2.1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax import names
from csvjax.errors import InputError

__all__ = ["AMOUNTS", "Columns", "describe", "encode", "find_columns"]

AMOUNTS = ("params", "tokens", "flops")
_UNIT = {"params": 1e9, "tokens": 1e12, "flops": 1e21}
_LOG_RATIO = 30.0
_MOST_LEVELS = 30
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?$")

Kind = Literal["log", "raw", "date", "category"]


@dataclass(frozen=True)
class _Base:
    """A column before it becomes a covariate. centre, scale: mean and standard deviation of the transformed column over
    the models that have a value. levels: the levels of a category.
    """

    column: str
    kind: Kind
    centre: float = 0.0
    scale: float = 1.0
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Covariate:
    """A standardised product of bases (nearly always of one). level: the index of the category's level, else -1."""

    name: str
    bases: tuple[str, ...]
    centre: float
    scale: float
    level: int = -1


@dataclass(frozen=True)
class Columns:
    """How covariates are computed from a table of models; `find_columns` makes it from the models of a fit."""

    bases: dict[str, _Base]
    covariates: tuple[_Covariate, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.covariates)


def find_columns(lms: pd.DataFrame, wanted: Sequence[str]) -> Columns:
    """The covariates named by `wanted`, standardised over the models `lms`.

    Raises: InputError for a name that is not a column, and for a covariate with fewer than two different values.
    """
    table = _derived(lms)
    bases: dict[str, _Base] = {}
    found: list[_Covariate] = []
    for name in wanted:
        parts = tuple(part.strip() for part in name.split("*"))
        for part in parts:
            bases.setdefault(part, _base(table, part))
        if len(parts) == 1 and bases[parts[0]].kind == "category":
            found += _levels(table, bases[parts[0]])
            continue
        if any(bases[part].kind == "category" for part in parts):
            raise InputError(f"expected a product of numbers, found {name!r}, in which a column is a category")
        value = np.prod([_transformed(table, bases[part]) for part in parts], axis=0)
        found.append(_Covariate(name, parts, *_spread(value, name)))
    return Columns(bases, tuple(found))


def encode(lms: pd.DataFrame, columns: Columns) -> tuple[Float[np.ndarray, "lm x"], Float[np.ndarray, "lm x unknown"]]:
    """Standardised covariates (the mean where a value is missing) and their derivatives by each missing value."""
    table = _derived(lms)
    value = {name: _transformed(table, base) for name, base in columns.bases.items() if base.kind != "category"}
    held = {name: np.where(np.isnan(v), columns.bases[name].centre, v) for name, v in value.items()}
    x = np.zeros((len(lms), len(columns.covariates)))
    unknown: list[np.ndarray] = []
    for name, own in value.items():
        if np.isnan(own).any():
            change = np.zeros_like(x)
            for j, c in enumerate(columns.covariates):
                if name in c.bases:
                    others = [held[part] for part in c.bases if part != name]
                    step = np.prod(others, axis=0) if others else np.ones(len(lms))
                    change[:, j] = np.where(np.isnan(own), step * columns.bases[name].scale / c.scale, 0.0)
            unknown.append(change)
    for j, c in enumerate(columns.covariates):
        if c.level < 0:
            x[:, j] = (np.prod([held[part] for part in c.bases], axis=0) - c.centre) / c.scale
            continue
        is_level, missing = _is_level(table, columns.bases[c.bases[0]], c.level)
        x[:, j] = np.where(missing, 0.0, (is_level - c.centre) / c.scale)
        if missing.any():
            change = np.zeros_like(x)
            change[:, j] = missing
            unknown.append(change)
    return x, np.stack(unknown, axis=2) if unknown else np.zeros((*x.shape, 0))


def describe(columns: Columns) -> list[str]:
    """A sentence for each covariate: how it was read."""
    words = {"log": "logarithm", "raw": "number", "date": "years", "category": "category"}
    return [f"{base.column}: {words[base.kind]}" for base in columns.bases.values()]


def _base(table: pd.DataFrame, part: str) -> _Base:
    prefix, _, rest = part.partition(":")
    forced, column = (prefix, rest) if prefix in ("log", "raw") and rest else (None, part)
    if column not in table.columns:
        usable = [str(c) for c in table.columns if c != "family"]
        raise InputError(
            f"expected covariates that are columns of the models, found {column!r}: {names.hint(column, usable)}"
        )
    values = table[column]
    kind: Kind = "category"
    number = pd.to_numeric(values, errors="coerce") if not _is_date(values) else None
    if number is None:
        kind = "date"
    elif forced or (number.notna() == values.notna()).all():
        known = number.dropna()
        wide = len(known) > 0 and known.min() > 0 and known.max() >= _LOG_RATIO * known.min()
        kind = "log" if forced == "log" or (forced is None and (column in AMOUNTS or wide)) else "raw"
        if kind == "log" and (known <= 0).any():
            raise InputError(f"expected numbers above 0 in {column!r} to take logarithms of, found {known.min():g}")
    if kind == "category":
        levels = tuple(sorted({str(v) for v in values.dropna()}))
        if not 2 <= len(levels) <= _MOST_LEVELS:
            raise InputError(
                f"expected 2 to {_MOST_LEVELS} levels of {column!r}, found {len(levels)}; leave this covariate out"
            )
        return _Base(column, kind, levels=levels)
    base = _Base(column, kind)
    return _Base(column, kind, *_spread(_transformed(table, base), column))


def _is_date(values: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(values):
        return True
    text = values.dropna()
    return bool(len(text)) and bool(text.map(lambda v: isinstance(v, str) and _DATE.match(v) is not None).all())


def _transformed(table: pd.DataFrame, base: _Base) -> np.ndarray:
    """The column as numbers before it is standardised, NaN where missing."""
    values = table[base.column]
    if base.kind == "date":
        days = pd.to_datetime(values, errors="coerce")
        return ((days - pd.Timestamp("2020-01-01")).dt.total_seconds() / (365.25 * 86400)).to_numpy(float)
    number = pd.to_numeric(values, errors="coerce").to_numpy(float)
    if base.kind == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(number / _UNIT.get(base.column, 1.0))
    return number


def _spread(value: np.ndarray, name: str) -> tuple[float, float]:
    known = value[np.isfinite(value)]
    if len(np.unique(known)) < 2:
        raise InputError(
            f"expected two or more different values of {name}, found {len(np.unique(known))} in {len(value)} models; "
            f"leave this covariate out"
        )
    return float(known.mean()), float(known.std())


def _is_level(table: pd.DataFrame, base: _Base, level: int) -> tuple[np.ndarray, np.ndarray]:
    values = table[base.column]
    known = values.notna().to_numpy() & values.astype(str).isin(base.levels).to_numpy()
    return (values.astype(str) == base.levels[level]).to_numpy(float), ~known


def _levels(table: pd.DataFrame, base: _Base) -> list[_Covariate]:
    found = []
    for level, name in enumerate(base.levels):
        is_level, missing = _is_level(table, base, level)
        found.append(_Covariate(f"{base.column}={name}", (base.column,), *_spread(is_level[~missing], name), level))
    return found


def _derived(lms: pd.DataFrame) -> pd.DataFrame:
    """The table, in which the third of params, tokens and flops is computed where the other two are given."""
    table = lms.copy()
    if not set(AMOUNTS) <= set(table.columns):
        return table
    n, d, c = (pd.to_numeric(table[name], errors="coerce").to_numpy(float) for name in AMOUNTS)
    table["params"] = np.where(np.isnan(n), c / (6 * d), n)
    table["tokens"] = np.where(np.isnan(d), c / (6 * n), d)
    table["flops"] = np.where(np.isnan(c), 6 * n * d, c)
    return table
