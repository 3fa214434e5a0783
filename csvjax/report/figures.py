"""The numbers behind the charts: what the page's script draws, as one small JSON object."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from csvjax.report.read import Run
from csvjax.report.words import law_label, laws_of, number, percent, split_label

__all__ = ["chart_data"]


def _short(values: pd.Series) -> list[float | None]:
    """Four significant digits, which no chart can tell from more; None for what is not a number."""
    return [float(f"{v:.4g}") if math.isfinite(v) else None for v in values.astype(float)]


def _positions(values: pd.Series, names: list[str]) -> list[int]:
    return [int(i) for i in pd.Index(names).get_indexer(pd.Index(values))]


def _detail(row: pd.Series) -> str:
    return f"R² {number(row['r2'])} · MAE {number(row['mae'], 3)} · covered {percent(row['coverage90'])}"


def _panel(cells: pd.DataFrame, lms: list[str], metrics: pd.DataFrame) -> dict[str, Any]:
    """One law on one benchmark: predicted mean and 90 % interval against the observed score."""
    return {
        "lm": _positions(cells["lm"], lms),
        "observed": _short(cells["observed"]),
        "mean": _short(cells["mean"]),
        "lower": _short(cells["lower90"]),
        "upper": _short(cells["upper90"]),
        "detail": _detail(metrics.iloc[0]) if len(metrics) else "",
    }


def _rank_correlation(x: pd.Series, y: pd.Series) -> float | None:
    """Spearman's rho, which no monotone link between loss and score can change."""
    known = x.notna() & y.notna()
    if known.sum() < 3 or x[known].nunique() < 2 or y[known].nunique() < 2:
        return None
    return round(float(x[known].rank().corr(y[known].rank())), 3)


def _loss_panel(cells: pd.DataFrame, lms: list[str]) -> dict[str, Any] | None:
    """Observed score, mean loss and salient loss of the models of one benchmark; None where a loss is unknown."""
    if cells[["mean_loss", "salient_loss"]].isna().all().any():
        return None
    y = cells["observed"]
    return {
        "lm": _positions(cells["lm"], lms),
        "observed": _short(y),
        "losses": [_short(cells["mean_loss"]), _short(cells["salient_loss"])],
        "rank": [_rank_correlation(cells["mean_loss"], y), _rank_correlation(cells["salient_loss"], y)],
        "floor": _short(cells["floor"])[0],
    }


def chart_data(run: Run) -> dict[str, Any]:
    """Names once, then `cells[split][law][benchmark]` and `losses[split][benchmark]`, by position in the names.

    Rows that were not observed are left out: there is nothing to compare them with. A panel that has no rows is None.
    """
    known = run.predictions[run.predictions["observed"].notna()]
    models = known.drop_duplicates("lm")
    lms, families = list(models["lm"]), list(dict.fromkeys(models["family"]))
    splits, benchmarks, laws = (
        list(dict.fromkeys(known["split"])),
        list(dict.fromkeys(known["benchmark"])),
        laws_of(run),
    )
    by_cell = dict(list(known.groupby(["split", "law", "benchmark"], sort=False)))
    scored = dict(list(run.metrics.groupby(["split", "law", "benchmark"], sort=False)))
    nothing = run.metrics.iloc[:0]

    def panel(split: str, law: str, benchmark: str) -> dict[str, Any] | None:
        key = (split, law, benchmark)
        return _panel(by_cell[key], lms, scored.get(key, nothing)) if key in by_cell else None

    def loss_panel(split: str, benchmark: str) -> dict[str, Any] | None:
        key = (split, "salience", benchmark)
        return _loss_panel(by_cell[key], lms) if key in by_cell else None

    return {
        "benchmarks": benchmarks,
        "splits": [{"name": s, "label": split_label(s)} for s in splits],
        "laws": [law_label(law) for law in laws],
        "families": families,
        "lms": lms,
        "family": _positions(models["family"], families),
        "cells": [[[panel(s, law, b) for b in benchmarks] for law in laws] for s in splits],
        "losses": [[loss_panel(s, b) for b in benchmarks] for s in splits],
    }
