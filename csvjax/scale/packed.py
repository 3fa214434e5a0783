"""A loss store packed for reading: one file of chunks, each contiguous, and the description of the units.

    loss.bin       chunk after chunk, each as `csvjax.scale.corpus.Chunk.loss`; little-endian
    units          a Zarr group: the arrays of `csvjax.data.loss_format` without `loss`
    corpus.json    format, models, type, units, units of a chunk

The store that csvjax losses writes has one small compressed file for each model and stretch of text. It suits writing,
not reading: for 100 models a chunk would be 400 files.
"""

from __future__ import annotations

import json
import os
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import zarr

from csvjax.atomic import replacing
from csvjax.data.loss_format import FORMAT as STORE
from csvjax.data.loss_format import create_array, decode_units, encode_units, merge_empty
from csvjax.errors import InputError
from csvjax.objects import refuse_remote, zarr_place
from csvjax.plain import write_json
from csvjax.scale.corpus import CHUNK, STEP, Corpus, laid_out

__all__ = ["FORMAT", "create", "open_packed", "pack", "packed_units"]

FORMAT = "csvjax corpus 1"
_ALIGNED = 64  # bytes; XLA reads memory with this alignment without a copy
_BUFFERS = 3  # one in computation, one that is read into, one that was just released


def pack(
    store: Path, out: Path, dtype: Literal["float16", "float32"] = "float16", chunk: int = CHUNK
) -> tuple[int, int]:
    """Pack the losses of a Zarr store into the folder `out`; returns the numbers of models and units.

    Models are read one by one, so memory holds one model and the units. A unit of 0 bytes is joined with the unit
    before it. float16 changes a loss below 16 nats by 1/256 at most. An existing packed corpus at `out` is replaced.

    Raises: InputError for a folder that is not a store of losses, a model whose losses are not complete, and something
    else at `out`.
    """
    refuse_remote(out, "packed losses")
    _check_place(out)
    if dtype not in ("float16", "float32"):
        raise InputError(f"expected dtype to be float16 or float32, found {dtype!r}; choose one")
    try:
        group = zarr.open_group(zarr_place(store), mode="r")
        attributes: dict[str, Any] = dict(group.attrs)
        if attributes.get("format") != STORE:
            raise ValueError
        arrays = {name: np.asarray(a[...]) for name, a in group.arrays() if name != "loss"}
        units, texts = decode_units(attributes, arrays)
        loss = group["loss"]
        assert isinstance(loss, zarr.Array)
    except Exception as error:  # of zarr, of the file system, of a codec
        raise InputError(
            f"expected a store of losses in a folder at {store}, found something that cannot be read as one; "
            "use a folder that csvjax losses wrote"
        ) from error
    lms = tuple(attributes["lms"])
    merged = merge_empty(np.zeros((0, len(units)), np.float32), units, texts)[1]

    def row(m: int) -> np.ndarray:
        try:
            found = np.asarray(loss[m])
        except Exception as error:  # of a codec, of the checksum
            raise InputError(f"{store}: the losses of {lms[m]!r} cannot be read; run csvjax losses again") from error
        if not np.isfinite(found).all():
            raise InputError(
                f"{store}: expected losses of {lms[m]!r} on every token, found {np.isnan(found).sum()} missing; run "
                "the same csvjax losses again, or remove the model (csvjax losses drop)"
            )
        return merge_empty(found[None].astype(np.float32), units, texts)[0][0]

    with replacing(out) as part:
        part.mkdir()
        _write_units(part, merged, texts)
        create(part, lms, len(merged), dtype, chunk, row)
    return len(lms), len(merged)


def _check_place(out: Path) -> None:
    if out.exists() and not (out / "corpus.json").is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"expected a packed corpus or nothing at {out}, found something else; choose another path")


def _write_units(place: Path, units: pd.DataFrame, texts: dict[str, str]) -> None:
    arrays, named = encode_units(units, texts)
    group = zarr.create_group(place / "units", attributes=named)
    for name, array in arrays.items():
        create_array(group, name, array)


def create(place: Path, lms: tuple[str, ...], units: int, dtype: str, chunk: int, row: Any) -> None:
    """Write `corpus.json` and `loss.bin` into the folder `place`. row: number of a model -> its losses [unit], nats."""
    chunk = -(-min(chunk, units) // STEP) * STEP
    count = -(-units // chunk)
    shape = (count, *_shape(len(lms), chunk, dtype))
    whole = np.memmap(place / "loss.bin", np.dtype(dtype).newbyteorder("<"), "w+", shape=shape)
    for m in range(len(lms)):
        losses = row(m)
        for i in range(count):
            part = laid_out(losses[None, i * chunk : (i + 1) * chunk], np.dtype(dtype), chunk)
            if dtype == "float16":
                whole[i, :, :, m] = part[:, :, 0]
            else:
                whole[i, m] = part[0]
    whole.flush()
    write_json({"format": FORMAT, "lms": lms, "dtype": dtype, "units": units, "chunk": chunk}, place / "corpus.json")


def _shape(lms: int, chunk: int, dtype: str) -> tuple[int, ...]:
    return laid_out(np.zeros((lms, 0), np.float32), np.dtype(dtype), chunk).shape


def _known(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(
            f"expected a packed corpus at {folder}, found none; make one from a store: csvjax salience pack STORE"
        )
    return found


def packed_units(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The units (token, document, domain, start, bytes) of a packed corpus, and the texts of documents.

    Raises: InputError if there is none, or it is damaged.
    """
    _known(folder)
    try:
        group = zarr.open_group(folder / "units", mode="r")
        return decode_units(dict(group.attrs), {name: np.asarray(a[...]) for name, a in group.arrays()})
    except Exception as error:  # of zarr, of a codec
        raise InputError(
            f"expected the units of a packed corpus in {folder}, found none that can be read; pack it again"
        ) from (error)


def open_packed(folder: Path, size: np.ndarray | None = None, mesh: Any = None) -> Corpus:
    """The corpus in a folder that `pack` wrote; chunks are read from the file when they are needed.

    size: bytes of the units; None: read from the folder.
    Raises: InputError if there is none, or it is damaged.
    """
    known = _known(folder)
    lms, units, dtype, chunk = tuple(known["lms"]), known["units"], np.dtype(known["dtype"]), known["chunk"]
    size = packed_units(folder)[0]["bytes"].to_numpy() if size is None else size
    shape = _shape(len(lms), chunk, known["dtype"])
    each = int(np.prod(shape)) * dtype.itemsize
    try:
        file = os.open(folder / "loss.bin", os.O_RDONLY)
    except OSError as error:
        raise InputError(f"expected losses in {folder / 'loss.bin'}, found no such file; pack it again") from error
    if os.fstat(file).st_size != each * -(-units // chunk) or len(size) != units:
        os.close(file)
        raise InputError(f"expected losses of {units} units in {folder}, found a file of another size; pack it again")
    buffers = cycle([_aligned(each) for _ in range(_BUFFERS)])

    def read(i: int) -> np.ndarray:
        buffer = next(buffers)
        done = 0
        while done < each:
            got = os.preadv(file, [buffer.data[done:]], i * each + done)
            if not got:
                raise InputError(f"{folder / 'loss.bin'} ended early; pack it again")
            done += got
        return buffer.view(dtype).reshape(shape)

    return Corpus(lms, size, chunk, read, False, mesh)


def _aligned(size: int) -> np.ndarray:
    whole = np.empty(size + _ALIGNED, np.uint8)
    first = -whole.ctypes.data % _ALIGNED
    return whole[first : first + size]
