"""A set of language models with their covariates, scores and losses, aligned by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool

from csvjax import names
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError

__all__ = ["Dataset", "align"]

_AMOUNTS = ("params", "tokens", "flops")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Language models and the data on them. All parts have the models in the same order; see `align`.

    Attributes:
        lms: a frame with index `lm` and columns `family` (str), `params`, `tokens` and `flops` (above 0, NaN where
            unknown); other columns are kept.
        scores: benchmark scores, or None.
        losses: losses on a text, or None.

    Raises: InputError for repeated models, missing columns, amounts that are not above 0, and parts whose models
    differ or are in another order.
    """

    lms: pd.DataFrame
    scores: ScoreTable | None = None
    losses: LossTable | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lms", _checked_lms(self.lms))
        for what, part in (("scores", self.scores), ("losses", self.losses)):
            if part is not None and part.lms != tuple(self.lms.index):
                raise InputError(
                    f"expected {what} of the same models in the same order, found {names.some(part.lms)} for "
                    f"{names.some(self.lms.index)}; make the dataset with align(lms, scores, losses)"
                )

    def measured(self) -> tuple[ScoreTable, LossTable]:
        """Scores and losses.

        Raises: InputError if the dataset has no scores or no losses.
        """
        if self.scores is None or self.losses is None:
            raise InputError(
                f"expected a dataset with scores and losses, found one without "
                f"{'scores' if self.scores is None else 'losses'}; pass both to align"
            )
        return self.scores, self.losses

    @property
    def has_losses(self) -> Bool[np.ndarray, " lm"]:
        """Whether the losses of each model were measured."""
        if self.losses is None:
            return np.zeros(len(self.lms), bool)
        return ~np.isnan(self.losses.loss).any(axis=1)

    def subset(self, lms: Sequence[str]) -> Dataset:
        """The dataset of these models, in this order.

        Raises: InputError for a name that the dataset does not have, or the same name twice.
        """
        at = names.positions(lms, tuple(self.lms.index), "lm")
        return Dataset(
            self.lms.iloc[at],
            None if self.scores is None else self.scores.select(lms=lms),
            None if self.losses is None else self.losses.select(lms),
        )


def align(
    lms: pd.DataFrame | None = None,
    scores: ScoreTable | None = None,
    losses: LossTable | None = None,
    *,
    common: bool = False,
) -> Dataset:
    """Make a dataset from parts whose models may be in different orders. The first part gives the order.

    Args:
        lms: a frame as in `Dataset`. Without it each model is a family of its own, with unknown amounts.
        scores: benchmark scores. The row of a model without scores is NaN.
        losses: losses on a text.
        common: keep the models that all parts have. Otherwise all parts must have the same models.

    Raises: InputError if nothing is given, if the models differ, and if no model is common to all parts.
    """
    parts: dict[str, tuple[str, ...]] = {}
    if lms is not None:
        parts["lms"] = tuple(_checked_lms(lms).index)
    if scores is not None:
        parts["scores"] = scores.lms
    if losses is not None:
        parts["losses"] = losses.lms
    if not parts:
        raise InputError("expected lms, scores or losses, found none of them; give at least one")
    first, *others = parts
    order = parts[first]
    if common:
        shared = set(order).intersection(*(parts[other] for other in others))
        order = tuple(name for name in order if name in shared)
        if not order:
            raise InputError(
                f"expected models that are in both {' and '.join(parts)}, found none: "
                + ", ".join(f"{part} begin with {names.some(found, 2)}" for part, found in parts.items())
                + "; write the same names in all parts"
            )
    else:
        for other in others:
            _check_same(first, order, other, parts[other])
    return Dataset(
        _unknown(order) if lms is None else lms.loc[list(order)],
        None if scores is None else scores.select(lms=order),
        None if losses is None else losses.select(order),
    )


def _check_same(first: str, one: tuple[str, ...], other: str, two: tuple[str, ...]) -> None:
    only = [name for name in one if name not in set(two)], [name for name in two if name not in set(one)]
    found = [f"{names.some(lms)} only in {part}" for part, lms in zip((first, other), only, strict=True) if lms]
    if found:
        raise InputError(
            f"expected the same models in {first} and {other}, found {' and '.join(found)}; give common=True to keep "
            f"the models that all parts have, or add the missing rows (leave unknown scores blank)"
        )


def _unknown(lms: tuple[str, ...]) -> pd.DataFrame:
    """Covariates of models with nothing known but the name."""
    index = pd.Index(lms, name="lm", dtype=str)
    return pd.DataFrame({"family": list(lms), **dict.fromkeys(_AMOUNTS, np.nan)}, index)


def _checked_lms(lms: pd.DataFrame) -> pd.DataFrame:
    """The frame with its index named `lm`, `family` as str and amounts as float64."""
    index = names.checked(lms.index, "lm")
    for column in ("family", *_AMOUNTS):
        if column not in lms.columns:
            raise InputError(
                f"expected lms with the columns family, {', '.join(_AMOUNTS)}, found none named {column!r}: "
                f"{names.hint(column, map(str, lms.columns))}; add it, with NaN where it is unknown"
            )
    kept = lms.set_axis(pd.Index(index, name="lm", dtype=str))
    for name, family in kept["family"].items():
        if not isinstance(family, str) or not family:
            raise InputError(f"expected a non-empty string as family of lm {name!r}, found {family!r}; name its family")
    kept["family"] = kept["family"].astype(str)
    for column in _AMOUNTS:
        kept[column] = kept[column].astype(object).where(kept[column].notna(), np.nan)
        for name, value in kept[column].items():
            if not isinstance(value, (int, float, np.number)) or not (np.isnan(value) or 0 < value < np.inf):
                raise InputError(
                    f"expected {column} of lm {name!r} to be a number above 0, or NaN if unknown, found {value!r}; "
                    f"write a number above 0, or NaN"
                )
        kept[column] = kept[column].astype(np.float64)
    return kept
