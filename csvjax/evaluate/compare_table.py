"""Tables of a comparison: a row for each split and method, with intervals, and verdicts on pairs of methods."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from csvjax.evaluate.compare import Comparison
from csvjax.evaluate.referee import FIGURES, cluster_of, figures, verdict

__all__ = ["comparison_table", "pair_table"]

_NEARLY_ALL = 0.9


def comparison_table(found: Comparison, resamples: int = 1000) -> pd.DataFrame:
    """One row for each split and method; methods with the lowest CRPS come first.

    Returns: the columns split, method, status, reason, asked, answered, seconds, clusters, against, and each of
    `FIGURES` with its interval (`_low`, `_high`).

    `status` is "ok" if every question was answered, "partly" if some were, otherwise "failed" if the method failed on
    any, otherwise "not applicable". `reason` is the first reason, that of a failure if there is one. `against` compares
    with the best method, which has the lowest CRPS among those that predicted nearly as many scores as any: "best" for
    this method; for others "worse" or "better" if the paired interval of the CRPS excludes zero ("better" is possible,
    because only common scores count), or "not decided".
    """
    rows = []
    for (split, method), outcomes in found.outcomes.groupby(["split", "method"], sort=False):
        cells = _cells(found, split, method)
        good = (outcomes["status"] == "ok").sum()
        wrong = outcomes[outcomes["status"] != "ok"].sort_values("status", kind="stable")  # "failed" comes first
        status = "ok" if not len(wrong) else "partly" if good else wrong["status"].iloc[0]
        row: dict[str, object] = {
            "split": split,
            "method": method,
            "status": status,
            "reason": wrong["reason"].iloc[0] if len(wrong) else "",
            "asked": outcomes["asked"].sum(),
            "answered": outcomes["answered"].sum(),
            "seconds": outcomes["seconds"].sum(),
            "clusters": cells[cluster_of(cells)].nunique() if len(cells) else 0,
        }
        named = figures(cells, resamples=resamples) if len(cells) else dict.fromkeys(FIGURES, (np.nan,) * 3)
        for name, (value, low, high) in named.items():
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    table = pd.DataFrame(rows)
    parts = [_against_best(part, found, resamples) for _, part in table.groupby("split", sort=False)]
    return pd.concat(parts, ignore_index=True)


def pair_table(found: Comparison, figure: str = "crps", resamples: int = 1000) -> pd.DataFrame:
    """A verdict for each split and pair of methods with predictions: columns split, a, b and those of `Verdict`."""
    rows = []
    for split in found.outcomes["split"].unique():
        methods = found.cells.loc[found.cells["split"] == split, "method"].unique()
        for a, b in combinations(methods, 2):
            said = verdict(_cells(found, split, a), _cells(found, split, b), figure, resamples=resamples)
            rows.append({"split": split, "a": a, "b": b, **said._asdict()})
    return pd.DataFrame(rows)


def _cells(found: Comparison, split: object, method: object) -> pd.DataFrame:
    return found.cells[(found.cells["split"] == split) & (found.cells["method"] == method)]


def _against_best(rows: pd.DataFrame, found: Comparison, resamples: int) -> pd.DataFrame:
    rows = rows.sort_values("crps", kind="stable", na_position="last")
    enough = _NEARLY_ALL * rows["answered"].max()
    whole = rows[(rows["answered"] >= enough) & rows["crps"].notna()]
    if whole.empty:
        return rows.assign(against="")
    best = whole.iloc[0]["method"]
    said = {best: "best"}
    for split, method, crps in rows[["split", "method", "crps"]].itertuples(index=False):
        if method != best:
            better = (
                ""
                if np.isnan(crps)
                else verdict(_cells(found, split, method), _cells(found, split, best), resamples=resamples).better
            )
            said[method] = {"A": "better", "B": "worse"}.get(better, better)
    return rows.assign(against=rows["method"].map(said))
