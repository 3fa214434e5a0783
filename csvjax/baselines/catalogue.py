"""All methods by their short names."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from csvjax.baselines.compute import compute_law
from csvjax.baselines.compute_components import compute_components
from csvjax.baselines.family import family_mean, last_of_family
from csvjax.baselines.item_response import item_response
from csvjax.baselines.latent import latent_law
from csvjax.baselines.law import law, law_of_compute, law_of_losses, law_of_scores
from csvjax.baselines.matrix import logit_als, nearest_models, soft_impute
from csvjax.baselines.mean_loss import mean_loss
from csvjax.baselines.method import Method
from csvjax.baselines.observational import observational_compute, observational_pca
from csvjax.baselines.perplexity import perplexity_correlations
from csvjax.baselines.sloth import sloth
from csvjax.baselines.sloth_link import sloth_link
from csvjax.baselines.two_step import two_step_ladder
from csvjax.errors import InputError
from csvjax.names import hint

__all__ = ["BY_NAME", "METHODS", "find_methods"]

METHODS: dict[str, Callable[[], Method]] = {
    "law": law,
    "law-scores": law_of_scores,
    "law-losses": law_of_losses,
    "family-mean": family_mean,
    "last-known": last_of_family,
    "log-size": lambda: observational_compute("params"),
    "log-flops": lambda: observational_compute("flops"),
    "flops-intercept": lambda: compute_law("flops", intercept="family", floor="learned"),
    "flops-slope": lambda: compute_law("flops", slope="family", intercept="family", floor="learned"),
    "size-tokens": lambda: compute_law("params and tokens"),
    "size-tokens-intercept": lambda: compute_law("params and tokens", intercept="family"),
    "flops-components": compute_components,
    "sloth": sloth,
    "pca-1": lambda: observational_pca(1),
    "pca-2": lambda: observational_pca(2),
    "pca-3": lambda: observational_pca(3),
    "pca-4": lambda: observational_pca(4),
    "item-response": item_response,
    "mean-loss": mean_loss,
    "two-step": two_step_ladder,
    "perplexity-correlations": perplexity_correlations,
    "logit-als": logit_als,
    "soft-impute": soft_impute,
    "nearest-models": nearest_models,
    "latent-law": latent_law,
}
"""Functions that make each method with its published settings. Commands and tables use every method in this dict."""

BY_NAME: dict[str, Callable[[], Method]] = {"law-compute": law_of_compute, "sloth-link": sloth_link}
"""Methods that "all" leaves out because they are slow."""


def find_methods(wanted: Iterable[str]) -> dict[str, Method]:
    """The methods with these short names, in this order; "all" means all of `METHODS`.

    Raises: InputError for an unknown name.
    """
    known = METHODS | BY_NAME
    found: dict[str, Method] = {}
    for name in wanted:
        if name != "all" and name not in known:
            raise InputError(f"expected methods among all, {', '.join(known)}, found {name!r}: {hint(name, known)}")
        found |= {each: known[each]() for each in (METHODS if name == "all" else (name,))}
    return found
