"""Figures of scores against compute, with the extrapolation, and against capability."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from csvjax.law.covariates import AMOUNTS
from csvjax.law.links import Standard, in_units
from csvjax.names import positions
from csvjax.plot.style import (
    ACCENT,
    FAINT,
    PALETTE,
    axis,
    dots,
    figure,
    line,
    needs,
    of_family,
    ribbon,
    score_axis,
    shade,
    shown,
)
from csvjax.prediction import mean_of
from csvjax.result.result import Result
from csvjax.target import score_curves

__all__ = ["Scale", "capability_curve", "capability_curves", "compute_curve", "compute_curves", "scale_of", "scores_of"]

_POINTS = 60
_BEYOND, _BELOW = 10.0, 0.5  # the curve goes from 0.5 times the smallest to 10 times the largest amount of the fit
_TITLES = {
    "flops": "training compute (FLOP)",
    "params": "parameters",
    "tokens": "training tokens",
}
_HOVER = "<b>%{customdata[0]}</b>, %{customdata[1]}<br>%{x:.3g}: %{y}<extra></extra>"


class Scale(NamedTuple):
    """The axis of a curve against the size of models.

    Attributes:
        column: the amount on the axis.
        ratio: tokens per parameter, if both are covariates of the fit; otherwise NaN.
    """

    column: str
    ratio: float

    def amounts(self, grid: np.ndarray) -> dict[str, np.ndarray]:
        """The covariates of the fit along the axis."""
        if np.isnan(self.ratio):
            return {self.column: grid}
        params = np.sqrt(grid / (6 * self.ratio))
        return {"flops": grid, "params": params, "tokens": params * self.ratio}


def scale_of(fit: Result) -> Scale | None:
    """The axis of the compute curves of a fit; None if no amount is a covariate, or if too few amounts are known."""
    used = [base.column for base in fit.known.columns.bases.values() if base.column in AMOUNTS]
    if not used:
        return None
    column = "flops" if "flops" in used or len(used) > 1 else used[0]
    if _amount(fit.dataset.lms, column).nunique() < 2:
        return None
    if "flops" in used or len(used) == 1:
        return Scale(column, float("nan"))
    ratio = float((fit.dataset.lms["tokens"] / fit.dataset.lms["params"]).median())
    return Scale("flops", ratio)


def _amount(lms: pd.DataFrame, column: str) -> pd.Series:
    found = pd.to_numeric(lms[column], errors="coerce")
    return found.fillna(6 * lms["params"] * lms["tokens"]) if column == "flops" else found


def compute_curves(
    fit: Result, family: str | None = None, largest: float | None = None, seed: int = 0, points: int = _POINTS
) -> pd.DataFrame:
    """Curves of all benchmarks against compute, or against the amount that the fit has.

    Args:
        fit: a result of `csvjax.fit` with flops, params or tokens among its covariates.
        family: a family of the fit; None for a new family.
        largest: end of the axis. Default: ten times the largest model.
        seed: seed of the draws.
        points: number of points.

    Returns: rows of `csvjax.target.score_curves` with the amount as `x`.

    Raises: InputError for a fit whose covariates have no compute, parameters or tokens.
    """
    scale = scale_of(fit)
    needs(
        scale is not None,
        "expected a fit with flops, params or tokens as a covariate, found a fit without; use capability_curve, or fit "
        "again with covariates",
    )
    assert scale is not None
    known = _amount(fit.dataset.lms, scale.column).dropna()
    grid = np.geomspace(known.min() * _BELOW, max(known.max() * _BEYOND, largest or 0.0), points)
    found = score_curves(fit, scale.amounts(grid), family, seed)
    return found.assign(x=found[scale.column])


def scores_of(fit: Result, benchmark: str) -> pd.DataFrame:
    """A row for each model with lm, family, benchmark, observed, seen (by the fit) and the amounts."""
    (at,) = positions([benchmark], fit.benchmarks, "benchmark")
    assert fit.dataset.scores is not None
    lms = fit.dataset.lms
    found = {"lm": lms.index, "family": lms["family"].to_numpy(), "benchmark": benchmark}
    amounts = {name: _amount(lms, name).to_numpy(float) for name in AMOUNTS}
    seen = np.asarray(fit.evidence.seen)[:, at]
    return pd.DataFrame({**found, "observed": fit.dataset.scores.score[:, at], "seen": seen, **amounts})


def compute_curve(
    fit: Result,
    benchmark: str,
    *,
    family: str | None = None,
    predictions: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
) -> Any:
    """Score against compute: bands of the mean score, models as marks, and the extrapolation in grey.

    Args:
        fit: a result of `csvjax.fit` with flops, params or tokens among its covariates.
        benchmark: a benchmark of the fit.
        family: the family whose curve is drawn; None for a new family, whose bands are widest.
        predictions: rows of `csvjax.predict(...).table()`; models of the fit without a known score are drawn as stars
            with 90 % intervals.
        curves: result of `compute_curves`, if several benchmarks are drawn.

    Returns: a Plotly figure. Filled marks were fitted, open marks were held out, stars are predictions.

    Raises: InputError for a benchmark or a family that the fit does not have, and a fit without compute.
    """
    cells = scores_of(fit, benchmark)
    curves = compute_curves(fit, family) if curves is None else curves
    scale = scale_of(fit)
    assert scale is not None  # without a scale there are no curves
    band = curves[curves["benchmark"] == benchmark]
    known = cells.dropna(subset=[scale.column]).assign(x=lambda t: t[scale.column])
    whose = f"expected, {'a new family' if family is None else shown(family)}"
    traces = _band(band, whose)
    traces += _observed(known, fit)
    traces += _targets(predictions, known, benchmark)
    fitted = known.loc[known["seen"], "x"]
    layout: dict[str, Any] = {}
    if len(fitted) and fitted.max() < band["x"].max():
        layout = _fan(float(fitted.max()), float(band["x"].max()))
    values = [*band["lower90"], *band["upper90"], *known["observed"].dropna()]
    ends = np.log10(band["x"].iloc[[0, -1]].to_numpy(float)).tolist()
    x = axis(_TITLES[scale.column], type="log", exponentformat="power", dtick=1, range=ends)
    return figure(traces, x, score_axis("score", values, _unit(fit, benchmark)), **layout)


def _band(band: pd.DataFrame, whose: str) -> list[dict[str, Any]]:
    """The two bands and the mean of a table with x, mean, lower50, upper50, lower90 and upper90."""
    return [
        *ribbon(band["x"], band["lower90"], band["upper90"], ACCENT, "90 %", 0.14),
        *ribbon(band["x"], band["lower50"], band["upper50"], ACCENT, "50 %", 0.22),
        line(band["x"], band["mean"], ACCENT, width=2.5, name=whose),
    ]


def _observed(known: pd.DataFrame, fit: Result) -> list[dict[str, Any]]:
    traces = []
    for family, (colour, symbol) in of_family(fit.dataset.lms["family"]).items():
        rows = known[(known["family"].astype(str) == family) & known["observed"].notna()]
        if len(rows):
            found = dots(rows, "x", "observed", colour=colour, name=shown(family), hovertemplate=_HOVER)
            found["marker"]["symbol"] = np.where(rows["seen"], symbol, f"{symbol}-open").tolist()
            traces.append(found)
    return traces


def _targets(predictions: pd.DataFrame | None, known: pd.DataFrame, benchmark: str) -> list[dict[str, Any]]:
    """Predicted scores with intervals, for held-out scores and for scores that nobody has measured."""
    if predictions is None:
        return []
    its = predictions[predictions["benchmark"].astype(str) == benchmark]
    its = its.assign(x=its["lm"].map(known.drop_duplicates("lm").set_index("lm")["x"])).dropna(subset=["x"])
    traces = []
    for name, symbol, rows in (
        ("predicted, held out", "line-ew", its[its["observed"].notna()]),
        ("predicted, not measured", "star", its[its["observed"].isna()]),
    ):
        if len(rows):
            found = dots(
                rows,
                "x",
                "mean",
                lower="lower90",
                upper="upper90",
                colour=PALETTE[1],
                symbol=symbol,
                size=11,
                name=name,
            )
            hover = "<b>%{customdata[0]}</b>, predicted<br>%{x:.3g}: %{y}<extra></extra>"
            traces.append(found | {"hovertemplate": hover})
    return traces


def _fan(last: float, end: float) -> dict[str, Any]:
    """Mark the extrapolation beyond `last`."""
    x0, x1 = float(np.log10(last)), float(np.log10(end))
    upright = {"yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    shapes = [
        {"type": "rect", "x0": last, "x1": end, "fillcolor": shade(FAINT, 0.1), "line": {"width": 0}, **upright},
        {"type": "line", "x0": last, "x1": last, "line": {"color": FAINT, "width": 1, "dash": "dot"}, **upright},
    ]
    note = {
        "text": "beyond all fitted models", "x": (x0 + x1) / 2, "y": 0.01, "yref": "paper", "yanchor": "bottom",
        "showarrow": False, "font": {"size": 11}, "name": "beyond",
    }  # fmt: skip
    return {"shapes": shapes, "annotations": [note]}


def _unit(fit: Result, benchmark: str) -> str:
    assert fit.dataset.scores is not None
    return fit.dataset.scores.scales[fit.benchmarks.index(benchmark)].word


def capability_curves(fit: Result, tree: Any = None, points: int = _POINTS) -> pd.DataFrame:
    """Mean score of every benchmark along the general capability, the other capabilities at 0.

        floor + (ceiling - floor) sigmoid(intercept + loading theta);   in its own unit without bounds

    Args:
        fit: a result of `csvjax.fit` with at least one capability.
        tree: labelled draws of the fit, if they are already known.
        points: number of points.

    Returns: the columns benchmark, x (theta, in standard deviations of what compute and families do not explain), mean,
    lower50, upper50, lower90 and upper90.

    Raises: InputError for a fit without shared capabilities.
    """
    posterior = (fit.posterior if tree is None else tree)["posterior"].to_dataset()
    needs(
        "theta" in posterior, "expected a fit with capabilities, found one without; fit with capabilities of 1 or more"
    )
    flat = posterior.stack(sample=("chain", "draw"))
    theta = flat["theta"].sel(capability="general").mean("sample").values
    pad = 0.15 * (np.ptp(theta) or 1.0)
    grid = np.linspace(theta.min() - pad, theta.max() + pad, points)
    assert fit.dataset.scores is not None
    standard, scales, parts = fit.evidence.standard, fit.dataset.scores.scales, []
    for b, benchmark in enumerate(map(str, flat["benchmark"].values)):
        at = flat.isel(benchmark=b)
        draw = {name: at[name].values[:, None] for name in ("intercept", "floor", "ceiling")}
        eta = draw["intercept"] + at["loading"].sel(capability="general").values[:, None] * grid
        mean = draw["floor"] + (draw["ceiling"] - draw["floor"]) * expit(eta)
        if not standard.bounded[b]:
            mean = np.asarray(in_units(Standard(*(a[b] for a in standard)), eta))
        ends = {f"{side}{level}": np.quantile(mean, 0.5 + sign * level / 200, axis=0)
                for level in (50, 90) for side, sign in (("lower", -1), ("upper", 1))}  # fmt: skip
        parts.append(pd.DataFrame({"benchmark": benchmark, "x": grid, "mean": mean_of(mean, scales[b]), **ends}))
    return pd.concat(parts, ignore_index=True)


def capability_curve(fit: Result, benchmark: str, *, tree: Any = None, curves: pd.DataFrame | None = None) -> Any:
    """Score against the general capability: bands of the mean score, and models at their capability.

    Args:
        fit: a result of `csvjax.fit` with at least one capability.
        benchmark: a benchmark of the fit.
        tree: labelled draws of the fit (`Result.posterior`), if they are already known.
        curves: result of `capability_curves`, if several benchmarks are drawn.

    Returns: a Plotly figure.

    Raises: InputError for a benchmark that the fit does not have, and a fit without capabilities.
    """
    cells = scores_of(fit, benchmark)
    tree = fit.posterior if tree is None else tree
    curves = capability_curves(fit, tree) if curves is None else curves
    band = curves[curves["benchmark"] == benchmark]
    theta = tree["posterior"]["theta"].sel(capability="general").mean(("chain", "draw")).to_series()
    known = cells.assign(x=cells["lm"].map(theta)).dropna(subset=["x"])
    values = [*band["lower90"], *band["upper90"], *known["observed"].dropna()]
    return figure(
        [*_band(band, "expected"), *_observed(known, fit)],
        axis("general capability (standard deviations)"),
        score_axis("score", values, _unit(fit, benchmark)),
    )
