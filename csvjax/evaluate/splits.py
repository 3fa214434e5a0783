"""Splits of the language models into seen and held-out ones: deterministic masks over the rows of `Dataset.lms`."""

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
    """A text that has none of the `FORMS` of a split."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to fit and rows to predict: two disjoint masks [lm], both not empty."""

    name: str
    train: Mask
    test: Mask


@dataclass(frozen=True, eq=False)
class Split:
    """A split of the models.

    Attributes:
        name: the text of the split.
        folds: what is fitted and predicted, in turn.
        unplaced: models whose column is blank; they are in no mask.
    """

    name: str
    folds: tuple[Fold, ...]
    unplaced: tuple[str, ...] = ()


def _column(lms: pd.DataFrame, column: str, rows: Mask | None) -> tuple[pd.Series, Mask]:
    """The column, and the mask of the `rows` in which it is known."""
    if column not in lms.columns:
        names = [str(c) for c in lms.columns]
        raise InputError(
            f"the split needs the column {column!r}, which the table of models does not have: {hint(column, names)}"
        )
    known = lms[column].notna().to_numpy()
    return lms[column], known if rows is None else known & rows


def _numbers(lms: pd.DataFrame, column: str, rows: Mask | None) -> tuple[NDArray[np.float64], Mask]:
    values, rows = _column(lms, column, rows)
    if not pd.api.types.is_numeric_dtype(values):
        raise InputError(
            f"the split orders models by {column!r}, so this column must hold numbers, found {values.dtype}; correct it"
        )
    return values.to_numpy(float, na_value=np.nan), rows


def _unplaced(lms: pd.DataFrame, column: str) -> tuple[str, ...]:
    return tuple(str(name) for name in lms.index[lms[column].isna().to_numpy()])


def leave_one_out(lms: pd.DataFrame, column: str, rows: Mask | None = None) -> Split:
    """One fold for each value of `column`: the models with that value are predicted from all other models.

    Args:
        lms: the models.
        column: the column.
        rows: models to use [lm]; None for all.

    Raises: InputError for a column that does not exist or has fewer than two values.
    """
    values, rows = _column(lms, column, rows)
    levels = list(dict.fromkeys(values[rows]))
    if len(levels) < 2:
        raise InputError(
            f"leave-one-out:{column} needs at least two different values of {column!r}, found {len(levels)} in "
            f"{int(rows.sum())} models; choose another split"
        )
    held = [(level, (values == level).to_numpy(bool, na_value=False) & rows) for level in levels]
    folds = tuple(Fold(f"{column}={level}", rows & ~test, test) for level, test in held)
    return Split(f"leave-one-out:{column}", folds, _unplaced(lms, column))


def weak_to_strong(lms: pd.DataFrame, column: str, top: int = 1, rows: Mask | None = None) -> Split:
    """One fold: the models with the `top` largest distinct values of `column` are predicted from the other models.

    Raises: InputError for a column that does not exist, holds no numbers, or has no more than `top` values.
    """
    if top < 1:
        raise InputError(
            f"weak-to-strong:{column} must hold out at least one of the largest values, found {top}; give 1 or more"
        )
    values, rows = _numbers(lms, column, rows)
    levels = np.unique(values[rows])
    name = f"weak-to-strong:{column}" + (f":{top}" if top > 1 else "")
    if len(levels) <= top:
        raise InputError(
            f"{name} needs more than {top} different values of {column!r}, found {len(levels)} in {int(rows.sum())} "
            f"models; choose another split"
        )
    test = rows & (values >= levels[-top])
    fold = Fold(f"{column}>={levels[-top]:g}", rows & ~test, test)
    return Split(name, (fold,), _unplaced(lms, column))


def threshold(lms: pd.DataFrame, column: str, value: float, rows: Mask | None = None) -> Split:
    """One fold: the models whose `column` is above `value` are predicted from the other models.

    Raises: InputError for a column that does not exist or holds no numbers, and if all models are on one side.
    """
    values, rows = _numbers(lms, column, rows)
    name = f"{column}>{value:g}"
    test = rows & (values > value)
    if not test.any() or not (rows & ~test).any():
        found = f"{column!r} from {values[rows].min():g} to {values[rows].max():g}" if rows.any() else f"no {column!r}"
        raise InputError(
            f"the split {name} needs models on both sides, found {found} in {int(rows.sum())} models; change it"
        )
    return Split(name, (Fold(name, rows & ~test, test),), _unplaced(lms, column))


def _parse(text: str) -> tuple[str, str, float]:
    """Kind, column and number of a split; the number is `top` of weak-to-strong or the value of a threshold."""
    if match := re.fullmatch(r"leave-one-out:([^:>]+)", text):
        return "leave-one-out", match[1], 0.0
    if match := re.fullmatch(r"weak-to-strong:([^:>]+)(?::(\d+))?", text):
        return "weak-to-strong", match[1], float(match[2] or 1)
    if match := re.fullmatch(r"([^:>]+)>([^:>]+)", text):
        try:
            return "threshold", match[1].strip(), float(match[2])
        except ValueError:
            pass
    raise UnknownSplit(f"{text!r} is none of the splits {FORMS}")


def parse_split(text: str, lms: pd.DataFrame) -> Split:
    """The split that a text names, such as `leave-one-out:family`, `weak-to-strong:step:2` or `flops>1e22`.

    The name of the split is the text itself, so that tables of predictions and settings of a run agree.

    Raises: InputError for a text that is not a split, and for a split that the models do not allow.
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
    """The same kind of split within the training rows, for choices that must not see the test rows.

    `leave-one-out` leaves out each value that occurs in training. `weak-to-strong` holds out the largest training
    values, fewer than outside if too few are left. A threshold moves down until it holds out about the same share of
    the training rows as the outer threshold holds out of all rows.

    Args:
        text: the split.
        lms: the models.
        train: the training rows [lm].

    Raises: InputError for a text that is not a split, and for a split that the training rows do not allow.
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
            f"{text} needs at least two different values of {column!r} in its training rows, found {len(distinct)}; "
            f"choose another split"
        )
    wanted = np.quantile(seen, share, method="inverted_cdf")
    return threshold(lms, column, float(min(wanted, distinct[-2])), train)
