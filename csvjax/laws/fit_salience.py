"""The salience law fitted to every benchmark of a dataset: choice of prior strength, modes, posterior draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.evaluate.splits import Fold
from csvjax.infer.laplace import laplace_draws
from csvjax.law.density import Density
from csvjax.law.units import Units, group_units
from csvjax.laws.evidence import GroupNames, evidence, group_names
from csvjax.laws.fit_optimise import Mode, find_mode
from csvjax.laws.fit_stacking import stacking_weights
from csvjax.laws.predictive import log_score
from csvjax.laws.salience_law import Evidence, Priors, salience_law
from csvjax.precision import float64

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
    """Fits of all benchmarks.

    `x` [benchmark, draw, n]: unconstrained draws, in which each strength has its share and the site `weight` is
    multiplied by the strength; `weights` [strength, benchmark]: the shares. `inner_score` [strength, benchmark]: mean
    log score of held-out training cells, in nats. `mode` [strength x benchmark, ...]. `evidence` is stacked over
    benchmarks, with strength 1.
    """

    benchmarks: tuple[str, ...]
    settings: Settings
    weights: Float[np.ndarray, "strength benchmark"]
    inner_score: Float[np.ndarray, "strength benchmark"]
    mode: Mode
    x: Float[np.ndarray, "benchmark draw n"]
    evidence: Evidence
    units: Units
    groups: GroupNames

    @property
    def strength(self) -> float:
        """Mean strength over benchmarks and draws."""
        return float(np.mean(np.asarray(self.settings.strengths) @ self.weights))

    @property
    def status(self) -> str:
        """How the optimiser ended, as a sentence; a strength that has no share of the draws does not matter."""
        shape = self.weights.shape
        done = self.mode.converged.reshape(shape) | (self.weights < 0.01)
        gap = float(np.max(np.ptp(self.mode.potentials, axis=1).reshape(shape)[self.weights >= 0.01]))
        if done.all():
            starts = f"{self.mode.potentials.shape[1]} starts of a benchmark ended at most {gap:.2g} nats apart"
            return f"converged for all {len(self.benchmarks)} benchmarks; the {starts}"
        late = ", ".join(name for name, ok in zip(self.benchmarks, done.all(axis=0), strict=True) if not ok)
        gradient = float(self.mode.gradient.reshape(shape)[~done].max())
        return (
            f"not converged for {late}: the largest gradient is {gradient:.2g} and should be below 0.001; "
            f"raise the number of starts, or leave out the largest strength"
        )


_INNER_DRAWS = 200  # enough for the mean of a density

# What vmap maps over: the fields that differ between benchmarks.
_STACKED = ("strength", "score", "n_items", "seen", "floor")
AXES: Any = Evidence(**{name: 0 if name in _STACKED else None for name in Evidence._fields})  # type: ignore[arg-type]


def density_of(settings: Settings) -> Density:
    return _density(settings.priors)


@cache
def _density(priors: Priors) -> Density:
    """The same object for the same priors: a partial equals only itself, and compiled fits are kept by equality."""
    return Density(partial(salience_law, priors=priors))


@partial(jax.jit, static_argnames=("density",))
def _search(density: Density, stacked: Evidence, key: Array) -> Mode:
    """One start for each benchmark."""
    keys = jax.random.split(key, len(stacked.floor))
    return jax.vmap(partial(find_mode, density, starts=1), (AXES, 0))(stacked, keys)


@partial(jax.jit, static_argnames=("density", "draws"))
def _draw(density: Density, stacked: Evidence, x: Array, key: Array, draws: int) -> Array:
    keys = jax.random.split(key, len(stacked.floor))
    draw = partial(laplace_draws, density, draws=draws)
    return jax.vmap(lambda data, mode, key: draw(data, mode, key)[0], (AXES, 0, 0))(stacked, x, keys)


@partial(jax.jit, static_argnames=("density",))
def _score_of(density: Density, stacked: Evidence, x: Array, observed: Array, key: Array) -> Array:
    keys = jax.random.split(key, len(x))
    return jax.vmap(partial(log_score, density), (AXES, 0, 0, 0))(stacked, x, observed, keys)


def _fit(density: Density, stacked: Evidence, key: Array, starts: int, draws: int) -> tuple[Mode, Array]:
    """Modes and draws of all benchmarks, at one strength. One start after another: the same few lanes are compiled once
    for every use, and none waits long for the slowest.
    """
    key_mode, key_draws = jax.random.split(key)
    found = [jax.device_get(_search(density, stacked, k)) for k in jax.random.split(key_mode, starts)]
    each = jax.tree.map(lambda *fields: np.stack(fields), *found)  # [start, benchmark, ...]
    best = np.argmin(each.potential, axis=0), np.arange(len(stacked.floor))
    one_start = each.steps[..., 0].T, each.potentials[..., 0].T
    mode = Mode(each.x[best], each.potential[best], each.gradient[best], each.converged[best], *one_start)
    return mode, _draw(density, stacked, mode.x, key_draws, draws)


def _at(one: Evidence, strength: float) -> Evidence:
    """The evidence of all benchmarks at this strength."""
    return one._replace(strength=np.full(len(one.floor), float(strength)))


def _inner_scores(
    dataset: Dataset, units: Units, groups: GroupNames, inner: tuple[Fold, ...], settings: Settings, key: Array
) -> tuple[Float[np.ndarray, "strength benchmark lm"], Bool[np.ndarray, "benchmark lm"]]:
    """Log scores of the inner test cells for every strength, and which cells these are."""
    density = density_of(settings)
    score = dataset.measured()[0].score.T
    shape = len(settings.strengths), *score.shape
    total, cells = np.zeros(shape), np.zeros(shape[1:], bool)
    for i, fold in enumerate(inner):
        held = fold.test[None] & np.isfinite(score)
        one = evidence(dataset, units, groups.nested(dataset), fold.train, settings.features)
        observed = np.where(held, score, 0.0)
        for k, strength in enumerate(settings.strengths):
            key_fit, key_score = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, i), k))
            stacked = _at(one, strength)
            _, x = _fit(density, stacked, key_fit, 1, settings.draws)
            found = _score_of(density, stacked, x[:, :_INNER_DRAWS], observed, key_score)
            total[k] = np.where(held, found, total[k])
        cells |= held
    return total, cells


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
    units: Units | None = None,
) -> SalienceFit:
    """Fit the law to the training cells of every benchmark, by MAP and Laplace's approximation.

    Draws are shared among the prior strengths by `stacking_weights`, from log scores on the cells of the `inner` folds,
    all of whose rows lie in `train`. Rows outside `train` give nothing to the fit: their losses are carried along for
    prediction, their scores are not looked at. `units` spares the work of making them where another fit to the same
    rows, with the same `per_domain` and seed, has made them.

    Raises: InputError for several strengths without inner folds, and for inner folds with rows outside `train`.
    """
    _check_inner(settings, inner, train)
    density = density_of(settings)
    groups = group_names(dataset)
    scores, losses = dataset.measured()
    units = units or group_units(losses, train, settings.per_domain, seed=seed)
    key_inner, key_fit = jax.random.split(jax.random.key(seed))
    count, each = len(settings.strengths), len(scores.benchmarks)
    inner_score, weights = np.zeros((count, each)), np.full((count, each), 1 / count)
    if count > 1:
        found, held = _inner_scores(dataset, units, groups, inner, settings, key_inner)
        weights = stacking_weights(found, held, len(inner))
        inner_score = np.where(held, found, 0.0).sum(-1) / np.maximum(held.sum(-1), 1)
    one = evidence(dataset, units, groups.nested(dataset), train, settings.features)
    modes, draws = [], []
    for strength, key in zip(settings.strengths, jax.random.split(key_fit, count), strict=True):
        stacked = _at(one, strength)
        mode, x = _fit(density, stacked, key, settings.starts, settings.draws)
        modes.append(mode)
        draws.append(_absorb_strength(density, stacked, x))
    # As numpy arrays, which stay float64 outside of this function.
    mode = jax.tree.map(lambda *fields: np.concatenate(fields), *modes)
    mixed = _mix(np.asarray(draws), weights)
    return SalienceFit(scores.benchmarks, settings, weights, inner_score, mode, mixed, _at(one, 1.0), units, groups)


@partial(jax.jit, static_argnames=("density",))
def _absorb_strength(density: Density, stacked: Evidence, x: Array) -> Array:
    """The same draws for evidence of strength 1: the site `weight` multiplied by the strength."""

    def one(e: Evidence, x: Array) -> Array:
        sites = density.unflatten(x, e)
        return ravel_pytree(sites | {"weight": e.strength * sites["weight"]})[0]

    return jax.vmap(jax.vmap(one, (None, 0)), (AXES, 0))(stacked, x)


def _mix(x: Float[np.ndarray, "strength benchmark draw n"], weights: np.ndarray) -> np.ndarray:
    """Draws [benchmark, draw, n], of which each strength gives its share."""
    draws = x.shape[2]
    place = (np.arange(draws) + 0.5) / draws
    chosen = [np.minimum(np.searchsorted(np.cumsum(w), place), len(w) - 1) for w in weights.T]
    return np.stack([x[k, b, np.arange(draws)] for b, k in enumerate(chosen)])
