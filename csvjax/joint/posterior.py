"""A fit of the joint law as labelled draws that ArviZ and xarray read without csvjax."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Array, Float

from csvjax.infer.identification import Aligned, align, diagnostics_table
from csvjax.law.density import Density
from csvjax.laws.fit_joint import FittedJoint, solved
from csvjax.laws.joint_cells import draw_cells
from csvjax.laws.joint_model import JointEvidence
from csvjax.precision import float64

__all__ = ["JointDraws", "capability_names", "convergence", "joint_draws", "to_tree"]

_DRAWS = 200  # in one piece
_SITES = ("loading", "intercept", "spread", "known_floor", "ceiling", "known_items")
_OPTIONAL = ("gain", "family_spread", "habit_spread", "loss_slope", "weight")
_OF_CAPABILITY = ("loss_slope", "weight")  # salience of a capability as it was fitted, which no turn can mix


class JointDraws(NamedTuple):
    """Draws [chain, draw, ...] of parameters (`sites`), logits, capabilities and loadings (`aligned`); log_likelihood
    [chain, draw, lm, benchmark] of the scores seen, NaN elsewhere. What is as large as a table is in float32.
    """

    sites: dict[str, np.ndarray]
    aligned: Aligned
    logit: Float[np.ndarray, "chain draw lm benchmark"]
    log_likelihood: Float[np.ndarray, "chain draw lm benchmark"]


def capability_names(count: int) -> list[str]:
    """The first capability raises every score; the others set benchmarks against each other."""
    return ["general", *(f"contrast {k}" for k in range(1, count))]


@partial(jax.jit, static_argnames=("density",))
def _sites(density: Density, e: JointEvidence, x: Array) -> dict[str, Array]:
    def one(x: Array) -> dict[str, Array]:
        found = density.constrain(x, e)
        return {name: found[name] for name in (*_SITES, *_OPTIONAL) if name in found}

    return jax.lax.map(one, x)


@float64
def joint_draws(fit: FittedJoint, seed: int = 0) -> JointDraws:
    """One draw of capabilities, logits and likelihoods for each draw of the parameters; a mode's is repeated."""
    x = fit.x if fit.x.shape[0] * fit.x.shape[1] > 1 else fit.draws()[None]
    flat, parts = x.reshape(-1, x.shape[2]), []
    for start in range(0, len(flat), _DRAWS):
        piece = np.resize(flat[start : start + _DRAWS], (_DRAWS, x.shape[2]))
        key = jax.random.fold_in(jax.random.key(seed), start)
        cells = draw_cells(fit.density, fit.evidence, fit.evidence, piece, key)
        sites = jax.tree.map(np.asarray, _sites(fit.density, fit.evidence, piece))
        large = (np.asarray(part, np.float32) for part in (cells.logit, cells.log_likelihood))
        found = (np.asarray(cells.capability), *large, sites)
        parts.append(jax.tree.map(itemgetter(slice(len(flat) - start)), found))
    joined = jax.tree.map(lambda *a: np.concatenate(a), *parts)
    joined = solved(joined, joined[1])
    capability, logit, log_p, sites = jax.tree.map(lambda a: a.reshape(*x.shape[:2], *a.shape[1:]), joined)
    return JointDraws(sites, align(sites["loading"], capability), logit, log_p)


def convergence(fit: FittedJoint, draws: JointDraws) -> pd.DataFrame:
    """Whether the chains agree: see `csvjax.infer.identification.diagnostics_table`. Empty without several chains."""
    if len(fit.x) < 2:
        return pd.DataFrame(columns=["quantity", "count", "rhat", "bulk_ess", "tail_ess"])
    return diagnostics_table(draws.aligned, draws.logit, parameters=fit.x)


def to_tree(fit: FittedJoint, draws: JointDraws) -> xr.DataTree:
    """The fit in the groups that ArviZ expects, with names for coordinates.

    posterior: theta [lm, capability], loading [benchmark, capability] and gain [covariate, capability], aligned
    (`csvjax.infer.identification.align`); intercept, spread, floor, ceiling, n_items [benchmark]; family_spread, along
    the aligned axes; habit_spread; loss_slope and weight [feature] with one or two capabilities, where there are
    losses.
    log_likelihood: score [cell] of the cells seen, in nats, of a density of fractions (0 and
    1: of their probability); observed_data: score [cell].
    constant_data: seen [lm, benchmark]. sample_stats: lp [chain, draw] and what the sampler tells. A cell has the
    coordinates cell_lm and cell_benchmark, a model lm_family.
    """
    chains, count = draws.aligned.capability.shape[:2]
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
        "capability": np.array(capability_names(fit.settings.capabilities), object),
    }
    if fit.settings.covariates:
        coords["covariate"] = np.array(fit.settings.covariates, object)
    facts = {"law": "joint", "method": fit.method, "status": str(fit.status), "inference_library": "csvjax"}
    groups = {
        "posterior": xr.Dataset(_posterior(draws), {**each, **coords}, facts),
        "log_likelihood": xr.Dataset(
            {"score": (("chain", "draw", "cell"), draws.log_likelihood[..., seen])}, each | cell
        ),
        "sample_stats": xr.Dataset(_sample_stats(fit, chains, count), each),
        "observed_data": xr.Dataset({"score": ("cell", np.asarray(fit.evidence.score)[seen])}, cell),
        "constant_data": xr.Dataset({"seen": (("lm", "benchmark"), seen)}, {"lm": name, "benchmark": benchmark}),
    }
    return xr.DataTree.from_dict({group: found for group, found in groups.items() if found.data_vars})


def _posterior(draws: JointDraws) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    sites, turn = draws.sites, draws.aligned.turn
    capabilities = turn.shape[-1]
    dims = {
        "theta": (draws.aligned.capability.astype(np.float32), ("lm", "capability")),
        "loading": (draws.aligned.loading, ("benchmark", "capability")),
        "intercept": (sites["intercept"], ("benchmark",)),
        "spread": (sites["spread"], ("benchmark",)),
        "floor": (sites["known_floor"], ("benchmark",)),
        "ceiling": (sites["ceiling"], ("benchmark",)),
        "n_items": (sites["known_items"], ("benchmark",)),
    }
    if "gain" in sites:
        dims["gain"] = (sites["gain"] @ turn, ("covariate", "capability"))
    if "family_spread" in sites:
        # Effects with covariance diag(s^2), turned: the standard deviation along each axis.
        variance = np.einsum("cdk,cdkj->cdj", sites["family_spread"] ** 2, turn**2)
        dims |= {"family_spread": (np.sqrt(variance), ("capability",)), "habit_spread": (sites["habit_spread"], ())}
    if "loss_slope" in sites and capabilities <= 2:
        sign = np.einsum("cdkk->cdk", turn)
        dims["loss_slope"] = (sites["loss_slope"] * sign, ("capability",))
        dims["weight"] = (sites["weight"], ("capability", "feature"))
    return {name: (("chain", "draw", *its), value) for name, (value, its) in dims.items()}


def _sample_stats(fit: FittedJoint, chains: int, count: int) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """What the method tells of every draw, by the names that ArviZ gives it."""
    found = {"diverging": "diverging", "steps": "n_steps"}
    kept = {new: fit.diagnostics[old] for old, new in found.items() if old in fit.diagnostics}
    if "diverging" in fit.diagnostics:
        kept["lp"] = -fit.diagnostics["potential"]
    return {name: (("chain", "draw"), value) for name, value in kept.items() if value.shape == (chains, count)}
