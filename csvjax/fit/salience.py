"""The salience law fitted to every benchmark of a dataset: choice of prior strength, modes, posterior draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from csvjax.dataset import Dataset
from csvjax.errors import InputError
from csvjax.evaluate.splits import Fold
from csvjax.fit.density import Density
from csvjax.fit.laplace import laplace_draws
from csvjax.fit.optimise import Mode, find_mode
from csvjax.fit.precision import float64
from csvjax.laws.evidence import GroupNames, evidence, group_names
from csvjax.laws.predictive import log_score
from csvjax.laws.salience_law import Evidence, Priors, salience_law
from csvjax.laws.units import Units, group_units

__all__ = ["AXES", "SalienceFit", "Settings", "density_of", "fit_salience"]


@dataclass(frozen=True)
class Settings:
    """How the salience law is fitted.

    strengths: the prior strengths tau that are tried; (0.0,) is the mean-loss law. per_domain: groups of tokens in each
    domain. features: principal components that span z. draws, starts: of the posterior, and of the optimiser.
    """

    strengths: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4)
    per_domain: int = 40
    features: int = 12
    draws: int = 1000
    starts: int = 4
    priors: Priors = Priors()

    @property
    def mean_loss(self) -> Settings:
        """The same law with z = 0."""
        return replace(self, strengths=(0.0,))


class SalienceFit(NamedTuple):
    """Fits of all benchmarks. `x` [benchmark, draw, n]: unconstrained draws. `inner_score` [strength, benchmark]: mean
    log score of held-out training cells, in nats. `evidence` is stacked over benchmarks, `mode` too.
    """

    benchmarks: tuple[str, ...]
    settings: Settings
    strength: float
    inner_score: Float[np.ndarray, "strength benchmark"]
    mode: Mode
    x: Float[np.ndarray, "benchmark draw n"]
    evidence: Evidence
    units: Units
    groups: GroupNames

    @property
    def status(self) -> str:
        """How the optimiser ended, as a sentence."""
        late = [name for name, done in zip(self.benchmarks, self.mode.converged, strict=True) if not done]
        gap = float(np.max(np.ptp(self.mode.potentials, axis=1)))
        starts = f"{self.mode.potentials.shape[1]} starts of a benchmark ended at most {gap:.2g} nats apart"
        if not late:
            return f"converged for all {len(self.benchmarks)} benchmarks; the {starts}"
        return (
            f"not converged for {', '.join(late)}: the largest gradient is {self.mode.gradient.max():.2g} and should "
            f"be below 0.001; look at their scores for models that no other resembles, or raise the number of starts"
        )


# What vmap maps over: the fields that differ between benchmarks and strengths.
_STACKED = ("strength", "score", "n_items", "seen", "floor")
AXES: Any = Evidence(**{name: 0 if name in _STACKED else None for name in Evidence._fields})  # type: ignore[arg-type]


def density_of(settings: Settings) -> Density:
    return _density(settings.priors)


@cache
def _density(priors: Priors) -> Density:
    """The same object for the same priors: a partial equals only itself, and compiled fits are kept by equality."""
    return Density(partial(salience_law, priors=priors))


@partial(jax.jit, static_argnames=("density", "starts", "draws"))
def _fit(density: Density, stacked: Evidence, key: Array, starts: int, draws: int) -> tuple[Mode, Array]:
    def one(data: Evidence, key: Array) -> tuple[Mode, Array]:
        key_mode, key_draws = jax.random.split(key)
        mode = find_mode(density, data, key_mode, starts)
        return mode, laplace_draws(density, data, mode.x, key_draws, draws)[0]

    return jax.vmap(one, (AXES, 0))(stacked, jax.random.split(key, len(stacked.floor)))


@partial(jax.jit, static_argnames=("density",))
def _score_of(density: Density, stacked: Evidence, x: Array, observed: Array, key: Array) -> Array:
    keys = jax.random.split(key, len(x))
    return jax.vmap(partial(log_score, density), (AXES, 0, 0, 0))(stacked, x, observed, keys)


def _at_strengths(one: Evidence, strengths: tuple[float, ...]) -> Evidence:
    """A copy of the evidence for each strength, strength-major, stacked with the benchmarks."""
    count = len(strengths)
    fields: dict[str, Any] = {name: np.concatenate([getattr(one, name)] * count) for name in _STACKED}
    return one._replace(**fields | {"strength": np.repeat(np.asarray(strengths, float), len(one.floor))})


def _inner_scores(
    dataset: Dataset, units: Units, groups: GroupNames, inner: tuple[Fold, ...], settings: Settings, key: Array
) -> Float[np.ndarray, "strength benchmark"]:
    """Mean log score of the inner test cells, for every strength and benchmark."""
    density = density_of(settings)
    score = dataset.measured()[0].score.T
    shape = len(settings.strengths), *score.shape
    total, cells = np.zeros(shape[:2]), np.zeros(shape[1])
    for i, fold in enumerate(inner):
        held = fold.test[None] & np.isfinite(score)
        one = evidence(dataset, units, groups.nested(dataset), fold.train, settings.features)
        stacked = _at_strengths(one, settings.strengths)
        key_fit, key_score = jax.random.split(jax.random.fold_in(key, i))
        _, x = _fit(density, stacked, key_fit, 1, 200)
        observed = np.concatenate([np.where(held, score, 0.0)] * shape[0])
        found = np.asarray(_score_of(density, stacked, x, observed, key_score)).reshape(shape)
        total += np.where(held, found, 0.0).sum(-1)
        cells += held.sum(-1)
    return total / np.maximum(cells, 1)


def _check_inner(settings: Settings, inner: tuple[Fold, ...], train: np.ndarray) -> None:
    if len(settings.strengths) > 1 and not inner:
        raise InputError(
            f"expected inner folds to choose among the strengths {', '.join(f'{s:g}' for s in settings.strengths)}, "
            f"found none; give inner folds or a single strength"
        )
    for fold in inner:
        if outside := int(((fold.train | fold.test) & ~train).sum()):
            raise InputError(
                f"expected inner folds of the training rows only, found {outside} other rows in fold {fold.name!r}; "
                f"split the training rows"
            )


@float64
def fit_salience(
    dataset: Dataset,
    train: Bool[np.ndarray, " lm"],
    inner: tuple[Fold, ...] = (),
    settings: Settings = Settings(),
    seed: int = 0,
) -> SalienceFit:
    """Fit the law to the training cells of every benchmark, by MAP and Laplace's approximation.

    The strength is the one with the best mean log score over the cells of the `inner` folds, all of whose rows lie in
    `train`; one strength serves all benchmarks. Rows outside `train` give nothing to the fit: their losses are carried
    along for prediction, their scores are not looked at.

    Raises: InputError for several strengths without inner folds, and for inner folds with rows outside `train`.
    """
    _check_inner(settings, inner, train)
    density = density_of(settings)
    groups = group_names(dataset)
    scores, losses = dataset.measured()
    units = group_units(losses, train, settings.per_domain, seed=seed)
    key_inner, key_fit = jax.random.split(jax.random.key(seed))
    inner_score = np.zeros((len(settings.strengths), len(scores.benchmarks)))
    if len(settings.strengths) > 1:
        inner_score = _inner_scores(dataset, units, groups, inner, settings, key_inner)
    strength = settings.strengths[int(np.nan_to_num(inner_score.mean(axis=1), nan=-np.inf).argmax())]
    one = evidence(dataset, units, groups.nested(dataset), train, settings.features)
    stacked = _at_strengths(one, (strength,))
    # As numpy arrays, which stay float64 outside of this function.
    mode, x = jax.device_get(_fit(density, stacked, key_fit, settings.starts, settings.draws))
    return SalienceFit(scores.benchmarks, settings, strength, inner_score, mode, x, stacked, units, groups)
