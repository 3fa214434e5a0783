"""The mode on a corpus is that of the law where the law has no groups."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.law.density import law_density
from csvjax.law.evidence import make_evidence
from csvjax.law.model import MANY_UNITS, Law, Priors
from csvjax.precision import float64
from csvjax.scale.components import component_z, fit_components, tilt_pull, tilt_sums
from csvjax.scale.corpus import in_memory
from csvjax.scale.stream import salient_losses
from csvjax.scale.target import target_of
from tests.scale.simulated import simulated, without_losses

LAW = Law(0, (), (), priors=Priors(strength=MANY_UNITS), per_domain=1000, features=5)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_gradient_is_that_of_differences(dtype: type) -> None:
    rng = np.random.default_rng(0)
    loss, size = rng.gamma(2.0, 1.5, (7, 1500)).astype(np.float32), rng.integers(1, 9, 1500)
    corpus = in_memory(tuple("abcdefg"), loss, size, dtype, 512)
    c, g = 0.2 * rng.normal(size=(7, 1)), rng.normal(size=(7, 1))
    sums = tilt_sums(corpus, c)
    np.testing.assert_allclose(sums.psi, salient_losses(corpus, component_z(corpus, c[:, 0])[None]).psi, rtol=1e-5)
    pull = tilt_pull(corpus, c, sums, g)
    stored = loss.astype(dtype).astype(float) / size

    def value(c: jax.Array) -> jax.Array:
        return jnp.sum(g[:, 0] * (stored @ jax.nn.softmax(np.log(size / size.sum()) + c @ stored)))

    with jax.enable_x64(True):
        np.testing.assert_allclose(pull[:, 0], jax.grad(value)(jnp.asarray(c[:, 0])), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@float64
def test_it_is_a_mode_of_the_law() -> None:
    dataset, weight = simulated(24, 300)
    losses = dataset.losses
    assert losses is not None
    corpus = in_memory(losses.lms, losses.loss, np.ones(300, int), chunk=512)
    target = target_of(without_losses(dataset), "b", LAW, corpus.lms, losses.mean_loss)
    found = fit_components(corpus, target, LAW)
    assert found.status.ok, found.status
    evidence, _ = make_evidence(dataset, np.isfinite(dataset.scores.score), LAW)  # type: ignore[union-attr]
    z = component_z(corpus, found.c).astype(float)
    features = np.asarray(evidence.features)
    evidence = jax.tree.map(jnp.asarray, evidence)
    label = make_evidence(dataset, np.isfinite(dataset.scores.score), LAW)[1].units.label  # type: ignore[union-attr]
    w = np.linalg.lstsq(np.hstack([features[label], np.ones((300, 1))]), z / found.tau, rcond=None)[0][:-1]
    density = law_density(LAW)
    start = density.start(jax.random.key(0), evidence)
    sites = density.unflatten(start, evidence)
    first, own = 0, {"own_tau": jnp.full((1,), np.log(found.tau)), "own_weight": jnp.asarray(w)[None]}
    for name in sorted(set(sites) - set(own)):
        own[name] = jnp.asarray(found.x[first : first + sites[name].size]).reshape(sites[name].shape)
        first += sites[name].size
    flat = jnp.concatenate([own[name].ravel() for name in sorted(own)])
    assert float(density.potential(flat, evidence)) == pytest.approx(found.potential, abs=1e-3)
    share = np.exp(z) / np.exp(z).sum()
    assert share[weight > 0].sum() > 0.5  # a quarter of the bytes
