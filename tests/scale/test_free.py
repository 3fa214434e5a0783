"""The free salience of a corpus is a mode of the law itself."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.law.density import law_density
from csvjax.law.evidence import make_evidence
from csvjax.law.model import Law
from csvjax.precision import float64
from csvjax.scale.corpus import Corpus, in_memory
from csvjax.scale.free import fit_free
from csvjax.scale.target import target_of
from tests.scale.simulated import simulated, without_losses

LAW = Law(capabilities=0, covariates=(), effects=(), features=40)


def corpus_of(dataset: Dataset) -> Corpus:
    assert dataset.losses is not None
    return in_memory(dataset.losses.lms, dataset.losses.loss, dataset.losses.units["bytes"].to_numpy(), chunk=512)


@float64
def of_the_law(dataset: Dataset, x: np.ndarray, tau: float, y: np.ndarray) -> tuple[float, float]:
    """The potential of the law at the same parameters, and the largest component of its gradient."""
    evidence, _ = make_evidence(dataset, np.isfinite(dataset.scores.score), LAW)  # type: ignore[union-attr]
    evidence = jax.tree.map(jnp.asarray, evidence)
    density = law_density(LAW)
    sites = density.unflatten(jnp.zeros(len(x) + 1 + len(y)), evidence)
    inner = [name for name in sorted(sites) if name not in ("own_tau", "own_weight")]
    own = {"own_tau": jnp.log(jnp.full(sites["own_tau"].shape, tau)), "own_weight": jnp.asarray(y)[None]}
    first = 0
    for name in inner:
        own[name] = jnp.asarray(x[first : first + sites[name].size]).reshape(sites[name].shape)
        first += sites[name].size
    flat = jnp.concatenate([own[name].ravel() for name in sorted(own)])
    value, slope = jax.value_and_grad(lambda v: density.potential(v, evidence))(flat)
    return float(value), float(jnp.max(jnp.abs(slope)))


@pytest.mark.slow
def test_it_is_a_mode_of_the_law_where_units_are_few() -> None:
    dataset, weight = simulated(units=40)
    corpus = corpus_of(dataset)
    mean = dataset.losses.mean_loss  # type: ignore[union-attr]
    target = target_of(without_losses(dataset), "b", LAW, corpus.lms, mean)
    found = fit_free(corpus, target, LAW, steps=500)
    assert found.status.ok, found.status
    value, slope = of_the_law(dataset, found.x, found.tau, found.z / found.tau)
    assert value == pytest.approx(found.potential, rel=1e-5)
    assert slope < 0.5  # where the curvature is a thousand
    share = np.exp(found.z) / np.exp(found.z).sum()
    assert share[weight > 0].sum() > 0.5  # a quarter of the bytes


def test_what_cannot_be_fitted_is_said() -> None:
    dataset, _ = simulated(units=10)
    names = dataset.losses.lms  # type: ignore[union-attr]
    with pytest.raises(InputError, match="at least 3 models"):
        target_of(without_losses(dataset), "b", LAW, ("other", *names[:2]), np.zeros(3))
    with pytest.raises(InputError, match="'c'"):
        target_of(without_losses(dataset), "c", LAW, names, np.zeros(len(names)))
    with pytest.raises(InputError, match="without"):
        target_of(Dataset(dataset.lms), "b", replace(LAW, features=3), names, np.zeros(len(names)))
