"""Benchmark scores of language models as a checked matrix with names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from csvjax import names
from csvjax.data.scales import FRACTION, Scale, find_scale, out_of_range
from csvjax.errors import InputError

__all__ = ["ScoreTable"]


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """The score of each language model on each benchmark. Checked when it is made, and read-only.

    Attributes:
        lms: names of the models.
        benchmarks: names of the benchmarks.
        score: fraction in [0, 1], or a number on the `scale` of the benchmark; NaN where missing [lm, benchmark].
        n_items: number of test items, NaN where unknown [benchmark].
        floor: score of random guessing, a fraction; NaN where unknown [benchmark].
        ceiling: highest possible score, a fraction; NaN where unknown [benchmark].
        scale: scale of each benchmark. Default: fractions. Scores without bounds have no items, floor and ceiling.

    The law infers floors and ceilings that are NaN; other methods take 0 and 1 for them.

    Raises: InputError for repeated names, wrong shapes, a score that is infinite or outside [0, 1] or not on its scale,
    a floor that is not below its ceiling, either of them outside [0, 1], and fewer items than one.
    """

    lms: tuple[str, ...]
    benchmarks: tuple[str, ...]
    score: Float[np.ndarray, "lm benchmark"]
    n_items: Float[np.ndarray, " benchmark"] = field(default_factory=lambda: np.array(np.nan))
    floor: Float[np.ndarray, " benchmark"] = field(default_factory=lambda: np.array(np.nan))
    ceiling: Float[np.ndarray, " benchmark"] = field(default_factory=lambda: np.array(np.nan))
    scale: tuple[Scale, ...] | Scale = FRACTION

    def __post_init__(self) -> None:
        keep = object.__setattr__
        keep(self, "lms", names.checked(self.lms, "lm"))
        keep(self, "benchmarks", names.checked(self.benchmarks, "benchmark"))
        size = len(self.benchmarks)
        keep(self, "score", _array("score", self.score, (len(self.lms), size)))
        for name in ("n_items", "floor", "ceiling"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            keep(self, name, _array(name, np.full(size, value) if value.ndim == 0 else value, (size,)))
        scale = (self.scale,) * size if isinstance(self.scale, Scale) else tuple(self.scale)
        if len(scale) != size:
            raise InputError(f"expected a scale for each of {size} benchmarks, found {len(scale)}; give one for each")
        for each in scale:
            find_scale(each.code)  # a scale without a word could not be written to a file
        keep(self, "scale", scale)
        self._check_scores()
        self._check_benchmarks()

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scale of each benchmark."""
        assert not isinstance(self.scale, Scale)
        return self.scale

    @property
    def bounded(self) -> Bool[np.ndarray, " benchmark"]:
        """The benchmarks whose scores are fractions."""
        return np.array([scale.bounded for scale in self.scales], bool)

    def _check_scores(self) -> None:
        each = [out_of_range(column, scale) for column, scale in zip(self.score.T, self.scales, strict=True)]
        wrong = np.array(each, bool).reshape(self.score.T.shape).T
        if wrong.any():
            m, b = np.argwhere(wrong)[0]
            if not self.scales[b].bounded:
                raise InputError(
                    f"expected {self.scales[b].expected} on benchmark {self.benchmarks[b]!r}, whose unit is "
                    f"{self.scales[b].word}, found {self.score[m, b]:g} for lm {self.lms[m]!r}; correct it, or leave "
                    f"it blank"
                )
            raise InputError(
                f"expected scores in [0, 1] (NaN where missing), found {self.score[m, b]:g} for lm {self.lms[m]!r} on "
                f"benchmark {self.benchmarks[b]!r}; divide percentages by 100"
            )

    def _check_benchmarks(self) -> None:
        for b, name in enumerate(self.benchmarks):
            floor, ceiling, n_items = self.floor[b], self.ceiling[b], self.n_items[b]
            if not self.scales[b].bounded:
                if not np.isnan([floor, ceiling, n_items]).all():
                    raise InputError(
                        f"expected no floor, ceiling or number of items for benchmark {name!r}, whose unit is "
                        f"{self.scales[b].word}, found one; leave it out"
                    )
                continue
            lower, upper = (0.0 if np.isnan(floor) else floor), (1.0 if np.isnan(ceiling) else ceiling)
            if not 0 <= lower < upper <= 1:
                raise InputError(
                    f"expected 0 <= floor < ceiling <= 1, found floor {lower:g} and ceiling {upper:g} for benchmark "
                    f"{name!r}; give both as fractions, NaN if unknown"
                )
            if n_items < 1 or np.isinf(n_items):
                raise InputError(
                    f"expected at least 1 test item, found {n_items:g} for benchmark {name!r}; give NaN if unknown"
                )

    def select(self, lms: Sequence[str] | None = None, benchmarks: Sequence[str] | None = None) -> ScoreTable:
        """The table of these models and benchmarks, in this order; None keeps all.

        Raises: InputError for a name that the table does not have, or the same name twice.
        """
        m = slice(None) if lms is None else names.positions(lms, self.lms, "lm")
        b = slice(None) if benchmarks is None else names.positions(benchmarks, self.benchmarks, "benchmark")
        kept = np.arange(len(self.benchmarks))[b]
        return replace(
            self,
            lms=self.lms if lms is None else tuple(lms),
            benchmarks=self.benchmarks if benchmarks is None else tuple(benchmarks),
            score=self.score[m][:, b],
            n_items=self.n_items[b],
            floor=self.floor[b],
            ceiling=self.ceiling[b],
            scale=tuple(self.scales[i] for i in kept),
        )

    def to_frame(self) -> pd.DataFrame:
        """The scores as a frame: index `lm`, one column for each benchmark, NaN where missing."""
        index = pd.Index(self.lms, name="lm")
        return pd.DataFrame(self.score.copy(), index, pd.Index(self.benchmarks, name="benchmark"))


def _array(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A read-only float64 copy of `value`, which must have this shape."""
    copy = np.array(value, dtype=np.float64)
    if copy.shape != shape:
        names_of = "[lm, benchmark]" if len(shape) == 2 else "[benchmark]"
        raise InputError(f"expected {name} {names_of} of shape {shape}, found {copy.shape}; give a value for each name")
    copy.flags.writeable = False
    return copy
