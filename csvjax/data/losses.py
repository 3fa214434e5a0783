"""Losses of language models on the units of a text as a checked matrix with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax import names
from csvjax.errors import InputError

__all__ = ["UNIT_COLUMNS", "LossTable", "check_units"]

UNIT_COLUMNS = ("token", "document", "domain", "start", "bytes")

_ROUNDING = 1e-4  # nats; rounding of a float32 log softmax can make a loss near 0 negative by this much


@dataclass(frozen=True, eq=False)
class LossTable:
    """The loss of each language model on each unit of a text. Checked when it is made, and read-only.

    A unit is a token or a longer piece of text.

    Attributes:
        lms: names of the models.
        loss: nats, float32 or float64 (other types are converted) [lm, unit]. The row of a model whose losses were not
            measured is NaN.
        units: a frame with one row for each unit, in the order of `loss`, and the columns `token` (its text),
            `document` and `domain` (names), `start` (offset in the document's UTF-8, in bytes) and `bytes` (length, at
            least 1). Other columns are kept. A token is the bytes start to start + bytes of its document, decoded with
            errors="replace".
        texts: the text of each document by name, where it is known.

    Raises: InputError for repeated names, wrong shapes, missing columns, a loss that is missing, infinite or negative,
    wrong offsets, and tokens that are not in the text of their document.
    """

    lms: tuple[str, ...]
    loss: Float[np.ndarray, "lm unit"]
    units: pd.DataFrame
    texts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keep = object.__setattr__
        keep(self, "lms", names.checked(self.lms, "lm"))
        keep(self, "units", _checked_units(self.units))
        loss = np.asarray(self.loss)
        if loss.dtype not in (np.float32, np.float64):
            loss = loss.astype(np.float32 if loss.dtype == np.float16 else np.float64)
        loss = loss.view()
        loss.flags.writeable = False
        keep(self, "loss", loss)
        if loss.shape != (len(self.lms), len(self.units)):
            raise InputError(
                f"expected loss [lm, unit] of shape {(len(self.lms), len(self.units))}, the numbers of lms and units, "
                f"found {loss.shape}; give a row for each lm and a column for each unit"
            )
        self._check_losses()
        self._check_texts()

    def _check_losses(self) -> None:
        wrong = ~(np.isfinite(self.loss) & (self.loss >= -_ROUNDING))
        wrong &= ~np.isnan(self.loss).all(axis=1, keepdims=True)  # a row of NaN: losses that were not measured
        if wrong.any():
            m, u = np.argwhere(wrong)[0]
            token, document = self.units.iloc[u][["token", "document"]]
            raise InputError(
                f"expected losses that are finite and not negative, found {self.loss[m, u]:g} for lm {self.lms[m]!r} "
                f"at token {token!r} (unit {u}) of document {document!r}; compute the losses again, or leave out "
                f"the model or the unit"
            )

    def _check_texts(self) -> None:
        if unknown := sorted(set(self.texts) - set(self.units["document"].unique())):
            raise InputError(
                f"expected texts of documents that have units, found {names.some(unknown)}; leave them out"
            )
        encoded = {name: text.encode() for name, text in self.texts.items()}
        columns = (self.units[column].tolist() for column in ("document", "start", "bytes", "token"))
        for u, (document, start, size, token) in enumerate(zip(*columns, strict=True)):
            if document in encoded:
                found = encoded[document][start : start + size]
                if len(found) < size or found.decode(errors="replace") != token:
                    raise InputError(
                        f"expected token {token!r} (unit {u}) at bytes {start} to {start + size} of document "
                        f"{document!r}, found {found.decode(errors='replace')!r}; give the text that was scored"
                    )

    @property
    def base_weight(self) -> Float[np.ndarray, " unit"]:
        """The share of each unit in the bytes of the text: pi[u] = bytes[u] / sum_v bytes[v]."""
        size = self.units["bytes"].to_numpy(float)
        return size / size.sum()

    @property
    def mean_loss(self) -> Float[np.ndarray, " lm"]:
        """Mean loss of each model in nats per byte: sum_u loss[m, u] / sum_u bytes[u]."""
        return self.loss.sum(axis=1, dtype=np.float64) / self.units["bytes"].sum()

    def select(self, lms: Sequence[str]) -> LossTable:
        """The table of these models, in this order.

        Raises: InputError for a name that the table does not have, or the same name twice.
        """
        return LossTable(tuple(lms), self.loss[names.positions(lms, self.lms, "lm")], self.units, self.texts)


def _checked_units(units: pd.DataFrame) -> pd.DataFrame:
    """The units with text columns of str and offsets of int64, numbered from 0."""
    for column in UNIT_COLUMNS:
        if column not in units.columns:
            raise InputError(
                f"expected units with the columns {', '.join(UNIT_COLUMNS)}, found none named {column!r}: "
                f"{names.hint(column, map(str, units.columns))}; add or rename it"
            )
    if units.empty:
        raise InputError("expected at least one unit, found none; give the tokens or spans that were scored")
    kept = units.reset_index(drop=True)
    for column in ("token", "document", "domain"):
        for u, value in enumerate(kept[column].tolist()):
            if not isinstance(value, str):
                raise InputError(f"expected a string as {column} of unit {u}, found {value!r}; give it as text")
        kept[column] = kept[column].astype(str)
    for column, smallest in (("start", 0), ("bytes", 1)):
        values = pd.to_numeric(kept[column], errors="coerce").to_numpy(float)
        for u in np.flatnonzero(~((values >= smallest) & (values == np.floor(values)) & np.isfinite(values)))[:1]:
            raise InputError(
                f"expected {column} of unit {u} to be a whole number of at least {smallest}, found "
                f"{kept[column].iloc[u]!r}; give offsets and lengths in bytes"
            )
        kept[column] = values.astype(np.int64)
    return kept


_SAME = ("token", "document", "start", "bytes")


def check_units(old: LossTable, new: LossTable) -> None:
    """Check that two tables have losses on the same units.

    Raises: InputError if the units of `new` differ from those of `old`.
    """
    if len(new.units) != len(old.units):
        raise InputError(
            f"expected losses on the {len(old.units)} units of the fit, found {len(new.units)}; score the same text"
        )
    differ = (new.units[list(_SAME)] != old.units[list(_SAME)]).any(axis=1).to_numpy()
    for u in np.flatnonzero(differ)[:1]:
        one, other = (
            f"{unit['token']!r} at byte {unit['start']} of {unit['document']!r}"
            for unit in (table.units.iloc[u] for table in (old, new))
        )
        raise InputError(
            f"expected losses on the units of the fit, found {other} in place of {one} as unit {u}; score the same "
            f"text with the same tokenizer"
        )
