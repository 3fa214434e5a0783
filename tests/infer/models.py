"""Small models of which the posterior is known."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from scipy.special import log_expit

from csvjax.law.density import Density


class Line(NamedTuple):
    design: np.ndarray
    observed: np.ndarray
    weight: np.ndarray
    family: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        return np.eye(self.design.shape[1]) + self.design.T @ self.design / 0.25

    @property
    def covariance(self) -> np.ndarray:
        return np.linalg.inv(self.precision)

    @property
    def mean(self) -> np.ndarray:
        return self.covariance @ self.design.T @ self.observed / 0.25


def _line(data: Line) -> None:
    """y ~ Normal(A w, 0.5), w ~ Normal(0, 1): its posterior is normal."""
    w = numpyro.sample("w", dist.Normal(jnp.zeros(data.design.shape[1]), 1.0).to_event(1))
    numpyro.factor("y", jnp.sum(data.weight * dist.Normal(data.design @ w, 0.5).log_prob(data.observed)))


def line_data(seed: int) -> Line:
    rng = np.random.default_rng(seed)
    return Line(rng.normal(size=(12, 3)), rng.normal(size=12), np.ones(12), np.arange(12) % 4)


class Coin(NamedTuple):
    x: np.ndarray
    y: np.ndarray


def _coin(data: Coin) -> None:
    """Logistic regression: y ~ Bernoulli(sigmoid(a + b x)), a, b ~ Normal(0, 2)."""
    w = numpyro.sample("w", dist.Normal(jnp.zeros(2), 2.0).to_event(1))
    numpyro.sample("y", dist.Bernoulli(logits=w[0] + w[1] * data.x).to_event(1), obs=data.y)


def coin_data() -> Coin:
    rng = np.random.default_rng(5)
    x = rng.normal(size=25)
    return Coin(x, (rng.random(25) < 1 / (1 + np.exp(-(0.5 + 1.5 * x)))) * 1.0)


def coin_grid(data: Coin) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviations of (a, b), summed over a grid."""
    a, b = np.meshgrid(np.linspace(-5, 7, 601), np.linspace(-5, 9, 701), indexing="ij")
    eta = a[..., None] + b[..., None] * data.x
    log_p = np.where(data.y == 1, log_expit(eta), log_expit(-eta)).sum(-1) - (a**2 + b**2) / 8
    p = np.exp(log_p - log_p.max())
    mean = np.array([(p * v).sum() for v in (a, b)]) / p.sum()
    return mean, np.sqrt(np.array([(p * (v - m) ** 2).sum() for v, m in zip((a, b), mean, strict=True)]) / p.sum())


LINE, COIN = Density(_line), Density(_coin)
