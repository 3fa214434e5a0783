"""The Gram matrix and the posterior of Gaussian salience against their dense formulas."""

from __future__ import annotations

import numpy as np
import pytest

from csvjax.infer.laplace import Laplace
from csvjax.infer.map import Map
from csvjax.infer.nuts import Nuts
from csvjax.law.model import Law
from csvjax.scale.corpus import in_memory
from csvjax.scale.gaussian import GaussianFit, fit_gaussian, unit_salience
from csvjax.scale.gram import gram
from csvjax.scale.target import target_of
from tests.scale.simulated import simulated, without_losses

LAW = Law(capabilities=0, covariates=(), effects=())
UNITS = 1500


def dense(loss: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """D, pi."""
    pi = size / size.sum()
    d = loss / size
    d = d - d @ pi[:, None]
    return d - d.mean(axis=0), pi


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_gram_is_that_of_centred_losses(dtype: type) -> None:
    rng = np.random.default_rng(0)
    size = rng.integers(1, 8, UNITS)
    loss = (5 + rng.normal(size=UNITS) + 0.1 * rng.normal(size=(6, UNITS))).astype(dtype).astype(np.float32)
    d, pi = dense(loss[[4, 0, 2, 3]].astype(float), size)
    found = gram(in_memory(tuple("abcdef"), loss, size, dtype, 512), np.array([4, 0, 2, 3]))
    np.testing.assert_allclose(found.gram, (d * pi) @ d.T, rtol=1e-4, atol=1e-6 * np.abs(d).max())
    np.testing.assert_allclose(found.mean, loss[[4, 0, 2, 3]].astype(float) @ (pi / size), rtol=1e-6)


def test_salience_of_units_and_documents_is_the_conditional_normal() -> None:
    dataset, _ = simulated(8, 90)
    losses = dataset.losses
    assert losses is not None
    corpus = in_memory(losses.lms, losses.loss, np.ones(90, int), chunk=512)
    d, pi = dense(losses.loss.astype(float), np.ones(90))
    rng, pieces = np.random.default_rng(1), 12
    g = (d * pi) @ d.T
    inverse = np.linalg.pinv(g, rcond=1e-6)
    tau, h = np.full(3, 0.7), rng.normal(size=(3, 8)) @ np.linalg.cholesky(g + 1e-12 * np.eye(8)).T
    fit = GaussianFit(h, h, tau, inverse, pieces, losses.mean_loss, np.arange(8), None)  # type: ignore[arg-type]
    found = unit_salience(corpus, fit, np.arange(90) // 30)

    prior = np.diag(0.49 / pieces / pi)
    down = d * pi  # h = down f
    gain = prior @ down.T @ np.linalg.pinv(down @ prior @ down.T, rcond=1e-6)
    means = h @ gain.T
    left = prior - gain @ down @ prior
    average = np.kron(np.eye(3), np.ones(30) / 30)
    np.testing.assert_allclose(found.factor, 1 + means.mean(axis=0), rtol=1e-3, atol=1e-3)
    covariance = left + np.cov(means.T, bias=True)
    np.testing.assert_allclose(found.deviation, np.sqrt(np.diag(covariance)), rtol=1e-3)
    np.testing.assert_allclose(found.set_factor, 1 + average @ means.mean(axis=0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.set_deviation, np.sqrt(np.diag(average @ covariance @ average.T)), rtol=1e-3)


METHODS = (Laplace(draws=400, map=Map(starts=2)), Nuts(150, 150, 2, map=Map(starts=2), rhat=1.1, ess=5))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=["laplace", "nuts"])
def test_the_part_of_the_text_that_counts_is_found(method: object) -> None:
    dataset, _ = simulated(24, UNITS)
    losses = dataset.losses
    assert losses is not None
    corpus = in_memory(losses.lms, losses.loss, np.ones(UNITS, int), np.float16, 512)
    found = gram(corpus)
    target = target_of(without_losses(dataset), "b", LAW, corpus.lms, found.mean)
    fit = fit_gaussian(target, found, LAW, method)  # type: ignore[arg-type]
    assert fit.status.ok, fit.status
    domain = (losses.units["domain"] != "first").to_numpy().astype(int)
    told = unit_salience(corpus, fit, domain)
    assert told.set_factor[0] - 2 * told.set_deviation[0] > 1 > told.set_factor[1]
