"""Which language models are seen and which are predicted: masks over the rows of `Dataset.lms`, deterministic."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from csvjax.errors import InputError
from csvjax.names import hint

__all__ = ["Fold", "Split", "UnknownSplit", "inner", "leave_one_out", "parse_split", "threshold", "weak_to_strong"]

Mask = NDArray[np.bool_]

FORMS = "leave-one-out:COLUMN, weak-to-strong:COLUMN, weak-to-strong:COLUMN:TOP or COLUMN>NUMBER"


class UnknownSplit(InputError):
    """A text that is none of the `FORMS` of a split."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to fit and rows to predict: two disjoint masks [lm], neither of them empty."""

    name: str
    train: Mask
    test: Mask


@dataclass(frozen=True, eq=False)
class Split:
    """`folds` of one question. `unplaced`: models whose column is unknown; they are in no mask, seen by nobody."""

    name: str
    folds: tuple[Fold, ...]
    unplaced: tuple[str, ...] = ()


def _column(lms: pd.DataFrame, column: str, rows: Mask | None) -> tuple[pd.Series, Mask]:
    """The column and the mask of the rows that take part: those of `rows` where the column is known."""
    if column not in lms.columns:
        names = [str(c) for c in lms.columns]
        raise InputError(f"a split needs a column of the models, and '{column}' is none: {hint(column, names)}")
    known = lms[column].notna().to_numpy()
    return lms[column], known if rows is None else known & rows


def _numbers(lms: pd.DataFrame, column: str, rows: Mask | None) -> tuple[NDArray[np.float64], Mask]:
    values, rows = _column(lms, column, rows)
    if not pd.api.types.is_numeric_dtype(values):
        raise InputError(f"this split orders models by '{column}', which must hold numbers and holds {values.dtype}")
    return values.to_numpy(float, na_value=np.nan), rows


def _unplaced(lms: pd.DataFrame, column: str) -> tuple[str, ...]:
    return tuple(str(name) for name in lms.index[lms[column].isna().to_numpy()])


def leave_one_out(lms: pd.DataFrame, column: str, rows: Mask | None = None) -> Split:
    """One fold for each value of `column`: the models with that value are predicted from all the others.

    `rows` [lm] restricts the split to some models (default: all of them).
    """
    values, rows = _column(lms, column, rows)
    levels = list(dict.fromkeys(values[rows]))
    if len(levels) < 2:
        raise InputError(
            f"leave-one-out:{column} needs two or more different values of '{column}' and found "
            f"{len(levels)} in {int(rows.sum())} models"
        )
    held = [(level, (values == level).to_numpy(bool, na_value=False) & rows) for level in levels]
    folds = tuple(Fold(f"{column}={level}", rows & ~test, test) for level, test in held)
    return Split(f"leave-one-out:{column}", folds, _unplaced(lms, column))


def weak_to_strong(lms: pd.DataFrame, column: str, top: int = 1, rows: Mask | None = None) -> Split:
    """The models with the `top` largest distinct values of `column` are predicted from those with smaller values."""
    if top < 1:
        raise InputError(f"weak-to-strong:{column} holds out one or more of the largest values, not {top}")
    values, rows = _numbers(lms, column, rows)
    levels = np.unique(values[rows])
    name = f"weak-to-strong:{column}" + (f":{top}" if top > 1 else "")
    if len(levels) <= top:
        raise InputError(
            f"{name} needs more than {top} different values of '{column}' and found {len(levels)} "
            f"in {int(rows.sum())} models"
        )
    test = rows & (values >= levels[-top])
    fold = Fold(f"{column}>={levels[-top]:g}", rows & ~test, test)
    return Split(name, (fold,), _unplaced(lms, column))


def threshold(lms: pd.DataFrame, column: str, value: float, rows: Mask | None = None) -> Split:
    """The models whose `column` is above `value` are predicted from those at or below it."""
    values, rows = _numbers(lms, column, rows)
    name = f"{column}>{value:g}"
    test = rows & (values > value)
    if not test.any() or not (rows & ~test).any():
        found = f"'{column}' from {values[rows].min():g} to {values[rows].max():g}" if rows.any() else f"no '{column}'"
        raise InputError(f"the split {name} needs models on both sides and found {found} in {int(rows.sum())} models")
    return Split(name, (Fold(name, rows & ~test, test),), _unplaced(lms, column))


def _parse(text: str) -> tuple[str, str, float]:
    """(kind, column, number); the number is the `top` of weak-to-strong and the value of a threshold."""
    if match := re.fullmatch(r"leave-one-out:([^:>]+)", text):
        return "leave-one-out", match[1], 0.0
    if match := re.fullmatch(r"weak-to-strong:([^:>]+)(?::(\d+))?", text):
        return "weak-to-strong", match[1], float(match[2] or 1)
    if match := re.fullmatch(r"([^:>]+)>([^:>]+)", text):
        try:
            return "threshold", match[1].strip(), float(match[2])
        except ValueError:
            pass
    raise UnknownSplit(f"a split is written {FORMS}, and '{text}' is none of them")


def parse_split(text: str, lms: pd.DataFrame) -> Split:
    """The split that a command line's `leave-one-out:family`, `weak-to-strong:step:2`, `flops>1e22` ... names.

    Its name is the text itself, so that a table of predictions and the settings of its run agree.
    """
    kind, column, number = _parse(text)
    if kind == "leave-one-out":
        split = leave_one_out(lms, column)
    elif kind == "weak-to-strong":
        split = weak_to_strong(lms, column, int(number))
    else:
        split = threshold(lms, column, number)
    return replace(split, name=text)


def inner(text: str, lms: pd.DataFrame, train: Mask) -> Split:
    """The same kind of split inside the training rows, for choices that must not see the test rows; masks are [lm].

    `leave-one-out` leaves out each value that occurs in training; `weak-to-strong` holds out the strongest training
    values, fewer than outside if too few are left; a threshold moves down until it holds out about the same share of
    the training rows as the outer one of all rows.
    """
    kind, column, number = _parse(text)
    if kind == "leave-one-out":
        return leave_one_out(lms, column, train)
    if kind == "weak-to-strong":
        values, known = _numbers(lms, column, train)
        return weak_to_strong(lms, column, max(1, min(int(number), len(np.unique(values[known])) - 1)), train)
    values, known = _numbers(lms, column, None)
    share = float(np.mean(values[known] <= number))
    seen = np.sort(values[train & known])
    distinct = np.unique(seen)
    if len(distinct) < 2:
        raise InputError(
            f"{text} needs two different values of '{column}' in its training rows to split them, "
            f"and found {len(distinct)}"
        )
    wanted = np.quantile(seen, share, method="inverted_cdf")
    return threshold(lms, column, float(min(wanted, distinct[-2])), train)
