"""Which tokens carry a task: passages coloured by the weight of their tokens, and the types that gained and lost."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from csvjax.report.colours import Scale, ratio_text, scale_of
from csvjax.report.words import percent

__all__ = ["Passage", "Token", "TokenType", "TokenView", "token_views", "visible"]

WINDOW = 60  # tokens of a passage
STRIDE = 10  # tokens between the passages that are compared
HIGH, LOW = 4, 2  # passages shown that gained most and that lost most
PER_DOCUMENT = 2
TYPES = 12
LONGEST = 60  # characters of a token that are shown
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co"})  # control, format, surrogate, private use
JOINER = "\u200d"  # of format, but a part of many emoji
LEFT, RIGHT = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"


@dataclass(frozen=True)
class Token:
    text: str
    style: str
    ratio: str


@dataclass(frozen=True)
class Passage:
    """A run of tokens of one document, with its share of the salience and of the bytes of the whole text."""

    document: str
    domain: str
    start: int
    salience: str
    bytes: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class TokenType:
    text: str
    style: str
    ratio: str
    salience: str
    bytes: str
    count: int


@dataclass(frozen=True)
class TokenView:
    """All that the page shows of the tokens of one benchmark."""

    benchmark: str
    high: tuple[Passage, ...]
    low: tuple[Passage, ...]
    gained: tuple[TokenType, ...]
    lost: tuple[TokenType, ...]


def visible(text: str, in_text: bool) -> str:
    """A token with its whitespace and its control characters made visible.

    In running text (`in_text`) spaces stay spaces and a line still breaks; in a list they are signs. Characters that
    would change how their neighbours are shown (controls, bidirectional marks, lone surrogates) become their number.
    """
    signs = {"\n": "↵\n", "\t": "⇥\t", "\r": "␍"} if in_text else {"\n": "↵", "\t": "⇥", "\r": "␍", " ": "␣"}
    shown = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return "".join(
        signs.get(c) or (c if c == JOINER or unicodedata.category(c) not in UNSEEN else f"{LEFT}{ord(c):02X}{RIGHT}")
        for c in shown
    )


def _windows(document: NDArray[np.int64], gain: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Starts of windows of up to WINDOW tokens inside one document, and the weight that each gained over its bytes."""
    bounds = np.flatnonzero(np.diff(document, prepend=-1, append=-1))
    total = np.concatenate([[0.0], np.cumsum(gain)])
    starts, sums = [], []
    for first, end in pairwise(bounds):
        begin = np.arange(first, max(first + 1, end - WINDOW + STRIDE), STRIDE)
        begin = np.minimum(begin, max(first, end - WINDOW))
        starts.append(begin)
        sums.append(total[np.minimum(begin + WINDOW, end)] - total[begin])
    return np.concatenate(starts), np.concatenate(sums)


def _choose(starts: NDArray[np.int64], order: NDArray[np.int64], document: NDArray[np.int64], count: int) -> list[int]:
    """The first `count` window starts in `order` that do not overlap, at most PER_DOCUMENT of a document."""
    chosen: list[int] = []
    used: Counter[int] = Counter()
    for start in starts[order]:
        where = int(document[start])
        if used[where] < PER_DOCUMENT and all(abs(start - other) >= WINDOW for other in chosen):
            chosen.append(int(start))
            used[where] += 1
            if len(chosen) == count:
                break
    return chosen


def _passage(units: pd.DataFrame, document: NDArray[np.int64], start: int, scale: Scale) -> Passage:
    end = start + int(np.sum(document[start : start + WINDOW] == document[start]))
    part = units.iloc[start:end]
    tokens = tuple(
        Token(visible(text, in_text=True), style, ratio_text(ratio))
        for text, style, ratio in zip(
            part["token"], scale.classes(part["ratio"].to_numpy()), part["ratio"], strict=True
        )
    )
    first = part.iloc[0]
    shares = percent(part["share"].sum(), 1), percent(part["base_weight"].sum(), 1)
    return Passage(first["document"], first["domain"], int(first["start"]), *shares, tokens)


def _types(units: pd.DataFrame, scale: Scale) -> tuple[tuple[TokenType, ...], tuple[TokenType, ...]]:
    """Token types that gained most and that lost most weight; frequent types count by what all their tokens hold."""
    by = units.groupby("token", sort=False)
    sums = by[["share", "base_weight"]].sum().assign(count=by.size())
    sums = sums.assign(gain=sums["share"] - sums["base_weight"]).sort_values("gain", kind="stable")

    def listed(part: pd.DataFrame) -> tuple[TokenType, ...]:
        ratio = (part["share"] / part["base_weight"]).where(part["base_weight"] > 0, 1.0).to_numpy()
        rows = zip(
            part.index, scale.classes(ratio), ratio, part["share"], part["base_weight"], part["count"], strict=True
        )
        return tuple(
            TokenType(visible(str(text), in_text=False), style, ratio_text(r), percent(s, 2), percent(b, 2), int(n))
            for text, style, r, s, b, n in rows
        )

    return listed(sums[sums["gain"] > 0].iloc[::-1][:TYPES]), listed(sums[sums["gain"] < 0][:TYPES])


def token_views(salience: pd.DataFrame) -> tuple[Scale, list[TokenView]]:
    """One view for each benchmark, and the scale of colours that they share, so that benchmarks can be compared."""
    weights = salience.groupby("benchmark", sort=False)[["share", "base_weight"]].transform("sum")
    units = salience.assign(share=salience["share"] / weights["share"])
    units = units.assign(base_weight=salience["base_weight"] / weights["base_weight"])
    # A unit of no bytes, such as a mark of the tokenizer, has no share to compare with.
    units = units.assign(ratio=(units["share"] / units["base_weight"]).where(units["base_weight"] > 0, 1.0))
    scale = scale_of(units["ratio"].to_numpy())
    views = []
    for benchmark, part in units.groupby("benchmark", sort=False):
        document = pd.factorize(part["document"])[0]
        starts, gains = _windows(document, (part["share"] - part["base_weight"]).to_numpy())
        order = np.argsort(-gains, kind="stable")
        high, low = _choose(starts, order, document, HIGH), _choose(starts, order[::-1], document, LOW)
        passages = [tuple(_passage(part, document, start, scale) for start in some) for some in (high, low)]
        views.append(TokenView(str(benchmark), passages[0], passages[1], *_types(part, scale)))
    return scale, views
