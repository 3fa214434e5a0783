"""The verb `csvjax.reach`: the compute at which a model reaches a score; and what it would score at some compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax import names
from csvjax.errors import InputError
from csvjax.law.covariates import AMOUNTS
from csvjax.law.evidence import beside_family, evidence_of, names_of_groups
from csvjax.law.predictive import draw_curve
from csvjax.precision import float64
from csvjax.prediction import IntervalKind, bounds, mean_of, new_models, predict
from csvjax.result.result import Result, finite_draws

__all__ = ["Reach", "predict_target", "reach", "score_curves"]

_BELOW, _ABOVE = 1e-2, 1e6  # how far beyond the least and the most compute of the fit the search goes
_POINTS = 150
_LEVEL = 0.9


def _check(fit: Result, amounts: Mapping[str, float], family: str | None) -> None:
    """Raises: InputError if the fit does not know the family, or has no use for an amount."""
    if family is not None and family not in fit.families:
        raise InputError(
            f"expected a family of the fit, found {family!r}: {names.hint(family, fit.families)}; without a family the "
            f"model is one of a new family"
        )
    used = {base.column for base in fit.known.columns.bases.values()}
    used |= set(AMOUNTS) if used & set(AMOUNTS) else set()  # the third follows from two
    for name, value in amounts.items():
        if name not in used:
            raise InputError(
                f"expected amounts that the fit has as covariates, found {name}: it has "
                f"{', '.join(fit.law.covariates) or 'none'}; fit again with --covariates"
            )
        if not 0 < value < np.inf:
            raise InputError(f"expected {name} above 0, found {value:g}; correct it")


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
    """What a model of this family with these amounts (`flops`, `params`, `tokens`) would score on every benchmark.

    family: one of the fit's; None for a new one. An amount that is a covariate of the fit and not given is unknown, and
    widens the intervals. Columns as `csvjax.prediction.summary` gives them.

    Raises: InputError for a family that the fit does not have, and amounts that it has no use for.
    """
    _check(fit, amounts, family)
    words = [f"{value:g} {name}" for name, value in amounts.items()]
    lms = _models(dict(amounts), family, [", ".join([family or "a new family", *words])])
    return predict(fit, lms, seed=seed, kind=kind).table()


def score_curves(
    fit: Result, amounts: Mapping[str, Float[np.ndarray, " point"]], family: str | None = None, seed: int = 0
) -> pd.DataFrame:
    """Mean score of one model on every benchmark while its amounts (`flops`, `params`, `tokens`) change together.

    family: one of the fit's; None for a new one.

    Returns: a row for each benchmark and point: benchmark, the amounts, mean, lower and upper 50 and 90 of the mean
    score. In each draw the model is the same at every point.

    Raises: InputError for a family that the fit does not have, and amounts that it has no use for.
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
    """Compute at which the mean score of a model reaches `score` on `benchmark`.

    flops [draw]: 0 where it is there at the least compute that was looked at already, inf where it is not yet at the
    most. least, most: these two. median, lower, upper: of the draws; `never`: share of them that are inf.
    """

    benchmark: str
    score: float
    family: str | None
    flops: Float[np.ndarray, " draw"]
    least: float
    most: float
    kind: IntervalKind

    @property
    def never(self) -> float:
        return float(np.isinf(self.flops).mean())

    @property
    def median(self) -> float:
        return float(np.quantile(self.flops, 0.5, method="inverted_cdf"))

    @property
    def interval(self) -> tuple[float, float]:
        """Of probability 0.9, in FLOP; ends at 0 and inf mean: beyond what was looked at."""
        if self.kind == "equal-tailed":
            lower, upper = np.quantile(self.flops, [0.05, 0.95], method="inverted_cdf")
            return float(lower), float(upper)
        # Shortest on the logarithmic scale, on which draws beyond the ends count as lying just there.
        ends = np.log(np.clip(self.flops, self.least, self.most))
        lower, upper = (float(np.exp(end[0])) for end in bounds(ends[:, None], _LEVEL, self.kind))
        near = 1 + 1e-9
        return 0.0 if lower <= self.least * near else lower, np.inf if upper >= self.most / near else upper

    def __str__(self) -> str:
        what = f"a model of {self.family or 'a new family'} reaches {self.score:g} on {self.benchmark}"
        if self.never > 0.5:
            return (
                f"{what} at no compute up to {self.most:.2g} FLOP in {self.never:.0%} of the draws; do not count on it"
            )
        lower, upper = self.interval
        low = f"below {self.least:.2g}" if lower == 0 else f"{lower:.2g}"
        high = f"above {self.most:.2g}" if np.isinf(upper) else f"{upper:.2g}"
        median = f"below {self.least:.2g}" if self.median == 0 else f"{self.median:.2g}"
        rest = f"; in {self.never:.1%} of the draws at no compute up to {self.most:.2g}" if self.never else ""
        return f"{what} at {median} FLOP (90 % interval, {self.kind}: {low} to {high}){rest}"


def reach(
    fit: Result,
    benchmark: str,
    score: float,
    family: str | None = None,
    amounts: Mapping[str, float] | None = None,
    seed: int = 0,
    kind: IntervalKind = "equal-tailed",
) -> Reach:
    """The least compute at which the mean score of a model of this family is `score` or better, draw by draw.

    Each draw has its own parameters, family and model, which are the same at all compute; between the 150 points of a
    grid on the logarithmic scale, from 1e-2 of the fit's least to 1e6 times its most, the mean score is a line.
    amounts: others than compute that are known (params, tokens).

    Raises: InputError for a benchmark or a family that the fit does not have, a fit to which compute is no covariate,
    and a fraction outside of (0, 1).
    """
    (at,) = names.positions([benchmark], fit.benchmarks, "benchmark")
    assert fit.dataset.scores is not None
    scale = fit.dataset.scores.scales[at]
    if scale.bounded and not 0 < score < 1:
        raise InputError(f"expected a score between 0 and 1 to reach, found {score:g}; give a fraction")
    _check(fit, {**(amounts or {}), "flops": 1.0}, family)
    known = fit.dataset.lms["flops"].dropna()
    least, most = float(known.min()) * _BELOW, float(known.max()) * _ABOVE
    grid = np.geomspace(least, most, _POINTS)
    lms = _models({**(amounts or {}), "flops": grid}, family, [f"{flops:g}" for flops in grid])
    mean = _curve(fit, lms, seed)[:, :, at]
    sign = 1.0 if scale.better == "higher" else -1.0
    return Reach(benchmark, score, family, _crossing(np.log(grid), sign * mean, sign * score), least, most, kind)


@float64
def _curve(fit: Result, lms: pd.DataFrame, seed: int) -> Float[np.ndarray, "draw point benchmark"]:
    """Mean scores of one model that differs from row to row in its covariates alone."""
    new = new_models(fit, lms)
    assert new.scores is not None
    points = evidence_of(new, np.zeros(new.scores.score.shape, bool), fit.law, fit.known)
    first = new.subset([str(lms.index[0])])
    one = evidence_of(first, np.zeros((1, len(fit.benchmarks)), bool), fit.law, fit.known)
    groups, its = names_of_groups(fit.dataset.lms, fit.law), names_of_groups(first.lms, fit.law)
    beside, rows = beside_family(fit.evidence, groups, one, its)
    more = beside.missing.shape[2] - points.missing.shape[2]
    points = points._replace(missing=np.pad(points.missing, ((0, 0), (0, 0), (0, more))))
    x, key = fit.draws(), jax.random.key(seed)
    found = np.asarray(draw_curve(fit.density, fit.law.tail, beside, int(rows[0]), points, x, key))
    return finite_draws(found, found)


def _crossing(
    x: Float[np.ndarray, " point"], mean: Float[np.ndarray, "draw point"], score: float
) -> Float[np.ndarray, " draw"]:
    """exp of where each line first is at `score` or above; 0 where it begins there, inf where it never is."""
    above = mean >= score
    first = above.argmax(axis=1)
    row = np.arange(len(mean))
    before = np.maximum(first - 1, 0)
    low, high = mean[row, before], mean[row, first]
    share = np.divide(score - low, high - low, out=np.zeros_like(low), where=high > low)
    found = np.exp(x[before] + share * (x[first] - x[before]))
    return np.where(~above.any(axis=1), np.inf, np.where(first == 0, 0.0, found))
