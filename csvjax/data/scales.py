"""What a benchmark's scores are: fractions of items, or numbers without bounds such as ratings, losses and costs."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from csvjax.errors import InputError

__all__ = ["FRACTION", "LOGARITHM", "LOWER", "SCALES", "Link", "Scale", "find_scale", "out_of_range"]

Link = Literal["fraction", "identity", "log"]


LOGARITHM, LOWER = "logarithm", "lower is better"  # what `Scale.word` says in parentheses


class Scale(NamedTuple):
    """How scores are read and predicted.

    link: "fraction" (a share of items between a floor and a ceiling), "identity" (a number that the law is linear in)
    or "log" (a positive number whose logarithm the law is linear in). unit: what one is called. better: whether
    "higher" or "lower" scores are good.
    """

    link: Link = "fraction"
    unit: str = ""
    better: Literal["higher", "lower"] = "higher"

    @property
    def bounded(self) -> bool:
        return self.link == "fraction"

    @property
    def word(self) -> str:
        """How to tell it: "Elo", "minutes (logarithm)", "nats (lower is better)"."""
        notes = [LOGARITHM] * (self.link == "log") + [LOWER] * (self.better == "lower")
        name = "fraction" if self.bounded else self.unit or "number"
        return f"{name} ({', '.join(notes)})" if notes else name

    @property
    def code(self) -> str:
        """A word that `find_scale` reads as this scale."""
        for word, usual in SCALES.items():
            if (usual.link, usual.unit) == (self.link, self.unit):
                return word if usual == self else f"{word}:{self.better}"
        return "fraction"


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
"""By the word that a user gives for them."""


def find_scale(text: str) -> Scale:
    """The scale of a word of `SCALES`, or of such a word with ":higher" or ":lower" behind it.

    Raises: InputError for another word.
    """
    word, _, better = text.strip().casefold().partition(":")
    if word not in SCALES or better not in ("", "higher", "lower") or (word == "fraction" and better):
        raise InputError(
            f"expected the unit of a score to be a number, 'percent' or one of {', '.join(SCALES)}, found {text!r}; "
            f"give one of these, and ':lower' or ':higher' behind it where the usual direction is the wrong one"
        )
    scale = SCALES[word]
    if better == "lower":
        return scale._replace(better="lower")
    return scale._replace(better="higher") if better else scale


def out_of_range(score: np.ndarray, scale: Scale) -> np.ndarray:
    """Which scores cannot be on this scale; NaN can."""
    known = ~np.isnan(score)
    if scale.bounded:
        return known & ~((score >= 0) & (score <= 1))
    return known & ~(np.isfinite(score) & ((score > 0) | (scale.link == "identity")))
