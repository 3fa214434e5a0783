"""Figures of prior and posterior for the parameters that all models share."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import xarray as xr
from numpyro import handlers

from csvjax.errors import installed
from csvjax.plot.style import ACCENT, FAINT, axis, figure, needs, numbers, shown
from csvjax.precision import float64
from csvjax.result.result import Result

__all__ = ["prior_posterior", "prior_tree"]

_TITLES = {
    "gain": "gain of {} (standard deviations)",
    "loss_slope": "slope on the salient loss",
    "tau": "strength of the salience, tau",
    "family_spread": "spread of families",
    "run_spread": "spread of runs",
    "family_habit": "habits of families on single benchmarks",
    "run_habit": "habits of runs on single benchmarks",
}
_DRAWS = 1000


@float64
def _prior_draws(fit: Result, seed: int) -> dict[str, np.ndarray]:
    """Draws of the parameters from the prior, and of quantities that the law computes from them."""
    model = fit.density.prior or fit.density.model

    def one(key: jax.Array) -> dict[str, jax.Array]:
        trace = handlers.trace(handlers.seed(model, key)).get_trace(fit.evidence)
        kinds = ("sample", "deterministic")
        return {name: site["value"] for name, site in trace.items() if site["type"] in kinds and name in _TITLES}

    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(seed), _DRAWS))
    return {name: np.asarray(value) for name, value in found.items()}


def prior_tree(fit: Result, tree: Any = None, seed: int = 0) -> xr.DataTree:
    """Draws of the parameters that all models share, of the first capability, in groups prior and posterior."""
    posterior = (fit.posterior if tree is None else tree)["posterior"].to_dataset()
    drawn = _prior_draws(fit, seed)
    groups: dict[str, dict[str, Any]] = {"prior": {}, "posterior": {}}
    for name, prior in drawn.items():
        if name not in posterior or prior[0].size == 0:
            continue
        its = posterior[name].isel(capability=0) if "capability" in posterior[name].dims else posterior[name]
        first = prior[..., 0] if "capability" in posterior[name].dims else prior
        others = [dim for dim in its.dims if dim not in ("chain", "draw")]
        for i, label in enumerate(posterior["covariate"].values if others == ["covariate"] else [""]):
            title = _TITLES[name].format(label)
            groups["prior"][title] = (("chain", "draw"), (first[:, i] if others else first).reshape(1, -1))
            groups["posterior"][title] = (("chain", "draw"), (its.isel({others[0]: i}) if others else its).values)
    return xr.DataTree.from_dict({group: xr.Dataset(found) for group, found in groups.items()})


def prior_posterior(fit: Result, *, tree: Any = None, seed: int = 0) -> Any:
    """Prior and posterior densities of the parameters that all models share (gains, slopes, spreads), drawn by ArviZ.

    Args:
        fit: a result of `csvjax.fit`.
        tree: labelled draws of the fit (`Result.posterior`), if they are already known.
        seed: seed of the draws from the prior.

    Returns: a Plotly figure with a panel for each parameter. If the two are equal, the scores say nothing about it.

    Raises: InputError if arviz-plots is not installed, and for a fit without such parameters.
    """
    both = prior_tree(fit, tree, seed)
    names = list(both["posterior"].data_vars)
    needs(
        len(names) > 0,
        "expected a fit with covariates, losses or effects, found a fit without them; add some to the law",
    )
    with installed("a plot of priors", "report"):
        from arviz_plots import plot_prior_posterior
    drawn = plot_prior_posterior(both, var_names=names, backend="plotly").viz["figure"].item()
    return _stacked(drawn, [shown(name) for name in names])


def _stacked(drawn: Any, names: list[str]) -> Any:
    """The densities of ArviZ, one panel below the other, in the style of the other figures."""
    styles = {"prior": {"color": FAINT, "dash": "dash"}, "posterior": {"color": ACCENT, "dash": "solid"}}
    traces, layout = [], {}
    lines = [trace.to_plotly_json() for trace in drawn.data if len(trace.x) > 1]
    for i, found in enumerate(lines):
        group = (
            "prior" if i % 2 == 0 else "posterior"
        )  # ArviZ draws prior and posterior of a parameter, then of the next one
        at = "" if i < 2 else str(i // 2 + 1)
        traces.append(
            {
                "type": "scatter", "mode": "lines", "x": numbers(found["x"]), "y": numbers(found["y"]), "name": group,
                "xaxis": f"x{at}", "yaxis": f"y{at}", "line": {"width": 2, **styles[group]}, "showlegend": i < 2,
                "legendgroup": group, "hoverinfo": "skip",
            }
        )  # fmt: skip
    count = len(lines) // 2
    for i, name in enumerate(names[:count]):
        at = "" if i == 0 else str(i + 1)
        top = 1 - i / count
        bottom = 1 - (i + 1) / count + min(0.55 / count, 50 / (110 * count))
        layout[f"xaxis{at}"] = axis(name, anchor=f"y{at}")
        layout[f"yaxis{at}"] = {"domain": [bottom, top], "visible": False, "anchor": f"x{at}"}
    first = layout.pop("xaxis"), layout.pop("yaxis")
    return figure(traces, *first, height=80 + 110 * count, **layout)
