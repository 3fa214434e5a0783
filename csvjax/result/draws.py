"""A fit as labelled draws that ArviZ and xarray read without csvjax."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from csvjax.infer.identification import Aligned, align, diagnostics_table
from csvjax.law.predictive import log_scores
from csvjax.precision import float64
from csvjax.result.result import Result

__all__ = ["LawDraws", "capability_names", "convergence", "law_draws", "to_tree"]


class LawDraws(NamedTuple):
    """Draws of everything that a fit labels.

    Attributes:
        sites: the parameters of the law, each [chain, draw, ...].
        aligned: capabilities and loadings, along the same axes in every draw.
        logit: logits of the scores, in float32.
        log_likelihood: log-likelihoods of the fitted scores, in nats and float32; NaN for the other scores.
    """

    sites: dict[str, np.ndarray]
    aligned: Aligned
    logit: Float[np.ndarray, "chain draw lm benchmark"]
    log_likelihood: Float[np.ndarray, "chain draw lm benchmark"]


def capability_names(count: int) -> list[str]:
    """Names of the capabilities: the first one raises every score, and each other one contrasts benchmarks."""
    return ["general", *(f"contrast {k}" for k in range(1, count))]


@float64
def law_draws(fit: Result) -> LawDraws:
    """One draw of capabilities, logits and likelihoods for each draw of the parameters; a single mode is repeated."""
    shape = fit.x.shape[:2] if fit.x.shape[0] * fit.x.shape[1] > 1 else (1, len(fit.cells.logit))
    drawn = jax.tree.map(lambda a: a[: shape[0] * shape[1]], fit.cells)
    log_p = log_scores(fit.law.tail, fit.evidence, drawn).astype(np.float32)
    found = (drawn.capability, drawn.logit, log_p, drawn.sites)
    capability, logit, log_p, sites = jax.tree.map(lambda a: a.reshape(*shape, *a.shape[1:]), found)
    return LawDraws(sites, align(sites["loading"], capability), logit, log_p)


def convergence(fit: Result, draws: LawDraws) -> pd.DataFrame:
    """R-hat and effective sample sizes (`csvjax.infer.identification.diagnostics_table`); empty for one chain."""
    if len(fit.x) < 2:
        return pd.DataFrame(columns=["quantity", "count", "rhat", "bulk_ess", "tail_ess"])
    return diagnostics_table(draws.aligned, draws.logit, parameters=fit.x)


def to_tree(fit: Result, draws: LawDraws) -> xr.DataTree:
    """The fit in the groups that ArviZ expects, with names for coordinates.

    posterior:
        theta [lm, capability], loading [benchmark, capability] and gain [covariate, capability], aligned by
        `csvjax.infer.identification.align`; family_spread and run_spread [capability], along the same axes;
        intercept, spread, floor, ceiling and n_items [benchmark]; family_habit and run_habit.
        With losses also own_slope, own_loss_unit and own_tau [benchmark] and own_weight [benchmark, feature]; with
        one or two capabilities loss_slope (per unit), loss_unit (nats per byte), tau [capability] and weight
        [capability, feature].
    log_likelihood: score [cell] for the fitted scores, in nats: the log density of a fraction (of 0 and 1 the log
        probability) or of a standardised score.
    observed_data: score [cell].
    constant_data: seen [lm, benchmark].
    sample_stats: lp [chain, draw] and the statistics of the sampler.

    A cell has the coordinates cell_lm and cell_benchmark, a model lm_family, a benchmark benchmark_unit.
    """
    chains, count = draws.aligned.capability.shape[:2]
    assert fit.dataset.scores is not None
    lms, benchmarks = fit.dataset.lms, fit.benchmarks
    seen = np.asarray(fit.evidence.seen)
    at = np.nonzero(seen)
    name = np.array(list(lms.index), object)
    benchmark = np.array(benchmarks, object)
    each: dict[str, Any] = {"chain": np.arange(chains), "draw": np.arange(count)}
    cell = {
        "cell": np.arange(len(at[0])),
        "cell_lm": ("cell", name[at[0]]),
        "cell_benchmark": ("cell", benchmark[at[1]]),
    }
    coords = {
        "lm": name,
        "lm_family": ("lm", lms["family"].to_numpy(object)),
        "family": np.array(fit.families, object),
        "benchmark": benchmark,
        "benchmark_unit": ("benchmark", np.array([scale.word for scale in fit.dataset.scores.scales], object)),
        "capability": np.array(capability_names(fit.law.capabilities), object),
    }
    if fit.known.columns.names:
        coords["covariate"] = np.array(fit.known.columns.names, object)
    facts = {"method": fit.method, "status": str(fit.status), "inference_library": "csvjax"}
    groups = {
        "posterior": xr.Dataset(_posterior(draws), {**each, **coords}, facts),
        "log_likelihood": xr.Dataset(
            {"score": (("chain", "draw", "cell"), draws.log_likelihood[..., seen])}, each | cell
        ),
        "sample_stats": xr.Dataset(_sample_stats(fit, chains, count), each),
        "observed_data": xr.Dataset({"score": ("cell", fit.dataset.scores.score[seen])}, cell),
        "constant_data": xr.Dataset({"seen": (("lm", "benchmark"), seen)}, {"lm": name, "benchmark": benchmark}),
    }
    return xr.DataTree.from_dict({group: found for group, found in groups.items() if found.data_vars})


def _posterior(draws: LawDraws) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    sites, turn = draws.sites, draws.aligned.turn
    capabilities = turn.shape[-1]
    dims: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {
        name: (sites[name], ("benchmark",)) for name in ("intercept", "spread", "floor", "ceiling", "n_items")
    }
    if capabilities:
        dims["theta"] = draws.aligned.capability.astype(np.float32), ("lm", "capability")
        dims["loading"] = draws.aligned.loading, ("benchmark", "capability")
    if "gain" in sites:
        dims["gain"] = (sites["gain"] @ turn, ("covariate", "capability"))
    for name in ("family", "run"):
        if f"{name}_spread" in sites:
            # The effects have covariance diag(s^2); this is their standard deviation along each aligned axis.
            variance = np.einsum("cdk,cdkj->cdj", sites[f"{name}_spread"] ** 2, turn**2)
            dims[f"{name}_spread"] = np.sqrt(variance), ("capability",)
        if f"{name}_habit" in sites:
            dims[f"{name}_habit"] = sites[f"{name}_habit"], ()
    if "loss_slope" in sites and capabilities <= 2:
        sign = np.einsum("cdkk->cdk", turn)
        dims["loss_slope"] = (sites["loss_slope"] * sign, ("capability",))
        dims["loss_unit"] = (sites["loss_unit"], ("capability",))
        dims["weight"] = (sites["weight"], ("capability", "feature"))
        if "tau" in sites:
            dims["tau"] = sites["tau"], ("capability",)
    own: dict[str, tuple[str, ...]] = {"own_slope": (), "own_loss_unit": (), "own_tau": (), "own_weight": ("feature",)}
    dims |= {name: (sites[name], ("benchmark", *its)) for name, its in own.items() if name in sites}
    if "own_gain" in sites:
        dims["own_gain"] = sites["own_gain"], ("covariate", "benchmark")
    return {name: (("chain", "draw", *its), value) for name, (value, its) in dims.items()}


def _sample_stats(fit: Result, chains: int, count: int) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Statistics of the sampler for every draw, under the names that ArviZ uses."""
    found = {"diverging": "diverging", "steps": "n_steps"}
    kept = {new: fit.diagnostics[old] for old, new in found.items() if old in fit.diagnostics}
    if "diverging" in fit.diagnostics:
        kept["lp"] = -fit.diagnostics["potential"]
    return {name: (("chain", "draw"), value) for name, value in kept.items() if value.shape == (chains, count)}
