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
from tokenizers import Tokenizer

from csvjax.errors import InputError

__all__ = ["EncodedText", "TextDocument", "encode_text", "token_bytes"]


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

    `corpus` and `tokenizer` are SHA-256 in hexadecimal: of the documents and of the tokenizer's definition.
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


def token_bytes(tokens: Sequence[str], text: str, name: str) -> list[bytes]:
    """The bytes of each token of a document; together they are the document's UTF-8.

    A token may hold a part of a character only. Raises InputError if the tokens do not spell the document, as with a
    tokenizer that changes or drops text.
    """
    alphabet = _alphabet()
    try:
        pieces = [bytes(alphabet[c] for c in token) for token in tokens]
    except KeyError as error:
        raise InputError(
            f"expected a byte-level tokenizer, found the character {error.args[0]!r} in a token of document {name!r}; "
            "use a tokenizer whose tokens are written in the 256 characters of byte-level BPE"
        ) from None
    if b"".join(pieces) != text.encode():
        raise InputError(
            f"expected tokens that spell document {name!r} byte by byte, found others; "
            "use a byte-level tokenizer that neither normalises text nor adds a leading space"
        )
    return pieces


def _rows(document: TextDocument, pieces: Sequence[bytes], skip: int) -> Iterator[tuple[str, str, str, int, int]]:
    start = 0
    for i, piece in enumerate(pieces):
        if i >= skip:
            yield piece.decode(errors="replace"), document.name, document.domain, start, len(piece)
        start += len(piece)


def encode_text(documents: Sequence[TextDocument], tokenizer: Tokenizer, first_scored: bool = True) -> EncodedText:
    """Tokens and units of the documents; without `first_scored` a document's first token is no unit.

    Raises InputError if two documents have one name, or if the tokenizer is not byte-level.
    """
    texts = {d.name: d.text for d in documents}
    if len(texts) < len(documents):
        raise InputError(
            f"expected documents with names of their own, found {len(documents)} with {len(texts)}; rename them"
        )
    encoded = tokenizer.encode_batch([d.text for d in documents], add_special_tokens=False)
    rows = [
        row
        for d, e in zip(documents, encoded, strict=True)
        for row in _rows(d, token_bytes(e.tokens, d.text, d.name), 0 if first_scored else 1)
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
