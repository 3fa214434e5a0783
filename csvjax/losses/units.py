"""Text as units: the tokens of each document and the bytes that each of them stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Int
from tokenizers import Encoding, Tokenizer

from csvjax.errors import InputError

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


@cache
def _alphabet() -> dict[str, int]:
    """The byte for each character of byte-level BPE: printable Latin-1 as it is, other bytes from U+0100 on (GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(shifted)}


def _spelled(tokens: Sequence[str], text: bytes) -> list[int] | None:
    """Bytes of each token where they are written in the alphabet of byte-level BPE and spell the text, else None."""
    alphabet = _alphabet()
    try:
        pieces = [bytes(alphabet[c] for c in token) for token in tokens]
    except KeyError:
        return None
    return [len(piece) for piece in pieces] if b"".join(pieces) == text else None


def token_sizes(encoding: Encoding, text: str, name: str, normalised: bool = False) -> list[int]:
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
        return spelled
    place = np.cumsum([0, *(len(c.encode()) for c in text)])
    ends: list[int] = []
    done = 0
    for start, end in [*encoding.offsets, (len(text), len(text))]:
        lost = text[done:start].rstrip()
        if lost.strip() and not normalised:
            raise InputError(
                f"expected tokens for every character of document {name!r}, found none for {lost.strip()[:20]!r}; "
                "use a tokenizer that drops nothing but space"
            )
        if lost and ends:
            ends[-1] = int(place[done + len(lost)])
        done = max(done, end)
        ends.append(int(place[done]))
    ends.pop()  # of the end of the text, which is no token
    if ends:
        ends[-1] = len(raw)
    return np.diff([0, *ends]).tolist()


def _rows(document: TextDocument, sizes: Sequence[int], skip: int) -> Iterator[tuple[str, str, str, int, int]]:
    start, raw = 0, document.text.encode()
    for i, size in enumerate(sizes):
        if i >= skip:
            token = raw[start : start + size].decode(errors="replace")
            yield token, document.name, document.domain, start, size
        start += size


def encode_text(documents: Sequence[TextDocument], tokenizer: Tokenizer, first_scored: bool = True) -> EncodedText:
    """Tokens and units of the documents; without `first_scored` a document's first token is no unit.

    Raises InputError if two documents have one name, or if the tokenizer drops characters.
    """
    texts = {d.name: d.text for d in documents}
    if len(texts) < len(documents):
        raise InputError(
            f"expected documents with names of their own, found {len(documents)} with {len(texts)}; rename them"
        )
    encoded = tokenizer.encode_batch([d.text for d in documents], add_special_tokens=False)
    normalised = tokenizer.normalizer is not None
    rows = [
        row
        for d, e in zip(documents, encoded, strict=True)
        for row in _rows(d, token_sizes(e, d.text, d.name, normalised), 0 if first_scored else 1)
    ]
    corpus = hashlib.sha256()
    for d in documents:
        for part in (d.domain, d.name, d.text):
            corpus.update(hashlib.sha256(part.encode()).digest())
    return EncodedText(
        tuple(np.asarray(e.ids, np.int32) for e in encoded),
        pd.DataFrame(rows, columns=["token", "document", "domain", "start", "bytes"]),
        texts,
        corpus.hexdigest(),
        hashlib.sha256(tokenizer.to_str().encode()).hexdigest(),
    )
