"""What a model of a family would score at a target compute; the inverse: the compute at which it reaches a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from csvjax import names
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.joint.predict import IntervalKind, bounds, draw_new, new_evidence, summary
from csvjax.laws.fit_joint import FittedJoint
from csvjax.laws.joint_evidence import COVARIATES

__all__ = ["Reach", "predict_target", "reach"]

_BELOW, _ABOVE = 1e-2, 1e6  # how far beyond the least and the most compute of the fit the search goes
_POINTS = 150
_LEVEL = 0.9


def _check(fit: FittedJoint, amounts: Mapping[str, float], family: str | None) -> None:
    """Raises: InputError if the fit does not know the family, or has no use for an amount."""
    if fit.units is not None:
        raise InputError(
            "expected a fit without losses to predict from compute alone, found one with losses; give the losses of "
            "the new model with --losses, or fit without them"
        )
    if family is not None and family not in fit.families:
        raise InputError(
            f"expected a family of the fit, found {family!r}: {names.hint(family, fit.families)}; without a family the "
            f"model is one of a new family"
        )
    used = {part for name in fit.settings.covariates for part in name.split("*")}
    for name, value in amounts.items():
        if name not in used:
            raise InputError(
                f"expected amounts that the fit has as covariates, found {name}: it has "
                f"{', '.join(fit.settings.covariates) or 'none'}; fit again with --covariates"
            )
        if not 0 < value < np.inf:
            raise InputError(f"expected {name} above 0, found {value:g}; correct it")


def _models(amounts: Mapping[str, float | np.ndarray], family: str | None, lms: list[str]) -> pd.DataFrame:
    columns = {"family": family or "a new family", **dict.fromkeys(COVARIATES, np.nan), **amounts}
    return pd.DataFrame(columns, pd.Index(lms, name="lm", dtype=str))


def predict_target(
    fit: FittedJoint,
    amounts: Mapping[str, float],
    family: str | None = None,
    seed: int = 0,
    kind: IntervalKind = "equal-tailed",
) -> pd.DataFrame:
    """What a model of this family with these amounts (`flops`, `params`, `tokens`) would score on every benchmark.

    family: one of the fit's; None for a new one. An amount that is a covariate of the fit and not given is unknown, and
    widens the intervals. Columns as `csvjax.joint.predict.summary` gives them.

    Raises: InputError for a family that the fit does not have, and amounts that it has no use for.
    """
    _check(fit, amounts, family)
    words = [f"{value:g} {name}" for name, value in amounts.items()]
    lms = _models(dict(amounts), family, [", ".join([family or "a new family", *words])])
    evidence, table = new_evidence(fit, Dataset(lms))
    return summary(draw_new(fit, evidence, seed), np.ones(table.score.shape, bool), lms, table, kind)


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
    fit: FittedJoint,
    benchmark: str,
    score: float,
    family: str | None = None,
    amounts: Mapping[str, float] | None = None,
    seed: int = 0,
    kind: IntervalKind = "equal-tailed",
) -> Reach:
    """The least compute at which the mean score of a model of this family is `score` or more, draw by draw.

    Each draw has its own parameters, family and model, which are the same at all compute; between the 150 points of a
    grid on the logarithmic scale, from 1e-2 of the fit's least to 1e6 times its most, the mean score is a line.
    amounts: others than compute that are known (params, tokens).

    Raises: InputError for a benchmark or a family that the fit does not have, a fit to which compute is no covariate,
    and a score outside of (0, 1).
    """
    (at,) = names.positions([benchmark], fit.benchmarks, "benchmark")
    if not 0 < score < 1:
        raise InputError(f"expected a score between 0 and 1 to reach, found {score:g}; give a fraction")
    _check(fit, {**(amounts or {}), "flops": 1.0}, family)
    known = fit.dataset.lms["flops"].dropna()
    least, most = float(known.min()) * _BELOW, float(known.max()) * _ABOVE
    grid = np.geomspace(least, most, _POINTS)
    lms = _models({**(amounts or {}), "flops": grid}, family, [f"{flops:g}" for flops in grid])
    evidence, _ = new_evidence(fit, Dataset(lms))
    mean = draw_new(fit, evidence, seed, alike=True).mean[:, :, at].astype(float)
    return Reach(benchmark, score, family, _crossing(np.log(grid), mean, score), least, most, kind)


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
