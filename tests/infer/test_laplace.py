"""Laplace's approximation: exact where the posterior is normal, bounded where the mode is none."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from csvjax.infer import Map, fit
from csvjax.infer.laplace import laplace_draws
from csvjax.law.density import Density
from csvjax.precision import float64


class Line(NamedTuple):
    design: np.ndarray
    observed: np.ndarray


def line(data: Line) -> None:
    """y ~ Normal(A w, 0.5), w ~ Normal(0, 1): its posterior is normal."""
    w = numpyro.sample("w", dist.Normal(jnp.zeros(data.design.shape[1]), 1.0).to_event(1))
    numpyro.sample("y", dist.Normal(data.design @ w, 0.5).to_event(1), obs=data.observed)


@float64
def test_laplace_is_exact_for_a_normal_posterior() -> None:
    rng = np.random.default_rng(1)
    data = Line(rng.normal(size=(12, 3)), rng.normal(size=12))
    precision = np.eye(3) + data.design.T @ data.design / 0.25
    covariance = np.linalg.inv(precision)
    mean = covariance @ data.design.T @ data.observed / 0.25
    mode = fit(Density(line), data, Map(starts=1, finalists=1), jax.random.key(0)).mode
    # With gradient g the mode is off by covariance g.
    np.testing.assert_allclose(mode, mean, atol=np.abs(covariance).sum(axis=1).max() * 1e-3)
    draws, curvature, _ = laplace_draws(Density(line), data, jnp.asarray(mean), jax.random.key(1), 40_000)
    assert float(curvature) == pytest.approx(np.linalg.eigvalsh(precision)[0])
    variance = np.diag(covariance)
    assert np.all(np.abs(np.mean(draws, axis=0) - mean) < 4.5 * np.sqrt(variance / 40_000))
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / 40_000)
    assert np.all(np.abs(np.cov(np.asarray(draws).T) - covariance) < 4.5 * error)


def flat(_: None) -> None:
    """x[0] ~ Normal(0, 1); the density rises in x[1], as if the optimiser had stopped half-way."""
    x = numpyro.sample("x", dist.Normal(jnp.zeros(2), jnp.array([1.0, 1e6])).to_event(1))
    numpyro.factor("up", 0.05 * x[1] ** 2)


@float64
def test_a_direction_without_curvature_has_a_bounded_variance_and_is_told() -> None:
    draws, curvature, _ = laplace_draws(Density(flat), None, jnp.zeros(2), jax.random.key(2), 20_000)
    assert float(curvature) == pytest.approx(-0.1, abs=1e-6)
    # Standard error of a standard deviation: sd / sqrt(2 S) = 0.5 %.
    np.testing.assert_allclose(np.std(draws, axis=0), [1.0, np.sqrt(1000)], rtol=0.025)
