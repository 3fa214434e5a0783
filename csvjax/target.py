"""`csvjax.reach`: the compute at which a model reaches a score; and predicted scores of a model at some compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax import names
from csvjax.data.scales import Scale, out_of_range, written
from csvjax.errors import InputError
from csvjax.law.covariates import AMOUNTS
from csvjax.law.evidence import evidence_of, join_families, names_of_groups
from csvjax.law.predictive import draw_curve
from csvjax.precision import float64
from csvjax.prediction import IntervalKind, bounds, mean_of, new_models, predict
from csvjax.result.result import Result, finite_draws

__all__ = ["Reach", "predict_target", "reach", "score_curves"]

_BELOW, _ABOVE = 1e-2, 1e6  # the search goes from 1e-2 of the smallest to 1e6 of the largest compute of the fit
_POINTS = 150
_LEVEL = 0.9


def _check(fit: Result, amounts: Mapping[str, float], family: str | None) -> None:
    """Raises: InputError if the fit does not have the family, or does not use an amount as a covariate."""
    if family is not None and family not in fit.families:
        raise InputError(
            f"expected a family of the fit, found {family!r}: {names.hint(family, fit.families)}; give no family for "
            f"a model of a new family"
        )
    used = {base.column for base in fit.known.columns.bases.values()}
    used |= set(AMOUNTS) if used & set(AMOUNTS) else set()  # flops, params and tokens: the third follows from two
    for name, value in amounts.items():
        if name not in used:
            raise InputError(
                f"expected an amount that the fit uses as a covariate, found {name}; the covariates of the fit are "
                f"{', '.join(fit.law.covariates) or 'none'}; run the fit again with --covariates"
            )
        if not 0 < value < np.inf:
            raise InputError(f"expected {name} above 0, found {value:g}; give a number above 0")


def _models(amounts: Mapping[str, Any], family: str | None, lms: list[str]) -> pd.DataFrame:
    columns = {"family": family or "a new family", **dict.fromkeys(AMOUNTS, np.nan), **amounts}
    return pd.DataFrame(columns, pd.Index(lms, name="lm", dtype=str))


def predict_target(
    fit: Result,
    amounts: Mapping[str, float],
    family: str | None = None,
    seed: int = 0,
    kind: IntervalKind = "equal-tailed",
) -> pd.DataFrame:
    """Predict the scores of one model that does not exist yet, on every benchmark.

    Args:
        fit: a result of `csvjax.fit`.
        amounts: `flops` (FLOP), `params` and `tokens` of the model. A covariate of the fit that is not given is
            unknown, which makes the intervals wider.
        family: a family of the fit; None for a new family.
        seed: seed of the draws.
        kind: kind of the intervals, "equal-tailed" or "highest-density".

    Returns: a row for each benchmark, with the columns of `csvjax.prediction.summary`.

    Raises: InputError for a family that the fit does not have, and for an amount that is not a covariate of the fit.
    """
    _check(fit, amounts, family)
    words = [f"{value:g} {name}" for name, value in amounts.items()]
    lms = _models(dict(amounts), family, [", ".join([family or "a new family", *words])])
    return predict(fit, lms, seed=seed, kind=kind).table()


def score_curves(
    fit: Result, amounts: Mapping[str, Float[np.ndarray, " point"]], family: str | None = None, seed: int = 0
) -> pd.DataFrame:
    """The mean score of one model on every benchmark as a function of its compute, size or tokens.

    Args:
        fit: a result of `csvjax.fit`.
        amounts: `flops`, `params`, `tokens`, each [point]; they change together from point to point.
        family: a family of the fit; None for a new family.
        seed: seed of the draws.

    Returns: a row for each benchmark and point with the columns benchmark, the amounts, mean, lower50, upper50,
    lower90 and upper90 of the mean score. In each draw the model is the same at every point.

    Raises: InputError for a family that the fit does not have, and for an amount that is not a covariate of the fit.
    """
    _check(fit, {name: float(values[0]) for name, values in amounts.items()}, family)
    points = len(next(iter(amounts.values())))
    assert fit.dataset.scores is not None
    scales = fit.dataset.scores.scales
    drawn = _curve(fit, _models(amounts, family, [f"point {i}" for i in range(points)]), seed)
    parts = []
    for b, benchmark in enumerate(fit.benchmarks):
        found = {"benchmark": benchmark, **amounts, "mean": mean_of(drawn[:, :, b], scales[b])}
        for level in (50, 90):
            found[f"lower{level}"], found[f"upper{level}"] = bounds(drawn[:, :, b], level / 100, "equal-tailed")
        parts.append(pd.DataFrame(found))
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Reach:
    """The compute at which the mean score of a model reaches `score` on `benchmark`.

    Attributes:
        benchmark: name of the benchmark.
        score: the score to reach, a fraction or a number in the unit of the benchmark.
        scale: the scale of the scores.
        family: family of the model; None for a new family.
        flops: compute in FLOP [draw]; 0 if the score is reached at `smallest` already, inf if not at `largest`.
        smallest: smallest compute of the search, in FLOP.
        largest: largest compute of the search, in FLOP.
        kind: kind of the interval.
    """

    benchmark: str
    score: float
    scale: Scale
    family: str | None
    flops: Float[np.ndarray, " draw"]
    smallest: float
    largest: float
    kind: IntervalKind

    @property
    def never(self) -> float:
        """Share of the draws in which the score is not reached at the largest compute of the search."""
        return float(np.isinf(self.flops).mean())

    @property
    def median(self) -> float:
        """Median compute in FLOP."""
        return float(np.quantile(self.flops, 0.5, method="inverted_cdf"))

    @property
    def interval(self) -> tuple[float, float]:
        """The 90 % interval in FLOP; an end of 0 or inf lies outside the compute of the search."""
        if self.kind == "equal-tailed":
            lower, upper = np.quantile(self.flops, [0.05, 0.95], method="inverted_cdf")
            return float(lower), float(upper)
        # The shortest interval on the logarithmic scale; draws beyond the ends of the search count as its ends.
        ends = np.log(np.clip(self.flops, self.smallest, self.largest))
        lower, upper = (float(np.exp(end[0])) for end in bounds(ends[:, None], _LEVEL, self.kind))
        near = 1 + 1e-9
        return 0.0 if lower <= self.smallest * near else lower, np.inf if upper >= self.largest / near else upper

    @property
    def _written(self) -> str:
        if self.scale.bounded:
            return f"{self.score:g}"
        number, unit = written(self.score), self.scale.unit
        return f"a perplexity of {number}" if unit == "perplexity" else f"{number} {unit}".rstrip()

    def __str__(self) -> str:
        model, target = f"a model of {self.family or 'a new family'}", f"{self._written} on {self.benchmark}"
        if self.never > 0.5:
            return (
                f"{model} does not reach {target} with up to {self.largest:.2g} FLOP in {self.never:.0%} of the draws; "
                f"do not rely on it"
            )
        lower, upper = self.interval
        low = f"below {self.smallest:.2g}" if lower == 0 else f"{lower:.2g}"
        high = f"above {self.largest:.2g}" if np.isinf(upper) else f"{upper:.2g}"
        median = f"below {self.smallest:.2g}" if self.median == 0 else f"{self.median:.2g}"
        never = (
            f"; in {self.never:.1%} of the draws it does not, with up to {self.largest:.2g} FLOP" if self.never else ""
        )
        return f"{model} reaches {target} at {median} FLOP (90 % interval, {self.kind}: {low} to {high}){never}"


def reach(
    fit: Result,
    benchmark: str,
    score: float,
    family: str | None = None,
    amounts: Mapping[str, float] | None = None,
    seed: int = 0,
    kind: IntervalKind = "equal-tailed",
) -> Reach:
    """The smallest compute at which the mean score of a model is `score` or better, for each draw.

    In each draw the parameters of the law, the family and the model are the same at all compute. The mean score is
    computed at 150 points, equally spaced in log compute, from 1e-2 times the smallest to 1e6 times the largest
    compute of the fit; between two points it is interpolated linearly.

    Args:
        fit: a result of `csvjax.fit`.
        benchmark: name of a benchmark of the fit.
        score: the score to reach: a fraction between 0 and 1, or a number in the unit of the benchmark.
        family: a family of the fit; None for a new family.
        amounts: other amounts of the model that are known (`params`, `tokens`).
        seed: seed of the draws.
        kind: kind of the interval, "equal-tailed" or "highest-density".

    Returns: a `Reach`; `str()` of it is a sentence.

    Raises: InputError for a benchmark or family that the fit does not have, for a fit without compute as a covariate,
    and for a fraction outside (0, 1).
    """
    (at,) = names.positions([benchmark], fit.benchmarks, "benchmark")
    assert fit.dataset.scores is not None
    scale = fit.dataset.scores.scales[at]
    if not scale.bounded and (np.isnan(score) or out_of_range(np.array([score]), scale).any()):
        raise InputError(f"expected a score in the unit of {benchmark}, {scale.word}, found {score:g}; correct it")
    if scale.bounded and not 0 < score < 1:
        raise InputError(f"expected a score to reach between 0 and 1, found {score:g}; give a fraction")
    _check(fit, {**(amounts or {}), "flops": 1.0}, family)
    known = fit.dataset.lms["flops"].dropna()
    smallest, largest = float(known.min()) * _BELOW, float(known.max()) * _ABOVE
    grid = np.geomspace(smallest, largest, _POINTS)
    lms = _models({**(amounts or {}), "flops": grid}, family, [f"{flops:g}" for flops in grid])
    mean = _curve(fit, lms, seed)[:, :, at]
    sign = 1.0 if scale.better == "higher" else -1.0
    crossing = _crossing(np.log(grid), sign * mean, sign * score)
    return Reach(benchmark, score, scale, family, crossing, smallest, largest, kind)


@float64
def _curve(fit: Result, lms: pd.DataFrame, seed: int) -> Float[np.ndarray, "draw point benchmark"]:
    """Mean scores of one model, whose covariates differ from row to row."""
    new = new_models(fit, lms)
    assert new.scores is not None
    points = evidence_of(new, np.zeros(new.scores.score.shape, bool), fit.law, fit.known)
    first = new.subset([str(lms.index[0])])
    one = evidence_of(first, np.zeros((1, len(fit.benchmarks)), bool), fit.law, fit.known)
    groups, its = names_of_groups(fit.dataset.lms, fit.law), names_of_groups(first.lms, fit.law)
    beside, rows = join_families(fit.evidence, groups, one, its)
    more = beside.missing.shape[2] - points.missing.shape[2]
    points = points._replace(missing=np.pad(points.missing, ((0, 0), (0, 0), (0, more))))
    x, key = fit.draws(), jax.random.key(seed)
    found = np.asarray(draw_curve(fit.density, fit.law.tail, beside, int(rows[0]), points, x, key))
    return finite_draws(found, found)


def _crossing(
    x: Float[np.ndarray, " point"], mean: Float[np.ndarray, "draw point"], score: float
) -> Float[np.ndarray, " draw"]:
    """exp(x) where each curve first reaches `score`; 0 if it begins at or above `score`, inf if it never does."""
    above = mean >= score
    first = above.argmax(axis=1)
    row = np.arange(len(mean))
    before = np.maximum(first - 1, 0)
    low, high = mean[row, before], mean[row, first]
    share = np.divide(score - low, high - low, out=np.zeros_like(low), where=high > low)
    found = np.exp(x[before] + share * (x[first] - x[before]))
    return np.where(~above.any(axis=1), np.inf, np.where(first == 0, 0.0, found))
