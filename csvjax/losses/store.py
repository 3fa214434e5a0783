"""Losses that are being extracted: a Zarr group whose chunks are the unit of work, each there and whole or to be done.

To the arrays and attributes of `csvjax.data.loss_format` the store adds the attributes `corpus` and `tokenizer`
(SHA-256 in hexadecimal), `scoring` ("every token" or "all but the first token of a document"), `chunk` (tokens of a
chunk), `code` (the version of csvjax that made it) and `models`: for each, what its losses depend on. Where there is
something to say, `accuracy` is how far the losses of a model may be off for the type of its weights, and `batch` the
tokens of a batch that was chosen for the device: both are objects with a value for each such model. A chunk of `loss`
is one row of `chunk` tokens; the file of a chunk is moved to its place when it is written, so a kill leaves it out or
whole.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float, Int

from csvjax.atomic import replacing
from csvjax.data.loss_format import FORMAT, VERSION, create_array, encode_units
from csvjax.errors import InputError
from csvjax.losses.units import EncodedText

__all__ = [
    "ABSENT",
    "ACCURACY",
    "DAMAGED",
    "WHOLE",
    "attribute",
    "chunk_bounds",
    "chunk_path",
    "chunk_states",
    "keep_batch",
    "kept_batch",
    "open_store",
    "working",
    "write_chunk",
]

ABSENT, WHOLE, DAMAGED = 0, 1, 2
# How far losses may be off, by the type of the weights.
ACCURACY = {
    "bfloat16": "against float32 on a CPU 0.010 to 0.016 nats a token on average and up to 0.07 (GPT-2, Pythia-160m); "
    "against PyTorch's bfloat16 on a GPU 0.014 to 0.056 on average and up to 0.3"
}
CHUNK = 16_384

Settings = Mapping[str, Any]


@contextmanager
def working(path: Path) -> Iterator[None]:
    """Hold the store at `path` as one of those who write to it; the first of them clears what a kill left behind."""
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in path.rglob("*.partial"):
                left.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # someone else writes, and what looks left behind may be theirs
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def open_store(
    path: Path, models: Mapping[str, Settings], text: EncodedText, first_scored: bool, chunk: int = CHUNK
) -> zarr.Group:
    """The store at `path` with a row for each of `models`, made if it is not there; models it lacks join at its end.

    `models`: what the losses of each depend on (context, stride, weights, ...), as JSON.
    Raises: InputError for something else at `path`, and a store of other text, another tokenizer, or a model of one of
    these names with other settings.
    """
    scoring = "every token" if first_scored else "all but the first token of a document"
    fixed = {"corpus": text.corpus, "tokenizer": text.tokenizer, "scoring": scoring}
    arrays, named = encode_units(text.units, text.texts)
    new = not path.exists()
    if new:
        _create(path, models, {**named, **fixed}, arrays, chunk)
    elif not (path / "zarr.json").is_file():
        raise InputError(
            f"expected a store of csvjax losses or nothing at {path}, found something else; choose another"
        )
    group = zarr.open_group(path, mode="r+")
    if group.attrs.get("format") != FORMAT or "models" not in group.attrs:
        raise InputError(
            f"expected a store that csvjax losses began at {path}, found another Zarr group; choose another path"
        )
    for name, value in fixed.items():
        found = str(group.attrs.get(name))
        if found != value:
            raise InputError(
                f"expected a store of the same {name} ({value[:40]}) at {path}, found {found[:40]}; "
                "choose another path, or delete this store"
            )
    if not new:
        _mend_units(group, arrays)
    _join(group, path, models, len(text.units))
    return group


def _create(
    path: Path, models: Mapping[str, Settings], named: Settings, arrays: Mapping[str, np.ndarray], chunk: int
) -> None:
    attributes = {
        "format": FORMAT,
        "version": VERSION,
        "lms": list(models),
        **named,
        "chunk": chunk,
        "code": _version(),
    }
    attributes["models"] = {lm: dict(settings) for lm, settings in models.items()}
    attributes |= _accuracy(models)
    with replacing(path) as part:
        group = zarr.create_group(part, attributes=attributes)
        shape = len(models), len(arrays["start"])
        create_array(group, "loss", shape=shape, chunks=(1, chunk), dtype=np.float32)
        written: list[str] = []
        for name, array in arrays.items():
            # Where tokens are bytes of the text as they are, two pairs of arrays are the same, and compressing is slow.
            same = next((n for n in written if _equal(arrays[n], array)), None)
            if same is None:
                create_array(group, name, array)
            else:
                shutil.copytree(part / same, part / name)
            written.append(name)


def _accuracy(models: Mapping[str, Settings]) -> dict[str, Any]:
    found = {lm: ACCURACY[s["dtype"]] for lm, s in models.items() if s.get("dtype") in ACCURACY}
    return {"accuracy": found} if found else {}


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(a, b)


def _version() -> str:
    """The version of csvjax; a copy of its files that nobody installed has no metadata."""
    try:
        return importlib.metadata.version("csvjax")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _mend_units(group: zarr.Group, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays that describe the units again where they cannot be read."""
    for name, wanted in arrays.items():
        try:
            same = np.array_equal(_array(group, name)[...], wanted)
        except Exception:  # of zarr, of a codec, of the checksum
            same = False
        if not same:
            del group[name]
            create_array(group, name, wanted)


def _join(group: zarr.Group, path: Path, models: Mapping[str, Settings], units: int) -> None:
    known: dict[str, Any] = dict(attribute(group, "models"))
    for lm, settings in models.items():
        for key, value in settings.items():
            if lm in known and known[lm].get(key) != value:
                raise InputError(
                    f"expected the model {lm!r} in {path} with {key} {str(value)[:40]}, found "
                    f"{str(known[lm].get(key))[:40]}; "
                    "choose another path or another name (--lm NAME=PATH)"
                )
    new = {lm: dict(settings) for lm, settings in models.items() if lm not in known}
    if new:
        lms = [*known, *new]
        _array(group, "loss").resize((len(lms), units))
        group.attrs.update({"lms": lms, "models": known | new, **_accuracy(known | new)})


def keep_batch(store: zarr.Group, lm: str, batch: int) -> None:
    """Keep the batch that was chosen for a model: with another one, losses differ by their rounding."""
    found = _batches(store)
    if found.get(lm) != batch:
        store.attrs.update({"batch": found | {lm: batch}})


def kept_batch(store: zarr.Group, lm: str) -> int:
    """Tokens of the batch that was chosen for a model in a run before, else 0."""
    return _batches(store).get(lm, 0)


def _batches(store: zarr.Group) -> dict[str, Any]:
    attributes: dict[str, Any] = dict(store.attrs)
    return attributes.get("batch", {})


def attribute(store: zarr.Group, name: str) -> Any:
    """What the store says under a name, as JSON."""
    return store.attrs[name]


def _array(group: zarr.Group, name: str) -> zarr.Array:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def chunk_path(store: zarr.Group, row: int, chunk: int) -> Path:
    """The file of a chunk."""
    return Path(store.store.root) / "loss" / "c" / str(row) / str(chunk)  # type: ignore[attr-defined]  # a LocalStore


def chunk_bounds(store: zarr.Group) -> Int[np.ndarray, " border"]:
    """The tokens where chunks begin, and the number of tokens."""
    units = _array(store, "loss").shape[1]
    return np.append(np.arange(0, units, attribute(store, "chunk")), units)


def chunk_states(store: zarr.Group) -> Int[np.ndarray, "lm chunk"]:
    """ABSENT, WHOLE or DAMAGED (its checksum is another, or it does not hold a loss for each token)."""
    bounds, loss = chunk_bounds(store), _array(store, "loss")
    states = np.full((len(attribute(store, "lms")), len(bounds) - 1), ABSENT)
    for row, chunk in np.ndindex(*states.shape):
        if not chunk_path(store, row, chunk).is_file():
            continue
        try:
            found = np.asarray(loss[row, bounds[chunk] : bounds[chunk + 1]])
            states[row, chunk] = WHOLE if np.isfinite(found).all() else DAMAGED
        except Exception:  # of zarr, of a codec, of the checksum
            states[row, chunk] = DAMAGED
    return states


def write_chunk(store: zarr.Group, lm: str, chunk: int, loss: Float[np.ndarray, " token"], text: EncodedText) -> None:
    """Put the losses of a chunk, nats, in their place; a damaged chunk there goes.

    Raises: InputError that names the model, document and token of the first loss that is not finite.
    """
    bounds = chunk_bounds(store)
    wrong = np.flatnonzero(~np.isfinite(loss))
    if len(wrong):
        token, document, start = text.units.iloc[bounds[chunk] + wrong[0]][["token", "document", "start"]]
        raise InputError(
            f"expected finite losses, found {loss[wrong[0]]} for lm {lm!r} at token {token!r} (byte {start}) of "
            f"document {document!r}; check the model's weights, or choose --dtype float32"
        )
    row = attribute(store, "lms").index(lm)
    chunk_path(store, row, chunk).unlink(missing_ok=True)
    _array(store, "loss")[row, bounds[chunk] : bounds[chunk + 1]] = loss
