"""Turns text into units: the tokens of each document, with the bytes of each token."""

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
    """A text with a name and a domain."""

    @property
    def domain(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def text(self) -> str: ...


@dataclass(frozen=True, eq=False)
class EncodedText:
    """Documents as tokens.

    Attributes:
        ids: tokens of each document, of different lengths.
        units: a row for each scored token, as in a `LossTable`. A token that shares all its characters with its
            neighbours has 0 `bytes`, see `token_sizes`.
        texts: the documents by name.
        corpus: SHA-256 of the documents, in hexadecimal.
        tokenizer: SHA-256 of the definition of the tokenizer, in hexadecimal.
    """

    ids: tuple[Int[np.ndarray, " _token"], ...]
    units: pd.DataFrame
    texts: dict[str, str]
    corpus: str
    tokenizer: str


def _spelled(tokens: Sequence[str], text: bytes) -> list[int] | None:
    """Bytes of each token if the tokens are in the alphabet of byte-level BPE and spell the text, otherwise None."""
    pieces = [spelled_bytes(token) for token in tokens]
    if None in pieces or b"".join(pieces) != text:  # type: ignore[arg-type]  # there is none left
        return None
    return list(map(len, pieces))  # type: ignore[arg-type]


def _byte_places(text: str) -> Int[np.ndarray, " border"]:
    """The byte at which each character begins, and the end."""
    if text.isascii():
        return np.arange(len(text) + 1)
    code = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return np.append(0, np.cumsum(1 + (code > 0x7F) + (code > 0x7FF) + (code > 0xFFFF)))


def token_sizes(encoding: Encoding, text: str, name: str, normalised: bool = False) -> Int[np.ndarray, " token"]:
    """The number of bytes of each token of a document. They sum to the length of the document in UTF-8.

    Tokens of byte-level BPE that spell the document have the bytes that they spell, and may contain parts of
    characters. Other tokens are placed by the characters from which they come. A token ends with its last character.
    Space without a token belongs to the next token; other characters without a token (a `normalised` text may lose a
    combining mark) belong to the previous one. If several tokens share a character, the first one has it and the others
    have 0 bytes.

    Raises: InputError for a character other than space without a token, unless the text is `normalised`.
    """
    raw = text.encode()
    spelled = _spelled(encoding.tokens, raw)
    if spelled is not None:
        return np.array(spelled, np.int64)
    offsets = np.array([*encoding.offsets, (len(text), len(text))], np.int64)
    done = np.maximum.accumulate(np.append(0, offsets[:, 1]))  # characters before each token, and the total
    place = _byte_places(text)
    ends = place[done[1:]]
    for i in np.flatnonzero(offsets[:, 0] > done[:-1]).tolist():
        lost = text[done[i] : offsets[i, 0]].rstrip()
        if lost.strip() and not normalised:
            raise InputError(
                f"expected tokens for every character of document {name!r}, found none for {lost.strip()[:20]!r}; "
                "use a tokenizer that drops only space"
            )
        if lost and i:
            ends[i - 1] = place[done[i] + len(lost)]
    ends = ends[:-1]  # the last one is the end of the text, not a token
    ends[-1:] = len(raw)
    return np.diff(ends, prepend=0)


def _borders(sizes: Int[np.ndarray, " part"]) -> Int[np.ndarray, " border"]:
    borders = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=borders[1:])
    return borders


def _repeated(names: Sequence[str], counts: Sequence[int]) -> pd.Series:
    """Each name repeated `counts` times. Copying bytes is faster than copying strings one by one."""
    parts = [name.encode() for name in names]
    borders = _borders(np.repeat(np.array([len(part) for part in parts], np.int64), counts))
    data = b"".join([part * count for part, count in zip(parts, counts, strict=True)])
    return pa.LargeStringArray.from_buffers(len(borders) - 1, pa.py_buffer(borders), pa.py_buffer(data)).to_pandas()


def _pack_tokens(data: bytes, sizes: Int[np.ndarray, " token"]) -> pa.LargeStringArray:
    """Split UTF-8 `data` into tokens of these sizes, each decoded with errors="replace"."""
    borders = _borders(sizes)
    # Only tokens that begin or end inside a character are not valid UTF-8.
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
    """A row for each token after the first `skip` tokens of its document. Arrow makes the strings in bulk."""
    each = [size[skip:] for size in sizes]
    skipped = [int(size[:skip].sum()) for size in sizes]
    start = [first + np.cumsum(size) - size for first, size in zip(skipped, each, strict=True)]
    # A document without tokens may still have text that is only space.
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
    """Tokens and units of documents. Unless `first_scored`, the first token of a document is not a unit.

    Raises: InputError if two documents have the same name, or if the tokenizer drops characters.
    """
    texts = {d.name: d.text for d in documents}
    if len(texts) < len(documents):
        raise InputError(
            f"expected different names for all documents, found {len(texts)} names for {len(documents)}; rename some"
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
    """Tokens of each document with their bytes: by words if this gives the same tokens, otherwise by documents."""
    found: list[Pieces | None] = [None] * len(documents)
    described = json.loads(definition)
    if has_words(described):
        found = encode_words([d.text for d in documents], tokenizer, described)
    rest = [document for document, pieces in zip(documents, found, strict=True) if pieces is None]
    encoded = zip(rest, tokenizer.encode_batch([d.text for d in rest], add_special_tokens=False), strict=True)
    normalised = tokenizer.normalizer is not None
    whole = ((np.asarray(e.ids, np.int32), token_sizes(e, d.text, d.name, normalised)) for d, e in encoded)
    return [next(whole) if pieces is None else pieces for pieces in found]
