"""The format of stored losses: the arrays and attributes of a Zarr group (format 3).

The attributes are `format`, `version`, `lms`, `documents`, `domains` (names) and `unmeasured` (models whose losses are
all NaN because nobody measured them; absent if there are none). The arrays are

    loss            float   [lm, unit]    nats; NaN where a chunk is missing
    start, bytes    int64   [unit]        place of the unit in the UTF-8 of its document, in bytes
    document        int32   [unit]        index into `documents`
    domain          int32   [unit]        index into `domains`
    token           uint8   [...]         UTF-8 of all tokens, concatenated
    token_bytes     int64   [unit]        length of each token in `token`
    text            uint8   [...]         UTF-8 of all documents, concatenated
    text_bytes      int64   [document]    length of each document in `text`, -1 where its text is unknown

Tokens are stored as text because the text of the documents may be unknown. A unit of 0 bytes shares its characters with
the neighbouring units. Every chunk is compressed and has a CRC-32C, which is checked when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from jaxtyping import Float
from zarr.codecs import Crc32cCodec, ZstdCodec

__all__ = ["FORMAT", "VERSION", "create_array", "decode_units", "encode_units", "merge_empty"]

FORMAT = "csvjax losses"
VERSION = 1

# Level 3 makes these arrays smaller than level 9 (5.5 in place of 5.6 MB for 1.6 million tokens of code), in a fifth of
# the time. A store keeps the level with which it was made.
_LEVEL = 3


def _pack(parts: Sequence[str | None] | pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """All texts as one array of bytes, and the length of each text, -1 for None."""
    array = pa.array(parts, pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    _, borders, data = array.buffers()
    if not len(array):
        return np.zeros(0, np.uint8), np.zeros(0, np.int64)
    places = np.frombuffer(borders, np.int64, len(array) + 1, 8 * array.offset)
    run = np.frombuffer(data or b"", np.uint8)[places[0] : places[-1]]
    return run, np.where(array.is_null().to_numpy(zero_copy_only=False), -1, np.diff(places))


def _unpack(run: np.ndarray, sizes: np.ndarray) -> pa.LargeStringArray:
    """The texts that `_pack` packed, null where the size is -1.

    Raises: ValueError for sizes that do not fit the bytes, and for bytes that are not UTF-8.
    """
    borders = np.append(0, np.cumsum(np.maximum(sizes, 0), dtype=np.int64))
    if len(run) != borders[-1]:
        raise ValueError(f"{len(run)} bytes of text, expected {borders[-1]}")
    known = pa.array(sizes >= 0)
    array = pa.LargeStringArray.from_buffers(len(sizes), pa.py_buffer(borders), pa.py_buffer(run.tobytes()))
    array.validate(full=True)
    return pc.if_else(known, array, None)


def _numbered(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """The index of each name in the list of distinct names, and this list, in the order of first occurrence."""
    codes, names = pd.factorize(column)
    return codes.astype(np.int32), list(names)


def encode_units(units: pd.DataFrame, texts: Mapping[str, str]) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """All arrays except `loss`, and the attributes `documents` and `domains`."""
    document, documents = _numbered(units["document"])
    domain, domains = _numbered(units["domain"])
    token, token_bytes = _pack(units["token"])
    text, text_bytes = _pack([texts.get(name) for name in documents])
    arrays = {
        "start": units["start"].to_numpy(np.int64),
        "bytes": units["bytes"].to_numpy(np.int64),
        "document": document,
        "domain": domain,
        "token": token,
        "token_bytes": token_bytes,
        "text": text,
        "text_bytes": text_bytes,
    }
    return arrays, {"documents": documents, "domains": domains}


def decode_units(
    attributes: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The units, and the known texts of documents.

    Raises: ValueError, KeyError or UnicodeError for arrays that do not fit together.
    """
    documents, domains = (pa.array(attributes[name], pa.large_string()) for name in ("documents", "domains"))
    units = {
        "token": _unpack(arrays["token"], arrays["token_bytes"]).to_pandas(),
        "document": documents.take(pa.array(arrays["document"])).to_pandas(),
        "domain": domains.take(pa.array(arrays["domain"])).to_pandas(),
        "start": arrays["start"],
        "bytes": arrays["bytes"],
    }
    texts = zip(attributes["documents"], _unpack(arrays["text"], arrays["text_bytes"]).to_pylist(), strict=True)
    return pd.DataFrame(units), {name: text for name, text in texts if text is not None}


def create_array(
    group: zarr.Group,
    name: str,
    data: np.ndarray | None = None,
    shape: Any = None,
    chunks: Any = None,
    dtype: Any = None,
) -> None:
    """Create an array of the format from `data`, or an empty one of `shape` and `dtype`.

    Without `chunks` an array has one chunk, and `loss` one chunk for each row.
    """
    shape, dtype = (shape, dtype) if data is None else (data.shape, data.dtype)
    if chunks is None:
        chunks = (1, max(1, shape[1])) if len(shape) == 2 else (max(1, shape[0]),)
    array = group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        compressors=[ZstdCodec(level=_LEVEL), Crc32cCodec()],
        fill_value=np.nan if name == "loss" else 0,
    )
    if data is not None:
        array[...] = data


def merge_empty(
    loss: Float[np.ndarray, "lm token"], units: pd.DataFrame, texts: Mapping[str, str]
) -> tuple[Float[np.ndarray, "lm unit"], pd.DataFrame]:
    """Merge each unit of 0 bytes with the unit before it, or with the next unit at the start of a document."""
    size = units["bytes"].to_numpy()
    if (size > 0).all():
        return loss, units
    document = units["document"].to_numpy()
    head = np.flatnonzero(np.append(True, document[1:] != document[:-1]))
    full = size > 0
    # A new unit begins at the start of a document, and at a unit with bytes after the first unit with bytes.
    before: np.ndarray = np.cumsum(full) - full
    at_head: np.ndarray = np.repeat(before[head], np.diff(np.append(head, len(size))))
    new = full & (before > at_head)
    new[head] = True
    first = np.flatnonzero(new)
    merged = units.iloc[first].reset_index(drop=True).assign(bytes=np.add.reduceat(size, first))
    encoded = {name: text.encode() for name, text in texts.items()}
    merged["token"] = [
        encoded[d][s : s + b].decode(errors="replace") if d in encoded else token
        for d, s, b, token in zip(*(merged[c].tolist() for c in ("document", "start", "bytes", "token")), strict=True)
    ]
    return np.add.reduceat(loss, first, axis=1), merged
