"""Computes metrics of held-out predictions: one row for each split, law and benchmark."""

from __future__ import annotations

import pandas as pd

from csvjax.data.scales import FRACTION
from csvjax.errors import InputError
from csvjax.evaluate import metrics

__all__ = ["METRICS", "POOLED", "of_one_unit", "score_table"]

POOLED = "all"
LEVELS = (50, 80, 90)
METRICS = ("n", "r2", "mae", "rmse", "crps", *(f"coverage{level}" for level in LEVELS), "width90")
KEY = ["split", "law", "benchmark"]
NUMBERS = ["observed", "mean", "median", "crps", *(f"{side}{level}" for level in LEVELS for side in ("lower", "upper"))]


def _check(predictions: pd.DataFrame) -> None:
    missing = [c for c in [*KEY, "lm", *NUMBERS] if c not in predictions.columns]
    if missing:
        found = ", ".join(str(c) for c in predictions.columns)
        raise InputError(
            f"expected a table of predictions with the columns {', '.join(missing)}, found {found}; add them"
        )
    if (predictions["benchmark"] == POOLED).any():
        raise InputError(
            f"a benchmark has the name {POOLED!r}, which is used for the mean of all benchmarks; rename it"
        )
    repeated = predictions[predictions.duplicated([*KEY, "lm"])]
    if len(repeated):
        where = ", ".join(str(v) for v in repeated[[*KEY, "lm"]].iloc[0])
        raise InputError(
            f"expected one prediction for each split, law, benchmark and model, found two for ({where}); remove one"
        )
    gaps = predictions[predictions["observed"].notna() & predictions[NUMBERS].isna().any(axis=1)]
    if len(gaps):
        where = ", ".join(str(v) for v in gaps[[*KEY, "lm"]].iloc[0])
        raise InputError(
            f"expected complete predictions of observed scores, found {len(gaps)} with gaps, the first at ({where}); "
            f"predict them again"
        )


def _row(cells: pd.DataFrame) -> dict[str, int | float]:
    y = cells["observed"]
    row: dict[str, int | float] = {
        "n": int(y.notna().sum()),
        "r2": metrics.r2(y, cells["mean"]),
        "mae": metrics.mae(y, cells["median"]),
        "rmse": metrics.rmse(y, cells["mean"]),
        "crps": float(cells["crps"][y.notna()].mean()),
    }
    for level in LEVELS:
        row[f"coverage{level}"] = metrics.coverage(y, cells[f"lower{level}"], cells[f"upper{level}"])
    return row | {"width90": metrics.width(y, cells["lower90"], cells["upper90"])}


def of_one_unit(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells whose scores are fractions, or all cells if they have the same unit."""
    if "unit" not in cells or cells["unit"].nunique() == 1:
        return cells
    return cells[cells["unit"] == FRACTION.word]


def score_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Columns `split, law, benchmark, n, r2, mae, rmse, crps, coverage50, coverage80, coverage90, width90`.

    There is one row for each split, law and benchmark, over the cells of all folds. R2 and RMSE are those of the
    predicted mean, MAE that of the median, which are the best point predictions for these metrics (Gneiting 2011, J.
    Am. Stat. Assoc. 106). A further row with the benchmark "all" has the means over benchmarks of R2 (if held-out
    scores differ), MAE, RMSE and CRPS; coverage and width of all cells together; and the total n. If some scores are
    no fractions (column `unit`), these means and the width are those of the fractions only, because points and Elo have
    no common mean.

    Args:
        predictions: rows of `csvjax.prediction.summary` with the columns split and law.

    Raises: InputError for missing columns, repeated or incomplete predictions, and a benchmark called "all".
    """
    _check(predictions)
    rows: list[dict[str, object]] = []
    for (split, law), cells in predictions.groupby(KEY[:2], sort=False, observed=True):
        found = {b: _row(c) for b, c in cells.groupby("benchmark", sort=False, observed=True)}
        alike = of_one_unit(cells)
        rows_alike = [found[b] for b in alike["benchmark"].unique()]
        # mean() skips an undefined R2
        means = pd.DataFrame(rows_alike, columns=METRICS)[["r2", "mae", "rmse", "crps"]].mean()
        found[POOLED] = _row(cells) | {str(name): float(value) for name, value in means.items()}
        found[POOLED]["width90"] = metrics.width(alike["observed"], alike["lower90"], alike["upper90"])
        rows += [{"split": split, "law": law, "benchmark": b, **row} for b, row in found.items()]
    return pd.DataFrame(rows, columns=[*KEY, *METRICS])
