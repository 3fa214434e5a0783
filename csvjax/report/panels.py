"""The figures of the page, with their data, for every choice of a benchmark, a split and a law."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from csvjax import plot
from csvjax.plot.calibration import coverage_table
from csvjax.plot.curves import capability_curves, compute_curves, scale_of, scores_of
from csvjax.plot.domains import domain_shares
from csvjax.plot.losses import rank_correlation
from csvjax.report.read import Run
from csvjax.report.words import laws_of, number
from csvjax.result.tables import capability_table, loading_table

__all__ = ["Panel", "Variant", "panels"]

_ENOUGH = 20  # held-out scores that are needed to show the distribution of their positions
_DIGITS = 4
_PREDICTED = {
    "lm": "model", "family": "family", "observed": "observed", "mean": "predicted", "lower90": "lower 90 %",
    "upper90": "upper 90 %",
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A figure as JSON of Plotly, its table, and a line that summarises it.

    If the table is None, the page makes it from the marks of the figure: models, values and intervals.
    """

    figure: dict[str, Any]
    table: dict[str, Any] | None
    caption: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel of the page. `by`: what its figure depends on (split, law, benchmark); `variants`: by its values."""

    id: str
    title: str
    note: str
    by: tuple[str, ...]
    variants: dict[str, Variant]
    full_width: bool = False


def panels(run: Run) -> list[Panel]:
    """The panels for which the run has data, the most important first."""
    families = _families(run)
    makers: tuple[Callable[[Run, list[str]], Panel | None], ...] = (
        _compute, _salient_loss, _residuals, _predicted, _capability, _coverage, _pit, _methods, _capabilities,
        _loadings, _domains, _mean_loss, _priors,
    )  # fmt: skip
    found = [panel for make in makers if (panel := make(run, families)) is not None]
    curves = [panel for panel in found if panel.id in ("compute", "salient-loss", "capability")]
    if not curves:
        return found
    first = Panel(**vars(curves[0]) | {"full_width": True})
    return [first, *(panel for panel in found if panel.id != first.id)]


def _families(run: Run) -> list[str]:
    known = [] if run.fit is None else run.fit.dataset.lms["family"].astype(str).tolist()
    return list(dict.fromkeys([*known, *run.predictions["family"]]))


def _variant(figure: Any, table: pd.DataFrame | None = None, caption: str = "") -> Variant:
    found = figure.to_plotly_json()
    layout = {name: value for name, value in found["layout"].items() if name != "template"}
    if table is None:
        return Variant({"data": found["data"], "layout": layout}, None, caption)
    columns = [_plain(table[name]) for name in table.columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Variant(
        {"data": found["data"], "layout": layout}, {"columns": list(map(str, table.columns)), "rows": rows}, caption
    )


def _plain(values: pd.Series) -> list[Any]:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return [str(v) for v in values]
    return [float(f"{v:.{_DIGITS}g}") if math.isfinite(v) else None for v in values.astype(float)]


def _cells(run: Run, by: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Held-out scores for each combination of values of the columns, with its key."""
    for key, cells in run.held.groupby(list(by), sort=False):
        yield "|".join(map(str, key)), cells


def _compute(run: Run, families: list[str]) -> Panel | None:
    """The curve of scores against compute."""
    fit = run.fit
    if fit is None or (scale := scale_of(fit)) is None:
        return None
    family, predictions = _asked_for(run), None
    if run.config.get("command") != "evaluate" and len(run.predictions):
        predictions = run.predictions[run.predictions["split"] == run.predictions["split"].iloc[-1]]
    curves, variants = compute_curves(fit, family, points=40), {}
    for benchmark in fit.benchmarks:
        cells = scores_of(fit, benchmark)
        table = cells[["lm", "family", scale.column, "observed", "seen"]]
        if predictions is not None:
            its = predictions[predictions["benchmark"] == benchmark].drop_duplicates("lm").set_index("lm")
            table = table.assign(**{name: table["lm"].map(its[name]) for name in ("mean", "lower90", "upper90")})
        figure = plot.compute_curve(fit, benchmark, family=family, predictions=predictions, curves=curves)
        variants[benchmark] = _variant(figure, table.rename(columns={**_PREDICTED, "seen": "fitted"}))
    note = (
        "The line is the expected score of a model as it grows; the bands contain the mean scores of 50 % and 90 % of "
        "such models. Filled marks were fitted, open marks were held out, stars are predicted and not measured."
    )
    return Panel("compute", f"Score against {_WORDS[scale.column]}", note, ("benchmark",), variants)


_WORDS = {"flops": "training compute", "params": "parameters", "tokens": "training tokens"}


def _asked_for(run: Run) -> str | None:
    """The family of the largest model with scores to predict, if the fit has seen other models of it."""
    fit = run.fit
    assert fit is not None
    if len(fit.families) == 1:
        return fit.families[0]
    lms, seen = fit.dataset.lms, np.asarray(fit.evidence.seen)
    family = lms["family"].astype(str)
    known = set(family.to_numpy()[seen.any(axis=1)])
    asked = lms[~seen.all(axis=1) & family.isin(known).to_numpy()]
    scale = scale_of(fit)
    assert scale is not None
    asked = asked.dropna(subset=[scale.column])
    if asked.empty:
        return None
    return str(asked.sort_values(scale.column)["family"].iloc[-1])


def _capability(run: Run, families: list[str]) -> Panel | None:
    if run.fit is None or "theta" not in run.tree["posterior"]:
        return None
    theta = capability_table(run.tree)[["lm", "general"]]
    curves, variants = capability_curves(run.fit, run.tree, points=40), {}
    for benchmark in run.fit.benchmarks:
        table = scores_of(run.fit, benchmark)[["lm", "family", "observed"]].merge(theta, on="lm", how="left")
        figure = plot.capability_curve(run.fit, benchmark, tree=run.tree, curves=curves)
        variants[benchmark] = _variant(figure, table.rename(columns=_PREDICTED))
    note = "The expected score of a model with this general capability."
    return Panel("capability", "Score against capability", note, ("benchmark",), variants)


def _predicted(run: Run, families: list[str]) -> Panel | None:
    variants = {}
    for key, cells in _cells(run, ("split", "law", "benchmark")):
        inside = ((cells["observed"] >= cells["lower90"]) & (cells["observed"] <= cells["upper90"])).sum()
        caption = f"{inside} of {len(cells)} scores lie in their 90 % intervals."
        variants[key] = _variant(plot.predicted(cells, families), None, caption)
    if not variants:
        return None
    note = (
        "Each mark is a score that the fit has not seen. On the diagonal the prediction is exact; an open mark lies "
        "outside its 90 % interval."
    )
    return Panel("predicted", "Predicted against observed", note, ("split", "law", "benchmark"), variants)


def _by_loss(run: Run, families: list[str], loss: Any, id: str, title: str, note: str) -> Panel | None:
    variants = {}
    for _, cells in _cells(run, ("split", "law", "benchmark")):
        if cells[loss].isna().all() or cells["law"].iloc[0] != laws_of(run)[-1]:
            continue
        rho = rank_correlation(cells[loss], cells["observed"])
        caption = "" if rho is None else f"Rank correlation of loss and score: {number(rho)}."
        key = f"{cells['split'].iloc[0]}|{cells['benchmark'].iloc[0]}"
        variants[key] = _variant(plot.score_by_loss(cells, loss, families, loss == "salient_loss"), None, caption)
    return Panel(id, title, note, ("split", "benchmark"), variants) if variants else None


def _salient_loss(run: Run, families: list[str]) -> Panel | None:
    note = (
        "The loss on the tokens that say most about this benchmark. Bars are predicted 90 % intervals of held-out "
        "models, marks are observed scores."
    )
    return _by_loss(run, families, "salient_loss", "salient-loss", "Score against salient loss", note)


def _mean_loss(run: Run, families: list[str]) -> Panel | None:
    note = "The same scores against the plain mean of the loss, for comparison with the salient loss."
    return _by_loss(run, families, "mean_loss", "mean-loss", "Score against mean loss", note)


def _coverage(run: Run, families: list[str]) -> Panel | None:
    variants = {}
    for key, cells in _cells(run, ("split", "law")):
        variants[key] = _variant(plot.coverage(cells), coverage_table(cells.reset_index(drop=True)))
    if not variants:
        return None
    note = (
        "Share of held-out scores inside their 90 % intervals; it should be at the dotted line. The bar is a 95 % "
        "interval of this share; it is wide if there are few scores."
    )
    return Panel("coverage", "Are the intervals calibrated?", note, ("split", "law"), variants)


def _pit(run: Run, families: list[str]) -> Panel | None:
    variants = {}
    for key, cells in _cells(run, ("split", "law")):
        if len(cells) >= _ENOUGH and "median" in cells and "lower50" in cells:
            variants[key] = _variant(plot.pit(cells, families))
    if not variants:
        return None
    note = (
        "Where scores lie in their predicted distributions. Marks inside the grey band are calibrated. If they fall in "
        "the middle, intervals are too narrow; if they rise there, too wide; above zero, predictions are too high."
    )
    return Panel("pit", "Calibration", note, ("split", "law"), variants)


def _residuals(run: Run, families: list[str]) -> Panel | None:
    variants = {}
    for key, cells in _cells(run, ("split", "law")):
        if cells["lm"].nunique() > 1 and cells["benchmark"].nunique() > 1:
            variants[key] = _variant(plot.residuals(cells))
    if not variants:
        return None
    note = (
        "Orange is better than predicted, blue is worse. A column of one colour is a model that the law predicts "
        "badly, a row of one colour is such a benchmark."
    )
    return Panel("residuals", "Residual map", note, ("split", "law"), variants, full_width=True)


def _methods(run: Run, families: list[str]) -> Panel | None:
    found, variants = run.referee, {}
    if found is None or found["method"].nunique() < 2:
        return None
    for split, rows in found.groupby("split", sort=False):
        table = rows[["method", "crps", "crps_low", "crps_high", "mae", "coverage90", "against"]]
        variants[str(split)] = _variant(plot.methods(found, str(split)), table)
    note = (
        "Error of the predicted distribution (CRPS) on the same held-out scores, with its 95 % interval over families."
    )
    return Panel("methods", "Comparison of methods", note, ("split",), variants)


def _capabilities(run: Run, families: list[str]) -> Panel | None:
    if run.fit is None or "theta" not in run.tree["posterior"]:
        return None
    figure = plot.capabilities(run.fit, tree=run.tree)
    note = "The general capability of each model with its 90 % interval; at most the 60 most able models."
    variant = _variant(figure, capability_table(run.tree).rename(columns=_PREDICTED))
    return Panel("capabilities", "Capabilities of models", note, (), {"": variant})


def _loadings(run: Run, families: list[str]) -> Panel | None:
    if run.fit is None or "loading" not in run.tree["posterior"] or len(run.fit.benchmarks) < 2:
        return None
    note = "By how many logits the score on a benchmark rises with one unit of each capability."
    variant = _variant(plot.loadings(run.fit, tree=run.tree), loading_table(run.tree))
    return Panel("loadings", "Loadings of benchmarks", note, (), {"": variant})


def _domains(run: Run, families: list[str]) -> Panel | None:
    if run.salience is None or run.salience["domain"].nunique() < 2:
        return None
    share, base = domain_shares(run.salience)
    table = pd.concat([base.to_frame("share of bytes").T, share]).reset_index(names="benchmark")
    note = (
        "The share of the salience of each benchmark in each domain of the text, coloured by its ratio to the share of "
        "bytes of the domain."
    )
    variant = _variant(plot.salience_by_domain(run.salience), table)
    return Panel("domains", "Salience by domain", note, (), {"": variant})


def _priors(run: Run, families: list[str]) -> Panel | None:
    if run.fit is None:
        return None
    from csvjax.plot.priors import prior_tree

    both = prior_tree(run.fit, run.tree)
    if not both["posterior"].data_vars:
        return None
    rows = [
        {"parameter": name, **{f"{group} {word}": float(np.quantile(both[group][name], q))
         for group in ("prior", "posterior") for word, q in (("5 %", 0.05), ("median", 0.5), ("95 %", 0.95))}}
        for name in map(str, both["posterior"].data_vars)
    ]  # fmt: skip
    note = "What the scores say about the parameters that all models share. If both lines agree, they say nothing."
    figure = plot.prior_posterior(run.fit, tree=run.tree)
    return Panel("priors", "Prior and posterior", note, (), {"": _variant(figure, pd.DataFrame(rows))})
