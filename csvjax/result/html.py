"""HTML of fits and predictions for notebooks: a title and a table, with escaped names."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from csvjax.data.scales import labelled, written

if TYPE_CHECKING:
    from csvjax.result.result import Result

__all__ = ["prediction_html", "result_html"]

_ROWS = 20
_METHODS = {"laplace": "Laplace", "nuts": "NUTS", "map": "MAP (the mode only)", "svi": "SVI"}


def result_html(fit: Result) -> str:
    """The status of a fit, its law and data, and what was assumed. This needs no new draws."""
    seen = np.asarray(fit.evidence.seen)
    law, fitted = fit.law, f"{int(seen.sum())} scores of {int(seen.any(axis=1).sum())} models"
    rows = {
        "status": str(fit.status),
        "method": _METHODS.get(fit.method, fit.method),
        "fitted": f"{fitted} on {len(fit.benchmarks)} benchmarks",
        "capabilities": str(law.capabilities) if law.capabilities else "none shared: each benchmark has its own",
        "covariates": ", ".join(fit.known.columns.names) or "none",
        "effects": ", ".join(law.effects) or "none",
        "losses": "none" if fit.dataset.losses is None else f"{len(fit.dataset.losses.units)} units of text",
        "assumed": "; ".join(fit.assumed) or "nothing",
    }
    if fit.outliers:
        rows["left out"] = ", ".join(fit.outliers)
    body = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items())
    mark = "" if fit.status.ok else " (do not trust it)"
    return f"<div><strong>csvjax fit{mark}</strong><table>{body}</table></div>"


def prediction_html(table: pd.DataFrame) -> str:
    """The first rows of predictions, with their 90 % intervals."""
    interval = [f"{written(low)} to {written(high)}" for low, high in table[["lower90", "upper90"]].to_numpy(float)]
    shown = pd.DataFrame(
        {
            "model": table["lm"].astype(str),
            "benchmark": [
                labelled(str(name), word) for name, word in zip(table["benchmark"], table["unit"], strict=True)
            ],
            "predicted": table["mean"].map(written),
            "90 % interval": interval,
            "observed": table["observed"].map(lambda v: "" if np.isnan(v) else written(v)),
        }
    )
    more = f"<p>{len(shown) - _ROWS} more rows in <code>.table()</code></p>" if len(shown) > _ROWS else ""
    count = f"{len(shown)} predicted score{'' if len(shown) == 1 else 's'}"
    return f"<div><strong>csvjax prediction: {count}</strong>{shown.head(_ROWS).to_html(index=False)}{more}</div>"
