"""Extraction of losses into a Zarr store that a second call goes on with: one chunk and one mark for each model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import zarr
from jaxtyping import Float
from tokenizers import Tokenizer

from csvjax.atomic import replacing
from csvjax.errors import InputError
from csvjax.losses.nll import LanguageModel, document_nll
from csvjax.losses.read import write_losses
from csvjax.losses.table import LossTable
from csvjax.losses.units import EncodedText, TextDocument, encode_text
from csvjax.losses.windows import plan_windows

__all__ = ["extract", "finished", "open_store", "write_row"]


def extract(
    models: Mapping[str, Callable[[], LanguageModel]],
    documents: Sequence[TextDocument],
    tokenizer: Tokenizer,
    path: Path,
    context: int,
    stride: int | None = None,
    bos: int | None = None,
    batch: int = 16,
) -> None:
    """Losses of every model on every token of the documents, written to the folder `path`; `read_losses` reads it.

    `models`: what loads each model, called only if its row is not there yet. `context`, `stride`, `bos`: see
    `plan_windows`. Several processes may extract different models of one store that exists already.
    Raises InputError for a store of another text, tokenizer or window, and for a loss that is not finite.
    """
    text = encode_text(documents, tokenizer, first_scored=bos is not None)
    windows = plan_windows(text.ids, context, stride, bos)
    scoring = f"context {context}, stride {stride or context // 2}, first token after {bos}"
    store = open_store(path, tuple(models), text, scoring)
    for lm in [lm for lm in models if lm not in finished(store)]:
        write_row(store, lm, document_nll(models[lm](), windows, batch), text)


def open_store(path: Path, lms: Sequence[str], text: EncodedText, scoring: str) -> zarr.Group:
    """The store at `path`, in the format of `write_losses`, with a row for each of `lms`; made if it is not there.

    Its attributes `corpus` and `tokenizer` are the hashes of `text`, `scoring` says how tokens are scored, and
    `finished` [lm] marks the rows that are whole. Models that it does not know yet are added at its end.
    Raises InputError if an attribute differs.
    """
    wanted = {"corpus": text.corpus, "tokenizer": text.tokenizer, "scoring": scoring}
    if not path.exists():
        with replacing(path) as part:
            # Written as a table of zeros and emptied: the format is known in one place only.
            table = LossTable(tuple(lms), np.zeros((len(lms), len(text.units)), np.float32), text.units, text.texts)
            write_losses(table, part)
            group = zarr.open_group(part, mode="r+")
            _array(group, "loss")[...] = np.nan
            group.create_array("finished", shape=(len(lms),), chunks=(1,), dtype=bool, fill_value=False)
            group.attrs.update(wanted)
    group = zarr.open_group(path, mode="r+")
    for name, value in wanted.items():
        found = str(group.attrs.get(name))
        if found != value:
            raise InputError(
                f"expected a store of the same {name} ({value[:60]}) at {path}, found {found[:60]}; "
                "choose another path, or delete this store"
            )
    known = _lms(group)
    new = [lm for lm in lms if lm not in known]
    if new:
        rows = len(known) + len(new)
        _array(group, "loss").resize((rows, len(text.units)))
        _array(group, "finished").resize((rows,))
        group.attrs["lms"] = known + new
    return group


def _array(group: zarr.Group, name: str) -> zarr.Array:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def _lms(group: zarr.Group) -> list[str]:
    return list(group.attrs["lms"])  # type: ignore[arg-type]  # JSON: a list of strings


def finished(store: zarr.Group) -> tuple[str, ...]:
    """The models whose rows are whole."""
    marks = np.asarray(_array(store, "finished")[...])
    return tuple(lm for lm, done in zip(_lms(store), marks, strict=True) if done)


def write_row(store: zarr.Group, lm: str, loss: Float[np.ndarray, " unit"], text: EncodedText) -> None:
    """Write a model's losses, nats, and then the mark that they are whole.

    Raises InputError that names the model, document and token of the first loss that is not finite.
    """
    wrong = np.flatnonzero(~np.isfinite(loss))
    if len(wrong):
        token, document, _, start, _ = text.units.iloc[wrong[0]]
        raise InputError(
            f"expected finite losses, found {loss[wrong[0]]} for lm {lm!r} at token {token!r} (byte {start}) of "
            f"document {document!r}; check the model's weights"
        )
    row = _lms(store).index(lm)
    _array(store, "loss")[row] = loss
    _array(store, "finished")[row] = True
