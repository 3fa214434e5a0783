"""Chains in which contrasts have the same signs and order."""

from __future__ import annotations

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from csvjax.infer.convergence import bulk_ess, rhat, tail_ess
from csvjax.infer.identification import align
from csvjax.infer.nuts import Nuts
from csvjax.infer.result import Fit
from csvjax.law.density import Density
from csvjax.law.model import Evidence
from csvjax.precision import float64

__all__ = ["in_one_order", "one_order"]


def in_one_order(found: Fit, method: Nuts, density: Density, evidence: Evidence) -> Fit:
    """The fit with signs and order of contrasts the same in all chains, and the diagnostics of these draws.

    Signs and order are exact symmetries of the density: chains that differ only by them agree.
    """
    x = one_order(density, evidence, found.x)
    diagnostics = found.diagnostics | {"rhat": rhat(x), "bulk_ess": bulk_ess(x), "tail_ess": tail_ess(x)}
    return found._replace(x=x, status=method.status(diagnostics), diagnostics=diagnostics)


@float64
def one_order(
    density: Density, evidence: Evidence, x: Float[np.ndarray, "chain draw n"]
) -> Float[np.ndarray, "chain draw n"]:
    """The draws, with the signs and order of contrasts nearest to their mean; the density of a draw does not change."""
    shape = x.shape[:2]
    sites = jax.vmap(lambda one: density.unflatten(one, evidence))(x.reshape(-1, x.shape[2]))
    found = {name: np.asarray(value).reshape(*shape, *value.shape[1:]) for name, value in sites.items()}
    contrast = found["contrast"] * np.exp(found["contrast_scale"])[..., None, :]
    loading = np.concatenate([np.ones_like(contrast[..., :1]), contrast], axis=-1)
    turn = align(loading, np.zeros((*shape, 0, loading.shape[-1])), "signs").turn
    order, inner = np.abs(turn), turn[..., 1:, 1:]
    turned = {
        "contrast": found["contrast"] @ inner,
        "contrast_scale": np.einsum("cdk,cdkj->cdj", found["contrast_scale"], np.abs(inner)),
    }
    if "gain" in found:
        turned["gain"] = found["gain"] @ turn
    for name in ("family_spread", "run_spread", "tau"):
        if name in found:
            turned[name] = np.einsum("cdk,cdkj->cdj", found[name], order)
    if "loss_slope" in found:
        turned["loss_slope"] = np.einsum("cdk,cdkj->cdj", found["loss_slope"], turn)
        turned["weight"] = np.einsum("cdkf,cdkj->cdjf", found["weight"], order)
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in (found | turned).items()}
    return np.asarray(jax.vmap(lambda one: ravel_pytree(one)[0])(flat)).reshape(x.shape)
