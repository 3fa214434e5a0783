"""How the salience of each benchmark is spread over the domains of the text, beside the share of bytes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from csvjax.report.colours import Scale, scale_of
from csvjax.report.words import percent

__all__ = ["DomainTable", "domain_table"]


@dataclass(frozen=True)
class DomainTable:
    """`bytes`: share of each domain; `rows`: (benchmark, ((share of salience, style class) of each domain))."""

    scale: Scale
    domains: tuple[str, ...]
    bytes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def domain_table(salience: pd.DataFrame) -> DomainTable:
    """Sums over the units of a domain, for each benchmark as shares of one; colours by salience over bytes."""
    sums = salience.groupby(["benchmark", "domain"], sort=False)[["share", "base_weight"]].sum()
    share = (sums / sums.groupby("benchmark", sort=False).transform("sum")).unstack("domain", fill_value=0.0)
    base, weight = share["base_weight"], share["share"]
    ratio = (weight / base.where(base > 0)).fillna(1.0)
    scale = scale_of(ratio.to_numpy().ravel())
    shown = [
        tuple(zip(map(percent, shares), scale.classes(ratios), strict=True))
        for shares, ratios in zip(weight.to_numpy(), ratio.to_numpy(), strict=True)
    ]
    rows = tuple(zip((str(b) for b in weight.index), shown, strict=True))
    return DomainTable(
        scale, tuple(str(d) for d in weight.columns), tuple(percent(v) for v in base.to_numpy().mean(axis=0)), rows
    )
