"""What a fit of the joint law has to show: a verdict first, then who is how able, and what each benchmark asks for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binomtest

from csvjax.infer.result import Status

__all__ = ["capability_table", "loading_table", "verdict"]

_RHAT = 1.01
_LEVEL = 0.9


def verdict(status: Status, convergence: pd.DataFrame, held: pd.DataFrame) -> str:
    """One sentence: whether to trust the fit, and whether its intervals held what they promise.

    held: held-out scores with observed, lower90 and upper90.
    """
    worst = convergence.loc[convergence["quantity"] != "parameters", "rhat"].max() if len(convergence) else np.nan
    if not status.ok:
        first = f"do not trust this fit: {status}"
    elif worst > _RHAT:
        first = (
            f"do not trust this fit: its chains do not agree on what is shown (largest r-hat {worst:.3f}, which should "
            f"be at most {_RHAT})"
        )
    else:
        first = str(status)
    return f"{first}. {_promise(held)}"


def _promise(held: pd.DataFrame) -> str:
    known = held[held["observed"].notna()] if len(held) else held
    if not len(known):
        return "No held-out score is known, so that nothing says whether the intervals keep their promise."
    inside = int(((known["observed"] >= known["lower90"]) & (known["observed"] <= known["upper90"])).sum())
    found = f"{inside} of {len(known)} held-out scores ({inside / len(known):.0%}) lie in their 90 % intervals"
    likely = binomtest(inside, len(known)).proportion_ci(0.95)
    if likely.high < _LEVEL:
        return f"{found}: the intervals are too narrow."
    if likely.low > _LEVEL:
        return f"{found}: the intervals are wider than they need be."
    return f"{found}, as they should."


def capability_table(tree: xr.DataTree) -> pd.DataFrame:
    """A row for each model: lm, family and, of each capability, mean, lower90 and upper90; the most able first.

    The unit of a capability is the standard deviation of what compute and family leave open.
    """
    draws = tree["posterior"].to_dataset()["theta"].stack(sample=("chain", "draw"))
    frame = pd.DataFrame({"lm": draws["lm"].values, "family": draws["lm_family"].values})
    for name in map(str, draws["capability"].values):
        own = draws.sel(capability=name).transpose("sample", "lm").values
        frame[name] = own.mean(axis=0)
        frame[f"{name} lower90"], frame[f"{name} upper90"] = np.quantile(own, [0.05, 0.95], axis=0)
    return frame.sort_values("general", ascending=False, kind="stable").reset_index(drop=True)


def loading_table(tree: xr.DataTree) -> pd.DataFrame:
    """A row for each benchmark: loadings in logits per unit of capability (mean, lower90, upper90), and the means of
    intercept and residual spread (logits), floor, ceiling and number of items.
    """
    posterior = tree["posterior"].to_dataset()
    draws = posterior["loading"].stack(sample=("chain", "draw"))
    frame = pd.DataFrame({"benchmark": draws["benchmark"].values})
    for name in map(str, draws["capability"].values):
        own = draws.sel(capability=name).transpose("sample", "benchmark").values
        frame[name] = own.mean(axis=0)
        frame[f"{name} lower90"], frame[f"{name} upper90"] = np.quantile(own, [0.05, 0.95], axis=0)
    for name in ("intercept", "spread", "floor", "ceiling", "n_items"):
        frame[name] = posterior[name].mean(("chain", "draw")).values
    return frame
