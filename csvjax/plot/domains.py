"""Figures of the salience of each benchmark by domain of the text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from csvjax.plot.residual_map import COLOURBAR, DIVERGING
from csvjax.plot.style import checked, figure, shown

__all__ = ["domain_shares", "salience_by_domain"]


def domain_shares(salience: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """The share of the salience of each benchmark in each domain [benchmark, domain], and of the bytes [domain]."""
    checked(salience, ("benchmark", "domain", "share", "base_weight"), "a salience")
    sums = salience.groupby(["benchmark", "domain"], sort=False)[["share", "base_weight"]].sum()
    share = (sums / sums.groupby("benchmark", sort=False).transform("sum")).unstack("domain", fill_value=0.0)
    return pd.DataFrame(share["share"]), pd.DataFrame(share["base_weight"]).mean()


def salience_by_domain(salience: pd.DataFrame) -> Any:
    """The share of the salience in each domain, coloured by its ratio to the share of bytes.

    Args:
        salience: what `Result.salience()` returns: benchmark, domain, share, base_weight.

    Returns: a Plotly figure. Orange domains have more salience than bytes, blue ones have less.

    Raises: InputError for a table without these columns.
    """
    share, base = domain_shares(salience)
    share = share[::-1]
    ratio = (share / base.where(base > 0)).fillna(1.0).to_numpy(float)
    octaves = np.log2(np.clip(ratio, 2.0**-4, 2.0**4))
    end = max(float(np.abs(octaves).max()), 0.5)
    hover = "%{text} of its salience in %{x}<br>%{customdata} times the share of bytes"
    ticks = np.linspace(-end, end, 5)
    trace = {
        "type": "heatmap", "z": np.round(octaves, 3).tolist(),
        "x": [f"{shown(name)}, {part:.0%}" for name, part in base.items()],
        "y": [shown(name) for name in share.index],
        "text": [[f"{v:.0%}" for v in row] for row in share.to_numpy()], "texttemplate": "%{text}",
        "customdata": np.round(ratio, 2).tolist(),
        "meta": {"y": "benchmark"}, "colorscale": DIVERGING, "zmin": -end, "zmax": end, "xgap": 1, "ygap": 1,
        "colorbar": {
            **COLOURBAR, "title": {"text": "times its<br>bytes"}, "tickvals": ticks.tolist(),
            "ticktext": [_times(t) for t in ticks],
        },
        "hovertemplate": f"<b>%{{y}}</b><br>{hover}<extra></extra>",
    }  # fmt: skip
    x, y = ({"automargin": True, "ticks": "", "type": "category"} for _ in range(2))
    x |= {"tickangle": -40, "title": {"text": "domain, share of bytes"}}
    return figure([trace], x, y, height=170 + 26 * len(share))


def _times(octaves: float) -> str:
    """A ratio as text: times a number above 1, or divided by one."""
    return f"{'×' if octaves >= 0 else '÷'}{2 ** abs(octaves):.2g}"  # noqa: RUF001
