"""Text as units: the tokens of each document and the bytes that each of them stands for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int
from tokenizers import Encoding, Tokenizer

from csvjax.errors import InputError
from csvjax.losses.words import Pieces, encode_words, has_words, spelled_bytes

__all__ = ["EncodedText", "TextDocument", "encode_text", "token_sizes"]


@runtime_checkable
class TextDocument(Protocol):
    """A named text of a domain."""

    @property
    def domain(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def text(self) -> str: ...


@dataclass(frozen=True, eq=False)
class EncodedText:
    """`ids`: the tokens of each document. `units`: a row for each scored token, as in a `LossTable`. `texts`: by name.

    A token that shares all its characters with its neighbours has 0 `bytes`: see `token_sizes`. `corpus` and
    `tokenizer` are SHA-256 in hexadecimal: of the documents and of the tokenizer's definition.
    """

    ids: tuple[Int[np.ndarray, " _token"], ...]  # of different lengths
    units: pd.DataFrame
    texts: dict[str, str]
    corpus: str
    tokenizer: str


def _spelled(tokens: Sequence[str], text: bytes) -> list[int] | None:
    """Bytes of each token where they are written in the alphabet of byte-level BPE and spell the text, else None."""
    pieces = [spelled_bytes(token) for token in tokens]
    if None in pieces or b"".join(pieces) != text:  # type: ignore[arg-type]  # no None among them
        return None
    return list(map(len, pieces))  # type: ignore[arg-type]


def _byte_places(text: str) -> Int[np.ndarray, " border"]:
    """The byte where each character begins, and the end."""
    if text.isascii():
        return np.arange(len(text) + 1)
    code = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return np.append(0, np.cumsum(1 + (code > 0x7F) + (code > 0x7FF) + (code > 0xFFFF)))


def token_sizes(encoding: Encoding, text: str, name: str, normalised: bool = False) -> Int[np.ndarray, " token"]:
    """How many bytes each token of a document stands for; together they are the document's UTF-8, in its order.

    Tokens of byte-level BPE that spell the document are taken as they are, and may hold a part of a character.
    Others are placed by the characters that they come from: a token ends with its last character, space that no token
    has goes to the next one, other characters (which a `normalised` text may have lost, as a mark to its letter) to the
    one before, and of several tokens of one character the first has it and the others have 0 bytes.
    Raises InputError where a character that is no space comes from no token, unless `normalised`.
    """
    raw = text.encode()
    spelled = _spelled(encoding.tokens, raw)
    if spelled is not None:
        return np.array(spelled, np.int64)
    offsets = np.array([*encoding.offsets, (len(text), len(text))], np.int64)
    done = np.maximum.accumulate(np.append(0, offsets[:, 1]))  # characters before each token, and in all
    place = _byte_places(text)
    ends = place[done[1:]]
    for i in np.flatnonzero(offsets[:, 0] > done[:-1]).tolist():
        lost = text[done[i] : offsets[i, 0]].rstrip()
        if lost.strip() and not normalised:
            raise InputError(
                f"expected tokens for every character of document {name!r}, found none for {lost.strip()[:20]!r}; "
                "use a tokenizer that drops nothing but space"
            )
        if lost and i:
            ends[i - 1] = place[done[i] + len(lost)]
    ends = ends[:-1]  # the last is the end of the text, which is no token
    ends[-1:] = len(raw)
    return np.diff(ends, prepend=0)


def _borders(sizes: Int[np.ndarray, " part"]) -> Int[np.ndarray, " border"]:
    borders = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=borders[1:])
    return borders


def _repeated(names: Sequence[str], counts: Sequence[int]) -> pd.Series:
    """Each name so many times, one after the other; runs of bytes are copied faster than strings one by one."""
    parts = [name.encode() for name in names]
    borders = _borders(np.repeat(np.array([len(part) for part in parts], np.int64), counts))
    data = b"".join([part * count for part, count in zip(parts, counts, strict=True)])
    return pa.LargeStringArray.from_buffers(len(borders) - 1, pa.py_buffer(borders), pa.py_buffer(data)).to_pandas()


def _pack_tokens(data: bytes, sizes: Int[np.ndarray, " token"]) -> pa.LargeStringArray:
    """The tokens of these sizes that make up `data`, UTF-8, each decoded with errors="replace"."""
    borders = _borders(sizes)
    # A token that begins or ends inside a character; all others are UTF-8 as they are.
    inside = (np.frombuffer(data + b"\0", np.uint8)[borders] & 0xC0) == 0x80
    broken = np.flatnonzero(inside[:-1] | inside[1:])
    if len(broken):
        kept, done, lengths = [], 0, np.array(sizes, np.int64)
        for i, start, end in zip(broken.tolist(), borders[broken].tolist(), borders[broken + 1].tolist(), strict=True):
            mended = data[start:end].decode(errors="replace").encode()
            kept += [data[done:start], mended]
            lengths[i], done = len(mended), end
        data, borders = b"".join([*kept, data[done:]]), _borders(lengths)
    return pa.LargeStringArray.from_buffers(len(sizes), pa.py_buffer(borders), pa.py_buffer(data))


def _frame(documents: Sequence[TextDocument], sizes: Sequence[np.ndarray], skip: int) -> pd.DataFrame:
    """A row for each token after the first `skip` of its document. Strings are made in bulk: Arrow's, not Python's."""
    each = [size[skip:] for size in sizes]
    skipped = [int(size[:skip].sum()) for size in sizes]
    start = [first + np.cumsum(size) - size for first, size in zip(skipped, each, strict=True)]
    # A document without tokens may still have text, of space alone.
    parts = [
        document.text.encode()[first : first + int(size.sum())]
        for document, first, size in zip(documents, skipped, each, strict=True)
    ]
    counts = [len(size) for size in each]
    none = np.zeros(0, np.int64)
    size = np.concatenate([none, *each])
    columns = {
        "token": _pack_tokens(b"".join(parts), size).to_pandas(),
        "document": _repeated([d.name for d in documents], counts),
        "domain": _repeated([d.domain for d in documents], counts),
        "start": np.concatenate([none, *start]),
        "bytes": size,
    }
    return pd.DataFrame(columns)


def encode_text(documents: Sequence[TextDocument], tokenizer: Tokenizer, first_scored: bool = True) -> EncodedText:
    """Tokens and units of the documents; without `first_scored` a document's first token is no unit.

    Raises InputError if two documents have one name, or if the tokenizer drops characters.
    """
    texts = {d.name: d.text for d in documents}
    if len(texts) < len(documents):
        raise InputError(
            f"expected documents with names of their own, found {len(documents)} with {len(texts)}; rename them"
        )
    definition = tokenizer.to_str()
    pieces = _pieces(documents, tokenizer, definition)
    corpus = hashlib.sha256()
    for d in documents:
        for part in (d.domain, d.name, d.text):
            corpus.update(hashlib.sha256(part.encode()).digest())
    return EncodedText(
        tuple(ids for ids, _ in pieces),
        _frame(documents, [sizes for _, sizes in pieces], 0 if first_scored else 1),
        texts,
        corpus.hexdigest(),
        hashlib.sha256(definition.encode()).hexdigest(),
    )


def _pieces(documents: Sequence[TextDocument], tokenizer: Tokenizer, definition: str) -> list[Pieces]:
    """The tokens of each document and their bytes: word by word where that is the same, else by the whole document."""
    found: list[Pieces | None] = [None] * len(documents)
    described = json.loads(definition)
    if has_words(described):
        found = encode_words([d.text for d in documents], tokenizer, described)
    rest = [document for document, pieces in zip(documents, found, strict=True) if pieces is None]
    encoded = zip(rest, tokenizer.encode_batch([d.text for d in rest], add_special_tokens=False), strict=True)
    normalised = tokenizer.normalizer is not None
    whole = ((np.asarray(e.ids, np.int32), token_sizes(e, d.text, d.name, normalised)) for d, e in encoded)
    return [next(whole) if pieces is None else pieces for pieces in found]
