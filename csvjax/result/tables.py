"""What a fit has to show: a verdict first, then who is how able, and what each benchmark asks for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import betaln
from scipy.stats import binomtest, hypergeom

from csvjax.data.scales import FRACTION
from csvjax.infer.result import Status

__all__ = [
    "capability_table",
    "concentrated",
    "coverage_interval",
    "loading_table",
    "promise",
    "salience_table",
    "verdict",
]

_RHAT = 1.01
_LEVEL, _ENOUGH = 0.9, 0.75  # promised coverage; what must be excluded before intervals are said to keep the promise
_PROBABILITY, _NAMED = 0.95, 0.1
_SHARES, _CORRELATIONS, _SIMULATED = 500, 40, 2000


def verdict(status: Status, convergence: pd.DataFrame, held: pd.DataFrame) -> str:
    """One sentence: whether to trust the fit, and whether its intervals held what they promise.

    held: held-out scores with lm, benchmark, observed, lower90 and upper90. Scores of one benchmark, or of one model,
    miss together, so the share inside is judged by the clusters that leave it less certain.
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
    return f"{first}. {promise(held)}"


def promise(held: pd.DataFrame) -> str:
    """Whether the 90 % intervals of held-out scores hold what they promise, in one or two sentences."""
    known = held[held["observed"].notna()] if len(held) else held
    if not len(known):
        return "No held-out score is known, so that nothing says whether the intervals keep their promise."
    inside = (known["observed"] >= known["lower90"]) & (known["observed"] <= known["upper90"])
    found = f"{inside.sum()} of {len(known)} held-out scores ({inside.mean():.0%}) lie in their 90 % intervals"
    low, high = max((coverage_interval(inside, known[by]) for by in ("benchmark", "lm")), key=lambda i: i[1] - i[0])
    plain = binomtest(int(inside.sum()), len(inside)).proportion_ci(_PROBABILITY)  # as if all were independent
    where = concentrated(~inside, known["benchmark"])
    if high < _LEVEL:
        said = f"{found}: the intervals are too narrow."
    elif low > _LEVEL:
        said = f"{found}: the intervals are wider than they need be."
    elif low >= _ENOUGH and plain.low <= _LEVEL <= plain.high:
        said = f"{found}, as they should{' on average' if where else ''} (in the long run {low:.0%} to {high:.0%})."
    else:
        said = (
            f"{found}. These are too few independent scores to say whether the intervals keep their promise: in the "
            f"long run {low:.0%} to {high:.0%} may lie inside."
        )
    if not where:
        return said
    listed = ", ".join(f"{name} ({out} of {count} outside)" for name, out, count in where)
    return f"{said} The misses concentrate in few benchmarks, whose intervals are too narrow: {listed}."


def coverage_interval(inside: pd.Series, cluster: pd.Series) -> tuple[float, float]:
    """95 % interval of the share of scores that lie inside, where scores of one cluster may depend on each other.

        inside of cluster g ~ BetaBinomial(n[g], share, correlation),   correlation ~ Beta(1, 2)

    The upper limit has the prior 1 / (1 - share) and the lower one 1 / share: with one score in each cluster they are
    the exact limits of Clopper and Pearson 1934 (Biometrika 26, 404). inside, cluster [score].
    """
    counts = inside.groupby(cluster.to_numpy()).agg(["sum", "size"])
    alike, times = np.unique(counts.to_numpy(float), axis=0, return_counts=True)
    k, n = alike.T[:, :, None, None]
    share = ((np.arange(_SHARES) + 0.5) / _SHARES)[:, None]
    correlation = (np.arange(_CORRELATIONS) + 0.5) / _CORRELATIONS
    a, b = share * (1 / correlation - 1), (1 - share) * (1 / correlation - 1)
    log_density = np.tensordot(times, betaln(a + k, b + n - k) - betaln(a, b), 1)  # [share, correlation]
    density = np.exp(log_density - log_density.max()) @ (1 - correlation)
    share = share[:, 0]
    upper, lower = np.cumsum(density / (1 - share)), np.cumsum(density / share)
    outside = (1 - _PROBABILITY) / 2
    high = 1.0 if inside.all() else share[np.searchsorted(upper, (1 - outside) * upper[-1])]
    low = 0.0 if not inside.any() else share[np.searchsorted(lower, outside * lower[-1])]
    return float(low), float(high)


def concentrated(missed: pd.Series, benchmark: pd.Series) -> list[tuple[str, int, int]]:
    """Benchmarks in which the misses concentrate: (name, misses, scores), the most telling first; often none.

    The scatter of the shares missed, sum over b of (m[b] - n[b] m / n)^2 / n[b], is held against misses that fall on
    the scores at random (a multivariate hypergeometric distribution, by simulation). Where that has a probability below
    5 %, benchmarks are named that have so many misses by chance with less than 10 %. missed, benchmark [score].
    """
    counts = missed.groupby(benchmark.to_numpy()).agg(["sum", "size"])
    m, n = counts["sum"].to_numpy(int), counts["size"].to_numpy(int)
    if len(n) < 2 or not 0 < m.sum() < n.sum():
        return []
    # A fixed seed: the same table gets the same verdict each time.
    drawn = np.random.default_rng(0).multivariate_hypergeometric(n, m.sum(), _SIMULATED, method="marginals")
    expected = n * m.sum() / n.sum()
    found, by_chance = (np.sum((x - expected) ** 2 / n, axis=-1) for x in (m, drawn))
    if (1 + np.sum(by_chance >= found - 1e-9)) / (1 + _SIMULATED) >= 1 - _PROBABILITY:
        return []
    tail = hypergeom.sf(m - 1, n.sum(), m.sum(), n)
    named = np.argsort(tail, kind="stable")[: max(1, int(np.sum(tail < _NAMED)))]
    return [(str(counts.index[b]), int(m[b]), int(n[b])) for b in named]


def capability_table(tree: xr.DataTree) -> pd.DataFrame:
    """A row for each model: lm, family and, of each capability, mean, lower90 and upper90; the most able first.

    The unit of a capability is the standard deviation of what compute and family leave open. No rows where benchmarks
    share no capability.
    """
    posterior = tree["posterior"].to_dataset()
    if "theta" not in posterior:
        return pd.DataFrame(columns=["lm", "family"])
    draws = posterior["theta"].stack(sample=("chain", "draw"))
    frame = pd.DataFrame({"lm": draws["lm"].values, "family": draws["lm_family"].values})
    frame = _with_intervals(frame, draws, "lm")
    return frame.sort_values("general", ascending=False, kind="stable").reset_index(drop=True)


def loading_table(tree: xr.DataTree) -> pd.DataFrame:
    """A row for each benchmark: loadings in logits per unit of capability (mean, lower90, upper90), and the means of
    intercept and residual spread (logits), floor, ceiling and number of items. Scores without bounds have a unit, and
    standard deviations in place of logits.
    """
    posterior = tree["posterior"].to_dataset()
    frame = pd.DataFrame({"benchmark": posterior["benchmark"].values})
    bounded = posterior["benchmark_unit"].values == FRACTION.word
    if not bounded.all():
        frame["unit"] = posterior["benchmark_unit"].values
    if "loading" in posterior:
        frame = _with_intervals(frame, posterior["loading"].stack(sample=("chain", "draw")), "benchmark")
    for name in ("intercept", "spread", "floor", "ceiling", "n_items"):
        frame[name] = posterior[name].mean(("chain", "draw")).values
    frame.loc[~bounded, ["floor", "ceiling", "n_items"]] = np.nan
    return frame


def _with_intervals(frame: pd.DataFrame, draws: xr.DataArray, row: str) -> pd.DataFrame:
    for name in map(str, draws["capability"].values):
        own = draws.sel(capability=name).transpose("sample", row).values
        frame[name] = own.mean(axis=0)
        frame[f"{name} lower90"], frame[f"{name} upper90"] = np.quantile(own, [0.05, 0.95], axis=0)
    return frame


def salience_table(salience: pd.DataFrame, most: int = 5) -> pd.DataFrame:
    """The units of text with the largest salience of each benchmark: rows of `Result.salience`, the largest first.

    A unit is as large as the logits that a benchmark loses when the loss on it rises by a nat.
    """
    ranked = salience.sort_values("mean", ascending=False, kind="stable")
    first = ranked.groupby("benchmark", sort=False).head(most)
    order = {name: i for i, name in enumerate(dict.fromkeys(salience["benchmark"]))}
    return first.sort_values("benchmark", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)
