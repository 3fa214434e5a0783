"""Tables and sentences about a fit: the verdict, the capabilities of models, the loadings of benchmarks."""

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
    "chain_notes",
    "concentrated",
    "coverage_interval",
    "loading_table",
    "promise",
    "salience_table",
    "verdict",
]

_RHAT, _PREDICTED_RHAT = 1.01, 1.02  # of capabilities and loadings; of predicted scores, as in `guard`
_LEVEL, _ENOUGH = 0.9, 0.75  # nominal coverage; coverage this low must be ruled out before intervals are called right
_PROBABILITY, _NAMED = 0.95, 0.1
_SHARES, _CORRELATIONS, _SIMULATED = 500, 40, 2000


def verdict(status: Status, convergence: pd.DataFrame, held: pd.DataFrame) -> str:
    """Whether to trust the fit, and whether its intervals contain as many held-out scores as they should.

    Args:
        status: how the fit ended.
        convergence: the table of `csvjax.result.draws.convergence`.
        held: held-out scores with lm, benchmark, observed, lower90 and upper90.

    Returns: a few sentences.
    """
    trust = "" if status.ok else "do not trust this fit: "
    return " ".join([f"{trust}{status}.", *chain_notes(convergence), promise(held)])


def chain_notes(convergence: pd.DataFrame) -> list[str]:
    """Sentences about what the chains do not agree on, predicted scores or capabilities and loadings; often none.

    Parameters are left out: contrasts may have another sign in each chain, and capabilities and loadings are aligned.
    """
    if not len(convergence):
        return []
    rhat = convergence.set_index("quantity")["rhat"]
    predicted, rest = rhat.get("logit", np.nan), rhat.drop(["parameters", "logit"], errors="ignore").max()
    longer = "run longer chains (--draws, --warmup)"
    found = []
    if predicted > _PREDICTED_RHAT:
        found.append(
            f"Do not trust the predictions: the chains do not agree on them (largest r-hat {predicted:.3f}, which "
            f"should be at most {_PREDICTED_RHAT}); {longer}."
        )
    if rest > _RHAT:
        found.append(
            f"Read capabilities and loadings with care: the chains do not agree well on them (largest r-hat "
            f"{rest:.3f}, which should be at most {_RHAT}); for exact values {longer}."
        )
    return found


def promise(held: pd.DataFrame) -> str:
    """Whether 90 % of the held-out scores lie in their 90 % intervals, in one or two sentences.

    Scores of one benchmark, or of one model, tend to miss together. So the share is judged with both kinds of clusters,
    and the wider interval counts.
    """
    known = held[held["observed"].notna()] if len(held) else held
    if not len(known):
        return "No held-out score is known, so it is unknown whether the intervals are right."
    inside = (known["observed"] >= known["lower90"]) & (known["observed"] <= known["upper90"])
    found = f"{inside.sum()} of {len(known)} held-out scores ({inside.mean():.0%}) lie in their 90 % intervals"
    low, high = max((coverage_interval(inside, known[by]) for by in ("benchmark", "lm")), key=lambda i: i[1] - i[0])
    plain = binomtest(int(inside.sum()), len(inside)).proportion_ci(_PROBABILITY)  # as if all scores were independent
    where = concentrated(~inside, known["benchmark"])
    if high < _LEVEL:
        said = f"{found}: the intervals are too narrow."
    elif low > _LEVEL:
        said = f"{found}: the intervals are wider than necessary."
    elif low >= _ENOUGH and plain.low <= _LEVEL <= plain.high:
        said = f"{found}, as they should{' on average' if where else ''} (in the long run {low:.0%} to {high:.0%})."
    else:
        said = (
            f"{found}. These are too few independent scores to say whether the intervals are right: in the long run, "
            f"{low:.0%} to {high:.0%} may lie inside."
        )
    if not where:
        return said
    listed = ", ".join(f"{name} ({out} of {count} outside)" for name, out, count in where)
    return f"{said} The intervals are too narrow for these benchmarks: {listed}."


def coverage_interval(inside: pd.Series, cluster: pd.Series) -> tuple[float, float]:
    """95 % interval of the share of scores inside their intervals; scores of one cluster may depend on each other.

        inside of cluster g ~ BetaBinomial(n[g], share, correlation),   correlation ~ Beta(1, 2)

    The upper limit has the prior 1 / (1 - share) and the lower one 1 / share: with one score in each cluster they are
    the exact limits of Clopper and Pearson 1934 (Biometrika 26, 404).

    Args:
        inside: whether each score lies inside its interval [score].
        cluster: the cluster of each score [score].
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
    """Benchmarks that have more misses than chance explains: (name, misses, scores), the clearest first; often none.

    The statistic sum over b of (m[b] - n[b] m / n)^2 / n[b] is compared with its distribution if the misses fell on the
    scores at random (multivariate hypergeometric, by simulation). If so large a value has a probability below 5 %, the
    benchmarks are named whose number of misses has a probability below 10 %.

    Args:
        missed: whether each score lies outside its interval [score].
        benchmark: the benchmark of each score [score].
    """
    counts = missed.groupby(benchmark.to_numpy()).agg(["sum", "size"])
    m, n = counts["sum"].to_numpy(int), counts["size"].to_numpy(int)
    if len(n) < 2 or not 0 < m.sum() < n.sum():
        return []
    # The seed is fixed, so that the same table always gets the same verdict.
    drawn = np.random.default_rng(0).multivariate_hypergeometric(n, m.sum(), _SIMULATED, method="marginals")
    expected = n * m.sum() / n.sum()
    found, by_chance = (np.sum((x - expected) ** 2 / n, axis=-1) for x in (m, drawn))
    if (1 + np.sum(by_chance >= found - 1e-9)) / (1 + _SIMULATED) >= 1 - _PROBABILITY:
        return []
    tail = hypergeom.sf(m - 1, n.sum(), m.sum(), n)
    named = np.argsort(tail, kind="stable")[: max(1, int(np.sum(tail < _NAMED)))]
    return [(str(counts.index[b]), int(m[b]), int(n[b])) for b in named]


def capability_table(tree: xr.DataTree) -> pd.DataFrame:
    """A row for each model with lm, family and the mean, lower90 and upper90 of each capability; the most able first.

    The unit of a capability is the standard deviation of what compute and family do not explain. The table is empty if
    benchmarks share no capability.
    """
    posterior = tree["posterior"].to_dataset()
    if "theta" not in posterior:
        return pd.DataFrame(columns=["lm", "family"])
    draws = posterior["theta"].stack(sample=("chain", "draw"))
    frame = pd.DataFrame({"lm": draws["lm"].values, "family": draws["lm_family"].values})
    frame = _with_intervals(frame, draws, "lm")
    return frame.sort_values("general", ascending=False, kind="stable").reset_index(drop=True)


def loading_table(tree: xr.DataTree) -> pd.DataFrame:
    """A row for each benchmark with its loadings and the means of its other parameters.

    Loadings have mean, lower90 and upper90, in logits per unit of capability. Intercept and residual spread are in
    logits. Benchmarks without floor and ceiling have a column `unit`, and standard deviations in place of logits.
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


def salience_table(salience: pd.DataFrame, limit: int = 5) -> pd.DataFrame:
    """For each benchmark the `limit` units of text with the largest salience: rows of `Result.salience`."""
    ranked = salience.sort_values("mean", ascending=False, kind="stable")
    first = ranked.groupby("benchmark", sort=False).head(limit)
    order = {name: i for i, name in enumerate(dict.fromkeys(salience["benchmark"]))}
    return first.sort_values("benchmark", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)
