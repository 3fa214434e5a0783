"""The referee: metrics of a method on a split, with bootstrap intervals over clusters, and verdicts on pairs.

Scores of one family (or one model) are not independent, so the bootstrap draws whole families or models with
replacement. Two methods are compared on the scores that both predicted, with the same draws for both: A is better than
B only if the 95 % interval of the paired difference excludes zero. Efron and Tibshirani 1993, chapters 8 and 13.

RMSE, MAE, R2, CRPS, log score, rank correlation and decision accuracy are means over benchmarks; coverage, width and
calibration are computed from all cells together. A resample uses the ranks of the whole sample.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import rankdata

from csvjax.errors import InputError
from csvjax.evaluate.judged import LEVELS
from csvjax.evaluate.metrics import ROUNDING

__all__ = ["BETTER", "FIGURES", "Cluster", "Verdict", "cluster_of", "figures", "verdict"]

Cluster = Literal["family", "lm"]

_OF_ALL_CELLS = (
    *(f"coverage{level}" for level in LEVELS),
    *(f"width{level}" for level in LEVELS),
    "calibration_error",
)
FIGURES = (
    *("rmse", "mae", "r2", "crps", "log_score", "rank_correlation", "decision_accuracy"),
    *_OF_ALL_CELLS,
)
BETTER: dict[str, int] = {
    "rmse": -1,
    "mae": -1,
    "r2": 1,
    "crps": -1,
    "log_score": -1,
    "rank_correlation": 1,
    "decision_accuracy": 1,
    "calibration_error": -1,
}
"""Metrics that say which method is better, and in which direction."""
_FEWEST_CLUSTERS = 5
_PIT_LEVELS = np.arange(1, 10) / 10
_LEVEL = 0.95


class Verdict(NamedTuple):
    """The comparison of two methods.

    Attributes:
        figure: the metric.
        difference: metric of A minus metric of B.
        low: lower end of the 95 % interval of the difference.
        high: upper end of this interval.
        better: "A", "B" or "not decided".
        cells: number of scores that both predicted.
        clusters: number of families or models.
    """

    figure: str
    difference: float
    low: float
    high: float
    better: Literal["A", "B", "not decided"]
    cells: int
    clusters: int


def cluster_of(cells: pd.DataFrame) -> Cluster:
    """The clusters of the bootstrap: families if there are at least five among the cells, otherwise models."""
    return "family" if cells["family"].nunique() >= _FEWEST_CLUSTERS else "lm"


def figures(
    cells: pd.DataFrame, cluster: Cluster | None = None, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Value and 95 % interval of each of `FIGURES`.

    Args:
        cells: rows of `judge_cells` for one method and one split. Cells without a prediction are left out, so report
            their number as well.
        cluster: "family" or "lm"; None for `cluster_of`.
        resamples: number of bootstrap samples.
        seed: seed of the bootstrap.

    Returns: value, lower and upper end by name; the ends are NaN for fewer than two clusters.
    """
    cells = _answered(cells)
    cluster = cluster or cluster_of(cells)
    whole, drawn = _resampled(cells, cluster, _weights(cells[cluster], resamples, seed), FIGURES)
    return {name: (whole[name], *_interval(drawn[name])) for name in FIGURES}


def verdict(
    a: pd.DataFrame,
    b: pd.DataFrame,
    figure: str = "crps",
    cluster: Cluster | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Verdict:
    """Which of two methods is better on the scores that both predicted.

    Args:
        a: rows of `judge_cells` of method A.
        b: rows of `judge_cells` of method B.
        figure: a metric in `BETTER`.
        cluster: "family" or "lm"; None for `cluster_of`.
        resamples: number of bootstrap samples.
        seed: seed of the bootstrap.

    Raises: InputError for another metric, and for tables with different observations.
    """
    if figure not in BETTER:
        raise InputError(f"expected a metric among {', '.join(BETTER)}, found {figure!r}; choose one of them")
    key = ["lm", "benchmark"]
    both = _answered(a)[key].merge(_answered(b)[key], on=key, validate="one_to_one")
    first, second = (both.merge(table, on=key, validate="one_to_one") for table in (a, b))
    if not np.array_equal(first["observed"], second["observed"]):
        raise InputError("expected two methods judged on the same observations, found different ones; judge both again")
    if not len(both):
        return Verdict(figure, *(float("nan"),) * 3, "not decided", 0, 0)
    cluster = cluster or cluster_of(first)
    weights = _weights(first[cluster], resamples, seed)
    (whole_a, drawn_a), (whole_b, drawn_b) = (_resampled(t, cluster, weights, (figure,)) for t in (first, second))
    low, high = _interval(drawn_a[figure] - drawn_b[figure])
    better: Literal["A", "B", "not decided"] = "not decided"
    if low > 0 or high < 0:
        better = "A" if (low > 0) == (BETTER[figure] > 0) else "B"
    difference = whole_a[figure] - whole_b[figure]
    return Verdict(figure, difference, low, high, better, len(both), first[cluster].nunique())


def _answered(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[cells["observed"].notna() & cells["predicted"].notna() & cells["crps"].notna()]


def _weights(labels: pd.Series, resamples: int, seed: int) -> Float[np.ndarray, "resample cluster"]:
    """How often each resample draws each cluster; no resamples for fewer than two clusters."""
    count = labels.nunique()
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), resamples if count > 1 else 0).astype(float)


def _interval(values: Float[np.ndarray, " resample"]) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _resampled(
    cells: pd.DataFrame, cluster: Cluster, weights: Float[np.ndarray, "resample cluster"], wanted: tuple[str, ...]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Metrics of the whole sample and of every resample."""
    member = np.unique(cells[cluster].to_numpy(str), return_inverse=True)[1]
    clusters = int(member.max()) + 1 if len(member) else 0
    everything = np.vstack([np.ones((1, clusters)), weights]) if clusters else np.ones((1, 0))
    found = _sums(cells, member, everything) if set(wanted) & set(_OF_ALL_CELLS) else {}
    by_benchmark: dict[str, list[np.ndarray]] = {}
    for _, at in sorted(cells.groupby("benchmark", sort=True).indices.items()):
        part = cells.iloc[at]
        for name, value in _figures_of_one(part, member[at], everything, wanted).items():
            by_benchmark.setdefault(name, []).append(value)
    found |= {name: _nanmean(np.stack(values)) for name, values in by_benchmark.items()}
    nothing = np.full(len(everything), np.nan)
    found = {name: found.get(name, nothing) for name in wanted}
    return {name: float(v[0]) for name, v in found.items()}, {name: v[1:] for name, v in found.items()}


def _nanmean(values: Float[np.ndarray, "benchmark resample"]) -> Float[np.ndarray, " resample"]:
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    return np.where(known, values, 0.0).sum(axis=0) / np.where(count, count, np.nan)


def _share(part: np.ndarray, member: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over cells of each column of `part`: [cell, ...] -> [resample, ...]."""
    w = weights[:, member]
    total = w.sum(axis=1)
    return (w @ part) / np.where(total > 0, total, np.nan).reshape(-1, *[1] * (part.ndim - 1))


def _sums(cells: pd.DataFrame, member: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Coverage, width and calibration of all cells together."""
    y, found = cells["observed"].to_numpy(), {}
    for level in LEVELS:
        low, high = cells[f"lower{level}"].to_numpy(), cells[f"upper{level}"].to_numpy()
        inside = (y >= low - ROUNDING) & (y <= high + ROUNDING)
        found[f"coverage{level}"] = _share(inside.astype(float), member, weights)
        found[f"width{level}"] = _share(high - low, member, weights)
    central = np.abs(2 * cells["pit"].to_numpy()[:, None] - 1) <= _PIT_LEVELS
    shares = _share(central.astype(float), member, weights)
    return found | {"calibration_error": np.abs(shares - _PIT_LEVELS).mean(axis=1)}


def _figures_of_one(
    cells: pd.DataFrame, member: np.ndarray, weights: np.ndarray, wanted: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Metrics of one benchmark, on which each model has one cell."""
    y, yhat = cells["observed"].to_numpy(), cells["predicted"].to_numpy()
    centred = y - y.mean()
    parts = np.stack(
        [(y - yhat) ** 2, np.abs(y - yhat), centred, centred**2, cells["crps"], cells["log_score"]], axis=1
    )
    square, absolute, first, second, crps, log_score = _share(parts, member, weights).T
    variance = second - first**2
    differs = variance > 1e-12
    found = {
        "rmse": np.sqrt(square),
        "mae": absolute,
        "r2": np.where(differs, 1 - square / np.where(differs, variance, 1.0), np.nan),
        "crps": crps,
        "log_score": log_score,
    }
    if "rank_correlation" in wanted:
        found["rank_correlation"] = _correlation(rankdata(y), rankdata(yhat), member, weights)
    if "decision_accuracy" in wanted:
        found["decision_accuracy"] = _decisions(y, yhat, member, weights)
    return found


def _correlation(a: np.ndarray, b: np.ndarray, member: np.ndarray, weights: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(), b - b.mean()
    ma, mb, aa, bb, ab = _share(np.stack([a, b, a * a, b * b, a * b], axis=1), member, weights).T
    scale = (aa - ma**2) * (bb - mb**2)
    good = scale > 1e-9
    return np.where(good, (ab - ma * mb) / np.sqrt(np.where(good, scale, 1.0)), np.nan)


def _decisions(y: np.ndarray, yhat: np.ndarray, member: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of pairs in the right order, weighted by how often both models of a pair are drawn."""
    above = (y[:, None] > y).astype(float)
    right = above * (0.5 + 0.5 * np.sign(yhat[:, None] - yhat))
    w = weights[:, member]
    pairs = np.einsum("rm,rm->r", w @ above, w)
    return np.einsum("rm,rm->r", w @ right, w) / np.where(pairs > 0, pairs, np.nan)
