"""Tokenizes a text word by word. A tokenizer that never joins words needs to see each different word only once."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer

__all__ = ["Pieces", "encode_words", "has_words", "spelled_bytes"]

_BLOCK = 512  # words that the tokenizer gets as one text

Pieces = tuple[Int[np.ndarray, " token"], Int[np.ndarray, " token"]]

# A word ends between a letter or digit and an ASCII character that is neither, between a non-space and a space, and at
# the end of the text. No match of the patterns below crosses such a border, and what comes before it has no effect
# after it. The letters are letters in every version of Unicode, because the tokenizer may use another version than
# Python.
_LETTER = (
    r"A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0400-\u0481\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)
_BORDER = r"[\x00-/:-@\[-`{-\x7f]"
# Bits of a character: what it is, and shifted by one, what begins a word after it.
_IS_LETTER, _AFTER_LETTER, _IS_INK, _AFTER_INK = 1, 2, 4, 8

# Patterns whose matches never cross the end of a word: those of GPT-4 and Llama 3, and of Qwen.
_GPT4, _QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    + digits
    + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in (r"\p{N}{1,3}", r"\p{N}")
)


@cache
def _kinds() -> np.ndarray:
    """The bits of each character below U+10000."""
    every = "".join(map(chr, range(1 << 16)))
    kinds = np.zeros(1 << 16, np.uint8)
    for bit, pattern in (
        (_IS_LETTER, f"[{_LETTER}]"),
        (_AFTER_LETTER, _BORDER),
        (_IS_INK, r"\S"),
        (_AFTER_INK, " "),
    ):
        kinds[list(map(ord, re.findall(pattern, every)))] |= bit
    return kinds


def _words(text: str) -> list[str]:
    """The words of a text, which is all of it. Borders are found in bulk, as most of a text is not a border."""
    if text.isascii():
        code: np.ndarray = np.frombuffer(text.encode(), np.uint8)
    else:
        code = np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), 0xFFFF)
    kind = _kinds()[code]
    borders = (np.flatnonzero((kind[:-1] << 1) & kind[1:] & (_AFTER_LETTER | _AFTER_INK)) + 1).tolist()
    return [text[start:end] for start, end in zip([0, *borders], [*borders, None], strict=True)] if text else []


@cache
def _alphabet() -> dict[int, int]:
    """The byte of each character of byte-level BPE: printable Latin-1 is itself, others start at U+0100 (GPT-2).

    Other characters of Latin-1 become U+FFFF, which is none.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = [b for b in range(256) if b not in plain]
    return dict.fromkeys(shifted, 0xFFFF) | {256 + i: b for i, b in enumerate(shifted)}


def spelled_bytes(token: str) -> bytes | None:
    """The bytes of a token of byte-level BPE; None if it is not in its alphabet."""
    try:
        return token.translate(_alphabet()).encode("latin-1")
    except UnicodeEncodeError:
        return None


def _keeps_words(step: dict[str, Any] | None) -> bool:
    if step is None:
        return False
    if step["type"] == "Sequence":
        return all(map(_keeps_words, step["pretokenizers"])) and step["pretokenizers"][-1]["type"] == "ByteLevel"
    if step["type"] == "Split":
        return step["pattern"].get("Regex") in (_GPT4, _QWEN) and step["behavior"] == "Isolated" and not step["invert"]
    return step["type"] == "Digits" or (step["type"] == "ByteLevel" and not step["add_prefix_space"])


def has_words(definition: Mapping[str, Any]) -> bool:
    """Whether the tokens of a text are the tokens of its words one after the other, by the tokenizer's definition.

    This is so for byte-level BPE with a known pattern.
    """
    split = definition["pre_tokenizer"]
    steps = (split or {}).get("pretokenizers", [split])
    return (
        definition["model"]["type"] == "BPE"
        and not definition["model"].get("dropout")
        and definition["truncation"] is None
        and definition["padding"] is None
        and (definition["normalizer"] or {"type": "NFC"})["type"] == "NFC"
        and _keeps_words(split)
        # ByteLevel splits by the pattern of GPT-2 only if told so; without any pattern words would be joined.
        and any(s["type"] == "Split" or (s["type"] == "ByteLevel" and s.get("use_regex", True)) for s in steps)
    )


def encode_words(texts: Sequence[str], tokenizer: Tokenizer, definition: Mapping[str, Any]) -> list[Pieces | None]:
    """Tokens of each text with their bytes; None for a text that must be tokenized as a whole.

    Such a text is not spelled by its tokens, contains an added token, or would be normalised. The tokenizer must be one
    for which `has_words` is True; `definition` is its JSON.
    """
    added = [token["content"] for token in definition["added_tokens"]]
    heads = {content[:2] for content in added}
    composed = definition["normalizer"] is not None

    def plain(text: str) -> bool:
        # Beginnings first, because a tokenizer may have hundreds of added tokens with the same beginning.
        special = any(head in text for head in heads) and any(content in text for content in added)
        return not special and (not composed or unicodedata.is_normalized("NFC", text))

    number: defaultdict[str, int] = defaultdict(count().__next__)
    places = [np.fromiter(map(number.__getitem__, _words(text)), np.int64) if plain(text) else None for text in texts]
    words = _encode_each(list(number), tokenizer)
    return [None if place is None else words.join(place) for place in places]


@dataclass(frozen=True, eq=False)
class _Words:
    """Tokens of each word: `length` tokens from `first` on in `run`; length -1 if they do not spell the word."""

    run: Int[np.ndarray, " token"]
    size: Int[np.ndarray, " token"]
    first: Int[np.ndarray, " word"]
    length: Int[np.ndarray, " word"]

    def join(self, place: Int[np.ndarray, " place"]) -> Pieces | None:
        each = self.length[place]
        if (each < 0).any():
            return None
        at = np.arange(each.sum()) + np.repeat(self.first[place] - np.cumsum(each) + each, each)
        return self.run[at], self.size[at]


def _blocks(words: Sequence[str]) -> list[tuple[list[int], str]]:
    """Words that the tokenizer gets as one text, with a separator that keeps the borders of words.

    A call of the tokenizer costs more than a word. After a letter no separator is needed before a word that begins with
    a border character; elsewhere the separator " a" has a border on both sides.
    """
    first, last = [word[0] for word in words], [word[-1] for word in words]
    begins = set(re.findall(_BORDER, "".join(set(first))))
    ends = set(re.findall(f"[{_LETTER}]", "".join(set(last))))
    spaces = {b for b in set(last) if b.isspace()}
    inside = [a in begins and b not in spaces for a, b in zip(first, last, strict=True)]
    blocks = [([i], "") for i, joined in enumerate(inside) if not joined]
    for between, after_letter in (("", True), (" a", False)):
        places = [i for i, b in enumerate(last) if inside[i] and (b in ends) is after_letter]
        blocks += [(places[j : j + _BLOCK], between) for j in range(0, len(places), _BLOCK)]
    return blocks


def _encode_each(words: Sequence[str], tokenizer: Tokenizer) -> _Words:
    spelling = _Spelling(tokenizer)
    first, length = np.zeros(len(words), np.int64), np.full(len(words), -1, np.int64)
    runs, sizes = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    done, blocks = 0, _blocks(words)
    while blocks:
        texts = [between.join([words[i] for i in block]) for block, between in blocks]
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        again: list[tuple[list[int], str]] = []
        for (block, between), text, ids in zip(blocks, texts, [e.ids for e in encoded], strict=True):
            pieces = list(map(spelling.__getitem__, ids))
            if None in pieces or b"".join(pieces) != text.encode():
                again += [([i], "") for i in block] if len(block) > 1 else []
                continue
            size = np.fromiter(map(len, pieces), np.int64, len(ids))
            borders = np.cumsum([0, *size])
            parts = [words[i] for i in block]
            each = np.fromiter(map(len, parts if text.isascii() else map(str.encode, parts)), np.int64, len(parts))
            end = np.cumsum(each + len(between)) - len(between)
            start = end - each
            left, right = np.searchsorted(borders, start), np.searchsorted(borders, end)
            assert (borders[left] == start).all(), "a token across the border of two words"
            first[block], length[block] = done + left, right - left
            runs.append(np.asarray(ids, np.int32))
            sizes.append(size)
            done += len(ids)
        blocks = again
    return _Words(np.concatenate(runs), np.concatenate(sizes), first, length)


class _Spelling(dict[int, Any]):
    """Bytes by token, computed on first use; None if a token is not in the alphabet."""

    def __init__(self, tokenizer: Tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def __missing__(self, token: int) -> bytes | None:
        self[token] = spelled_bytes(self.tokenizer.id_to_token(token) or "\0")
        return self[token]
