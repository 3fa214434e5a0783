"""Figures of the capabilities of models and the loadings of benchmarks, with intervals."""

from __future__ import annotations

from typing import Any

import pandas as pd

from csvjax.plot.style import PALETTE, SYMBOLS, axis, dots, figure, needs, of_family, shown
from csvjax.result.result import Result
from csvjax.result.tables import capability_table, loading_table

__all__ = ["capabilities", "loadings"]


def capabilities(fit: Result, *, tree: Any = None, capability: str = "general", limit: int = 60) -> Any:
    """The capability of each model with its 90 % interval; the most able model is on top.

    Args:
        fit: a result of `csvjax.fit` with at least one capability.
        tree: labelled draws of the fit (`Result.posterior`), if they are already known.
        capability: "general", or "contrast 1" and so on.
        limit: largest number of models that are shown.

    Returns: a Plotly figure. The unit is the standard deviation of what compute and families do not explain.

    Raises: InputError for a fit without this capability.
    """
    table = capability_table(fit.posterior if tree is None else tree)
    needs(
        capability in table, f"expected a capability of the fit, found {capability!r}; it has {_capabilities_of(table)}"
    )
    table = table.sort_values(capability, ascending=False, kind="stable").head(limit)[::-1]
    traces = []
    for family, (colour, symbol) in of_family(fit.dataset.lms["family"]).items():
        rows = table[table["family"].astype(str) == family]
        if len(rows):
            trace = dots(
                rows, capability, "lm", lower=f"{capability} lower90", upper=f"{capability} upper90", along="x",
                colour=colour, symbol=symbol, name=shown(family),
            )  # fmt: skip
            traces.append(trace | {"hovertemplate": "<b>%{customdata[0]}</b>: %{x:.2f}<extra></extra>"})
    order = [shown(name) for name in table["lm"]]
    return figure(
        traces,
        axis(f"{capability} capability (standard deviations, 90 % interval)"),
        axis("", categoryorder="array", categoryarray=order),
        height=150 + 18 * len(table),
    )


def loadings(fit: Result, *, tree: Any = None) -> Any:
    """The loadings of each benchmark with their 90 % intervals, in logits for each unit of a capability.

    Args:
        fit: a result of `csvjax.fit` with at least one capability.
        tree: labelled draws of the fit (`Result.posterior`), if they are already known.

    Returns: a Plotly figure; the benchmark with the largest loading on the general capability is on top.

    Raises: InputError for a fit without capabilities.
    """
    table = loading_table(fit.posterior if tree is None else tree)
    found = [name for name in table.columns if f"{name} lower90" in table]
    needs(len(found) > 0, "expected a fit with capabilities, found one without; fit with capabilities of 1 or more")
    table = table.sort_values(found[0], kind="stable")
    traces = []
    for k, name in enumerate(found):
        trace = dots(
            table, name, "benchmark", lower=f"{name} lower90", upper=f"{name} upper90", along="x",
            colour=PALETTE[k % len(PALETTE)], symbol=SYMBOLS[k % len(SYMBOLS)], name=name,
        )  # fmt: skip
        traces.append(trace | {"hovertemplate": f"<b>%{{y}}</b><br>{name} %{{x:.2f}}<extra></extra>"})
    return figure(
        traces,
        axis("loading (logits per unit of capability, 90 % interval)"),
        axis("", categoryorder="array", categoryarray=[shown(name) for name in table["benchmark"]]),
        height=150 + 22 * len(table),
    )


def _capabilities_of(table: pd.DataFrame) -> str:
    return ", ".join(name for name in table.columns if f"{name} lower90" in table) or "none"
