"""The store of losses that are being computed: a Zarr group whose chunks are complete or still to do.

The store has the arrays and attributes of `csvjax.data.loss_format`, and further attributes: `corpus` and `tokenizer`
(SHA-256 in hexadecimal), `scoring` ("every token" or "all but the first token of a document"), `chunk` (tokens in a
chunk), `code` (the version of csvjax that made it) and `models`, the settings on which the losses of each model depend.
Two attributes are there for some models: `accuracy`, the possible error of losses due to the type of the weights, and
`batch`, the tokens in a batch that was chosen for the device. A chunk of `loss` is one row of `chunk` tokens; its file
is renamed when it is written, so a killed process leaves it complete or absent. A model joins the store with its first
chunk of finite losses, so a checkpoint without finite losses leaves no trace. `csvjax.losses.remote` does in an object
store what needs locks and renames here.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float, Int

from csvjax.atomic import replacing
from csvjax.data.loss_format import FORMAT, VERSION, create_array, encode_units
from csvjax.errors import InputError
from csvjax.losses import remote
from csvjax.losses.locks import alone, remove_empty, working
from csvjax.losses.units import EncodedText
from csvjax.objects import address, open_bucket, reachable, zarr_place

__all__ = [
    "ABSENT",
    "ACCURACY",
    "DAMAGED",
    "WHOLE",
    "attribute",
    "chunk_bounds",
    "chunk_name",
    "chunk_path",
    "chunk_states",
    "keep_batch",
    "kept_batch",
    "model_states",
    "open_store",
    "place_of",
    "remove_empty",
    "working",
    "write_chunk",
]

ABSENT, WHOLE, DAMAGED = 0, 1, 2
# Possible errors of losses, by the type of the weights.
ACCURACY = {
    "bfloat16": "against float32 on a CPU 0.010 to 0.016 nats a token on average and up to 0.07 (GPT-2, Pythia-160m); "
    "against PyTorch's bfloat16 on a GPU 0.014 to 0.056 on average and up to 0.3"
}
CHUNK = 16_384

Settings = Mapping[str, Any]


def open_store(
    path: Path, models: Mapping[str, Settings], text: EncodedText, first_scored: bool, chunk: int = CHUNK
) -> zarr.Group:
    """Open the store at `path`, or create it without models; models join it with their first chunks.

    Args:
        path: the store.
        models: settings on which the losses of each model depend (context, stride, weights, ...), as JSON.
        text: the text as tokens.
        first_scored: whether the first token of a document is scored.
        chunk: tokens in a chunk of a new store.

    Raises: InputError for other files at `path`, and for a store with other text, another tokenizer, or a model of the
    same name with other settings.
    """
    scoring = "every token" if first_scored else "all but the first token of a document"
    fixed = {"corpus": text.corpus, "tokenizer": text.tokenizer, "scoring": scoring}
    arrays, named = encode_units(text.units, text.texts)
    attributes = {"format": FORMAT, "version": VERSION, "lms": [], **named, **fixed}
    attributes |= {"chunk": chunk, "code": _version(), "models": {}}
    new = _create(path, attributes, arrays)
    group = zarr.open_group(zarr_place(path, read_only=False), mode="r+")
    if group.attrs.get("format") != FORMAT or "models" not in group.attrs:
        raise InputError(f"expected a store of csvjax losses at {path}, found another Zarr group; choose another path")
    for name, value in fixed.items():
        found = str(group.attrs.get(name))
        if found != value:
            raise InputError(
                f"expected a store with the same {name} ({value[:40]}) at {path}, found {found[:40]}; "
                "choose another path, or delete this store"
            )
    if not new:
        remote.complete(group, len(text.units))
        _mend_units(group, arrays)
    for lm, settings in models.items():
        _check_known(group, lm, settings)
    return group


def _create(path: Path, attributes: Settings, arrays: Mapping[str, np.ndarray]) -> bool:
    """Create a store unless there is one; whether it was created with all arrays of the units."""
    if (url := address(path)) is not None:
        remote.claim(open_bucket(url), attributes)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path.parent):  # otherwise two processes could replace each other's store
        if not path.exists():
            _write_new(path, attributes, arrays)
            return True
    if not (path / "zarr.json").is_file():
        raise InputError(
            f"expected a store of csvjax losses or nothing at {path}, found other files; choose another path"
        )
    return False


def _write_new(path: Path, attributes: Settings, arrays: Mapping[str, np.ndarray]) -> None:
    with replacing(path) as part:
        group = zarr.create_group(part, attributes=dict(attributes))
        create_array(group, "loss", shape=(0, len(arrays["start"])), chunks=(1, attributes["chunk"]), dtype=np.float32)
        written: list[str] = []
        for name, array in arrays.items():
            # Arrays of tokens and text may be equal; copying the file is faster than compressing twice.
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
    """The version of csvjax; files that were copied without installing have no metadata."""
    try:
        return importlib.metadata.version("csvjax")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _mend_units(group: zarr.Group, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of the units again if they cannot be read."""
    for name, wanted in arrays.items():
        try:
            same = np.array_equal(_array(group, name)[...], wanted)
        except Exception:  # errors of Zarr, codecs and checksums
            same = False
        if not same:
            bucket = remote.of(group)
            if bucket is None:
                del group[name]
                create_array(group, name, wanted)
            else:
                remote.put_array(bucket, name, wanted)


def _check_known(group: zarr.Group, lm: str, settings: Settings) -> None:
    known = attribute(group, "models").get(lm)
    for key, value in settings.items():
        if known is not None and known.get(key) != value:
            raise InputError(
                f"expected the model {lm!r} in {place_of(group)} with {key} {str(value)[:40]}, found "
                f"{str(known.get(key))[:40]}; choose another path or another name (--lm NAME=PATH), or delete the "
                f"model with csvjax losses drop"
            )


def _register(store: zarr.Group, lm: str, settings: Settings, batch: int) -> None:
    """Add a row for a new model. `batch` is the chosen batch, or 0."""

    def joined(found: dict[str, Any]) -> dict[str, Any]:
        if lm not in found["models"]:
            models = found["models"] | {lm: dict(settings)}
            found |= {"lms": list(models), "models": models, **_accuracy(models)}
        return found | ({"batch": found.get("batch", {}) | {lm: batch}} if batch else {})

    _amend(store, joined)
    _check_known(store, lm, settings)


def keep_batch(store: zarr.Group, lm: str, batch: int) -> None:
    """Save the batch that was chosen for a model, because losses with another batch differ by rounding."""
    _amend(store, lambda found: found | {"batch": found.get("batch", {}) | {lm: batch}})


def _amend(store: zarr.Group, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the attributes as they are now, with models that other processes added, and make a row for each model."""
    if remote.of(store) is not None:
        remote.amend(store, change)
        return
    with alone(_place(store) / "loss"):
        changed = change(dict(zarr.open_group(_place(store), mode="r").attrs))
        array = _array(store, "loss")
        if array.shape[0] != len(changed["lms"]):
            array.resize((len(changed["lms"]), array.shape[1]))
        store.attrs.put(changed)


def kept_batch(store: zarr.Group, lm: str) -> int:
    """Tokens in the batch that an earlier run chose for a model, or 0."""
    return _batches(store).get(lm, 0)


def _batches(store: zarr.Group) -> dict[str, Any]:
    attributes: dict[str, Any] = dict(store.attrs)
    return attributes.get("batch", {})


def attribute(store: zarr.Group, name: str) -> Any:
    """An attribute of the store, as JSON."""
    return store.attrs[name]


def _array(group: zarr.Group, name: str) -> zarr.Array:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def _place(store: zarr.Group) -> Path:
    return Path(store.store.root)  # type: ignore[attr-defined]  # a LocalStore


def place_of(store: zarr.Group) -> str:
    """Where the store is, for a sentence."""
    bucket = remote.of(store)
    return str(_place(store)) if bucket is None else bucket.url


def chunk_name(row: int, chunk: int) -> str:
    """The file or object of a chunk, relative to the store."""
    return f"loss/c/{row}/{chunk}"


def chunk_path(store: zarr.Group, row: int, chunk: int) -> Path:
    """The file of a chunk of a store on this machine."""
    return _place(store) / chunk_name(row, chunk)


def _present(store: zarr.Group, row: int) -> set[str]:
    """The names of the chunks of a row."""
    bucket = remote.of(store)
    if bucket is not None:
        return set(bucket.names(f"loss/c/{row}"))
    folder = chunk_path(store, row, 0).parent
    return {f"loss/c/{row}/{file.name}" for file in folder.iterdir() if file.is_file()} if folder.is_dir() else set()


def chunk_bounds(store: zarr.Group) -> Int[np.ndarray, " border"]:
    """The tokens at which chunks begin, and the number of tokens."""
    units = _array(store, "loss").shape[1]
    return np.append(np.arange(0, units, attribute(store, "chunk")), units)


def model_states(store: zarr.Group, lm: str) -> Int[np.ndarray, " chunk"]:
    """The state of each chunk: ABSENT, WHOLE, or DAMAGED (wrong checksum, or a token without a loss)."""
    bounds, lms = chunk_bounds(store), attribute(store, "lms")
    states = np.full(len(bounds) - 1, ABSENT)
    if lm not in lms:
        return states
    row, loss = lms.index(lm), _array(store, "loss")
    present = _present(store, row)
    for chunk in range(len(states)):
        if chunk_name(row, chunk) not in present:
            continue
        try:
            found = np.asarray(loss[row, bounds[chunk] : bounds[chunk + 1]])
            states[chunk] = WHOLE if np.isfinite(found).all() else DAMAGED
        except Exception:  # errors of Zarr, codecs and checksums
            states[chunk] = DAMAGED
    return states


def chunk_states(store: zarr.Group) -> Int[np.ndarray, "lm chunk"]:
    """`model_states` of all models of the store."""
    states = [model_states(store, lm) for lm in attribute(store, "lms")]
    return np.stack(states) if states else np.zeros((0, len(chunk_bounds(store)) - 1), int)


def write_chunk(
    store: zarr.Group,
    lm: str,
    chunk: int,
    loss: Float[np.ndarray, " token"],
    text: EncodedText,
    settings: Settings,
    batch: int = 0,
) -> None:
    """Write the losses of a chunk in nats, in place of a damaged chunk. A new model joins the store.

    Args:
        store: the store.
        lm: name of the model.
        chunk: number of the chunk.
        loss: losses [token].
        text: the text as tokens.
        settings: settings on which the losses depend.
        batch: tokens in the batch that was chosen, or 0.

    Raises: InputError that names the model, document and token of the first loss that is not finite; and for a model
    with the same name but other settings.
    """
    bounds = chunk_bounds(store)
    wrong = np.flatnonzero(~np.isfinite(loss))
    if len(wrong):
        token, document, start = text.units.iloc[bounds[chunk] + wrong[0]][["token", "document", "start"]]
        raise InputError(
            f"expected finite losses, found {loss[wrong[0]]} for lm {lm!r} at token {token!r} (byte {start}) of "
            f"document {document!r}; check the weights of the model, or use --dtype float32"
        )
    if lm not in attribute(store, "lms"):
        _register(store, lm, settings, batch)
    row = attribute(store, "lms").index(lm)
    bucket = remote.of(store)
    if bucket is None:
        chunk_path(store, row, chunk).unlink(missing_ok=True)
        _array(store, "loss")[row, bounds[chunk] : bounds[chunk + 1]] = loss
    else:
        with reachable(bucket.url):
            _array(store, "loss")[row, bounds[chunk] : bounds[chunk + 1]] = loss
