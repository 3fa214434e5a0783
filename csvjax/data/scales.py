"""Scales of scores: fractions of items, or numbers without bounds such as ratings, losses and costs."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from csvjax.errors import InputError

__all__ = [
    "FRACTION",
    "LOGARITHM",
    "LOWER",
    "SCALES",
    "Link",
    "Scale",
    "find_scale",
    "labelled",
    "out_of_range",
    "written",
]

Link = Literal["fraction", "identity", "log"]

LOGARITHM, LOWER = "logarithm", "lower is better"  # what `Scale.word` says in parentheses


class Scale(NamedTuple):
    """How scores are read and predicted.

    Attributes:
        link: "fraction" (a share of items between a floor and a ceiling), "identity" (a number in which the law is
            linear) or "log" (a positive number; the law is linear in its logarithm).
        unit: name of the unit.
        better: whether "higher" or "lower" scores are better.
    """

    link: Link = "fraction"
    unit: str = ""
    better: Literal["higher", "lower"] = "higher"

    @property
    def bounded(self) -> bool:
        """Whether the scores are fractions."""
        return self.link == "fraction"

    @property
    def word(self) -> str:
        """The scale in words: "Elo", "minutes (logarithm)", "nats (lower is better)"."""
        notes = [LOGARITHM] * (self.link == "log") + [LOWER] * (self.better == "lower")
        name = "fraction" if self.bounded else self.unit or "number"
        return f"{name} ({', '.join(notes)})" if notes else name

    @property
    def expected(self) -> str:
        """What a score on this scale is, for errors."""
        return {"fraction": "a score between 0 and 1", "log": "a number above 0"}.get(self.link, "a finite number")

    @property
    def code(self) -> str:
        """A word that `find_scale` reads as this scale."""
        for word, usual in SCALES.items():
            if (usual.link, usual.unit) == (self.link, self.unit):
                return word if usual == self else f"{word}:{self.better}"
        raise InputError(
            f"expected a scale of csvjax.data.scales.SCALES, found {self}; choose one of {', '.join(SCALES)}"
        )


FRACTION = Scale()

SCALES: dict[str, Scale] = {
    "fraction": FRACTION,
    "elo": Scale("identity", "Elo"),
    "number": Scale("identity"),
    "nats": Scale("identity", "nats", "lower"),
    "bits": Scale("identity", "bits", "lower"),
    "perplexity": Scale("log", "perplexity", "lower"),
    "minutes": Scale("log", "minutes"),
    "dollars": Scale("log", "dollars", "lower"),
    "log": Scale("log"),
}
"""The scales by the words that users give for them."""


def find_scale(text: str) -> Scale:
    """The scale of a word of `SCALES`, which may end in ":higher" or ":lower".

    Raises: InputError for another word.
    """
    word, _, better = text.strip().casefold().partition(":")
    if word not in SCALES or better not in ("", "higher", "lower") or (word == "fraction" and better):
        raise InputError(
            f"expected the unit of a score to be a number, 'percent' or one of {', '.join(SCALES)}, found {text!r}; "
            f"give one of these; add ':lower' or ':higher' if the usual direction is wrong"
        )
    scale = SCALES[word]
    if better == "lower":
        return scale._replace(better="lower")
    return scale._replace(better="higher") if better else scale


def out_of_range(score: np.ndarray, scale: Scale) -> np.ndarray:
    """Which scores are impossible on this scale. NaN is possible."""
    known = ~np.isnan(score)
    if scale.bounded:
        return known & ~((score >= 0) & (score <= 1))
    return known & ~(np.isfinite(score) & ((score > 0) | (scale.link == "identity")))


def written(score: float) -> str:
    """A score as text: three decimals below 10, one below 100,000, and marks between thousands in larger numbers."""
    size = abs(score)
    if 0 < size < 0.0005:
        return f"{score:.2g}"
    if size < 10 or score != score:
        return f"{score:.3f}"
    if size < 1e5:
        return f"{score:.1f}"
    return f"{score:,.0f}" if size < 1e15 else f"{score:.3g}"


def labelled(benchmark: str, word: str) -> str:
    """The name of a benchmark, with its unit if its scores are not fractions; `word` is that of its scale."""
    unit = word.partition(" (")[0]
    return benchmark if unit in ("", FRACTION.word, "number") else f"{benchmark} [{unit}]"
