"""The joint law fitted to a dataset by any method: what predictions, tables and files are made from."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Bool, Float

from csvjax import names
from csvjax.data.dataset import Dataset
from csvjax.errors import FitWarning, InputError
from csvjax.infer.api import Method
from csvjax.infer.convergence import bulk_ess, rhat, tail_ess
from csvjax.infer.identification import align
from csvjax.infer.laplace import log_evidence
from csvjax.infer.nuts import Nuts
from csvjax.infer.result import Fit, Status
from csvjax.law.density import Density
from csvjax.law.units import Units, group_units
from csvjax.laws.joint_evidence import joint_evidence
from csvjax.laws.joint_model import JointEvidence, JointPriors, joint_law
from csvjax.laws.outliers import OUTLIERS, Cleaned, fit_without_outliers
from csvjax.precision import float64

__all__ = [
    "FittedJoint",
    "JointSettings",
    "evidence_for",
    "fit_joint",
    "joint_density",
    "joint_log_evidence",
    "one_order",
    "solved",
    "told_outliers",
]

T = TypeVar("T")


@cache
def joint_density(capabilities: int, priors: JointPriors) -> Density:
    """The same object for the same settings, so that compiled fits are reused."""
    return Density(partial(joint_law, capabilities=capabilities, priors=priors))


def joint_log_evidence(found: Cleaned, capabilities: int) -> float:
    """log p(y | K), outliers and who they are included, by Laplace's approximation around all 2^(K-1) (K-1)! modes,
    which differ by signs and order of contrasts. Where contrasts are not clear modes overlap, and this is too much, by
    no more than their logarithm.
    """
    modes = (capabilities - 1) * math.log(2) + math.lgamma(capabilities)
    return log_evidence(found.fit) + found.log_labels + modes


class JointSettings(NamedTuple):
    """capabilities: their number K. covariates: amounts as `csvjax.laws.joint_evidence.covariates` takes them.

    families: whether models of a family share effects. per_domain, features: groups of tokens in each domain and
    components of the salience, where there are losses. priors: of the law. outliers: prior probability that no law
    describes a model, which is then left out (`csvjax.laws.outliers`); 0 keeps all.
    """

    capabilities: int = 2
    covariates: tuple[str, ...] = ("flops",)
    families: bool = True
    per_domain: int = 40
    features: int = 12
    priors: JointPriors = JointPriors()
    outliers: float = OUTLIERS


@dataclass(frozen=True, eq=False)
class FittedJoint:
    """Draws of the parameters, and all that they were found from.

    dataset: every model, those held out too, with all scores. evidence: what the fit saw of them. units: groups of
    tokens, where there are losses. x [chain, draw, n]: draws, one if the method gives a mode alone. method: its name.
    diagnostics: those of the method. left_out: scores of outliers, which were given and not fitted.
    """

    settings: JointSettings
    dataset: Dataset
    evidence: JointEvidence
    units: Units | None
    method: str
    x: Float[np.ndarray, "chain draw n"]
    status: Status
    diagnostics: dict[str, np.ndarray]
    left_out: Bool[np.ndarray, "lm benchmark"]

    @property
    def density(self) -> Density:
        return joint_density(self.settings.capabilities, self.settings.priors)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        assert self.dataset.scores is not None
        return self.dataset.scores.benchmarks

    @property
    def outliers(self) -> tuple[str, ...]:
        """Names of the models that were left out."""
        return tuple(map(str, self.dataset.lms.index[np.flatnonzero(self.left_out.any(axis=1))]))

    @property
    def families(self) -> tuple[str, ...]:
        """Their names, in the order of their numbers in the evidence."""
        return tuple(map(str, np.unique(self.dataset.lms["family"].to_numpy(str))))

    def draws(self, least: int = 400) -> Float[np.ndarray, "draw n"]:
        """Draws of the parameters, repeated where there are fewer than `least`: each gives another draw of the rest."""
        x = self.x.reshape(-1, self.x.shape[-1])
        return x if len(x) >= least else np.resize(x, (least, x.shape[1]))


def evidence_for(
    dataset: Dataset, seen: Bool[np.ndarray, "lm benchmark"], settings: JointSettings
) -> tuple[JointEvidence, Units | None]:
    """The evidence of a fit that sees the scores `seen`, and its groups of tokens."""
    units = None
    if dataset.losses is not None and dataset.scores is not None:
        train = np.any(seen & np.isfinite(dataset.scores.score), axis=1)
        units = group_units(dataset.losses, np.asarray(train), settings.per_domain)
    return joint_evidence(dataset, seen, settings.covariates, settings.families, units, settings.features), units


@float64
def fit_joint(
    dataset: Dataset,
    seen: Bool[np.ndarray, "lm benchmark"],
    settings: JointSettings,
    method: Method,
    seed: int = 0,
    folder: Path | None = None,
) -> FittedJoint:
    """Fit the scores `seen`; no other score has an influence. folder: where NUTS keeps its chains, to go on.

    Warns: FitWarning where the fit did not end well, and where it left out models.
    Raises: InputError for a dataset without scores, and for covariates that are not known or do not vary.
    """
    evidence, units = evidence_for(dataset, seen, settings)
    density = joint_density(settings.capabilities, settings.priors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # told below, of chains in one order
        cleaned = fit_without_outliers(density, evidence, method, jax.random.key(seed), folder, settings.outliers)
        found, fitted = cleaned.fit, cleaned.evidence
    if isinstance(method, Nuts) and settings.capabilities > 1:
        found = _in_one_order(found, method, density, fitted)
    if cleaned.refused:
        warnings.warn(cleaned.refused, FitWarning, stacklevel=3)
    if not found.status.ok:
        warnings.warn(f"{found.name}: {found.status}", FitWarning, stacklevel=3)
    left_out = np.asarray(evidence.seen) & ~np.asarray(fitted.seen)
    facts = found.name, found.x, found.status, found.diagnostics
    whole = FittedJoint(settings, dataset, fitted, units, *facts, left_out)
    if whole.outliers:
        warnings.warn(told_outliers(whole.outliers), FitWarning, stacklevel=3)
    return whole


def told_outliers(lms: Sequence[str]) -> str:
    """What a user has to know of models that were left out."""
    return (
        f"left out of the fit: {names.some(lms)}, whose scores look like anything rather than what the other models "
        f"let expect; look at their evaluation, or keep them (--keep-outliers, JointSettings(outliers=0))"
    )


def _in_one_order(found: Fit, method: Nuts, density: Density, evidence: JointEvidence) -> Fit:
    """Chains in which contrasts have the same signs and order, and what the sampler's diagnostics say of them.

    Signs and order are exact symmetries of the density: chains that differ by them alone agree.
    """
    x = one_order(density, evidence, found.x)
    diagnostics = found.diagnostics | {"rhat": rhat(x), "bulk_ess": bulk_ess(x), "tail_ess": tail_ess(x)}
    return found._replace(x=x, status=method.status(diagnostics), diagnostics=diagnostics)


@float64
def one_order(
    density: Density, evidence: JointEvidence, x: Float[np.ndarray, "chain draw n"]
) -> Float[np.ndarray, "chain draw n"]:
    """The same draws with signs and order of contrasts nearest to those of their mean; their density is as it was."""
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
    if "family_spread" in found:
        turned["family_spread"] = np.einsum("cdk,cdkj->cdj", found["family_spread"], order)
    if "loss_slope" in found:
        turned["loss_slope"] = np.einsum("cdk,cdkj->cdj", found["loss_slope"], turn)
        turned["weight"] = np.einsum("cdkf,cdkj->cdjf", found["weight"], order)
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in (found | turned).items()}
    return np.asarray(jax.vmap(lambda one: ravel_pytree(one)[0])(flat)).reshape(x.shape)


def solved(drawn: T, by: Float[np.ndarray, "draw ..."]) -> T:
    """Arrays [draw, ...] in which draws that have no number in `by` gave way to others: far from the mode the latent
    field may have no solution.

    Raises: InputError where no draw is left.
    """
    ok = np.isfinite(by).reshape(len(by), -1).all(axis=1)
    if ok.all():
        return drawn
    if not ok.any():
        raise InputError("expected draws with finite scores, found none; the fit did not end well: use tighter priors")
    at = np.where(ok, np.arange(len(ok)), np.resize(np.flatnonzero(ok), len(ok)))
    return jax.tree.map(lambda a: a[at], drawn)
