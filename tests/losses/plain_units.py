"""Units and their arrays string by string, as the first stores were written: what the fast way must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from tokenizers import Encoding, Tokenizer, pre_tokenizers

from csvjax.losses.units import TextDocument


@cache
def alphabet() -> dict[str, int]:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = [b for b in range(256) if b not in plain]
    found = {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(shifted)}
    assert set(found) == set(pre_tokenizers.ByteLevel.alphabet())
    return found


def token_sizes(encoding: Encoding, text: str) -> list[int]:
    raw = text.encode()
    if all(c in alphabet() for token in encoding.tokens for c in token):
        pieces = [bytes(alphabet()[c] for c in token) for token in encoding.tokens]
        if b"".join(pieces) == raw:
            return list(map(len, pieces))
    place = np.cumsum([0, *(len(c.encode()) for c in text)])
    ends: list[int] = []
    done = 0
    for start, end in [*encoding.offsets, (len(text), len(text))]:
        lost = text[done:start].rstrip()
        if lost and ends:
            ends[-1] = int(place[done + len(lost)])
        done = max(done, end)
        ends.append(int(place[done]))
    ends.pop()
    if ends:
        ends[-1] = len(raw)
    return np.diff([0, *ends]).tolist()


def units(documents: Sequence[TextDocument], tokenizer: Tokenizer, first_scored: bool) -> pd.DataFrame:
    rows = []
    for document in documents:
        start, raw = 0, document.text.encode()
        encoding = tokenizer.encode(document.text, add_special_tokens=False)
        for i, size in enumerate(token_sizes(encoding, document.text)):
            if i or first_scored:
                token = raw[start : start + size].decode(errors="replace")
                rows.append((token, document.name, document.domain, start, size))
            start += size
    return pd.DataFrame(rows, columns=["token", "document", "domain", "start", "bytes"])


def arrays(frame: pd.DataFrame, texts: dict[str, str]) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    documents, domains = list(dict.fromkeys(frame["document"])), list(dict.fromkeys(frame["domain"]))
    tokens, known = [token.encode() for token in frame["token"]], [texts[name].encode() for name in documents]
    found = {
        "start": np.array(frame["start"], np.int64),
        "bytes": np.array(frame["bytes"], np.int64),
        "document": np.array([documents.index(name) for name in frame["document"]], np.int32),
        "domain": np.array([domains.index(name) for name in frame["domain"]], np.int32),
        "token": np.frombuffer(b"".join(tokens), np.uint8),
        "token_bytes": np.array([len(token) for token in tokens], np.int64),
        "text": np.frombuffer(b"".join(known), np.uint8),
        "text_bytes": np.array([len(text) for text in known], np.int64),
    }
    return found, {"documents": documents, "domains": domains}
