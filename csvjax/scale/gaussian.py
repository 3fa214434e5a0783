"""Gaussian salience: exact inference on a problem as large as the number of models; salience of units in one more pass.

    s[u] = pi[u] (1 + f[u]),   f[u] ~ Normal(0, tau^2 / (P pi[u])) independently,   tau ~ HalfNormal(strength)
    psi[m] = mean loss[m] + h[m],   h = sum_u pi[u] D[:, u] f[u] ~ Normal(0, tau^2 G / P)

with D and G of `csvjax.scale.gram`. Scores depend on f only through h, so the posterior of h and the law's parameters
has as many unknowns as there are models. Given h, f is normal:

    mean of f[u] = D[:, u]' G^+ h,    variance = tau^2 / P (1 / pi[u] - D[:, u]' G^+ D[:, u])

and so is its average over any set of units, with the set's mean of D and its share of bytes (Rasmussen and Williams
2006, eq. 2.19). Over draws of h and tau, means and variances are those of a mixture.
"""

from __future__ import annotations

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int

from csvjax.infer.api import Method, fit
from csvjax.infer.result import Status
from csvjax.law.density import Density
from csvjax.law.model import Law, law_model
from csvjax.precision import float64
from csvjax.scale.corpus import Chunk, Corpus
from csvjax.scale.gram import Gram, centred
from csvjax.scale.target import Target, inner_law, with_psi
from csvjax.types import AnyArray

__all__ = ["GaussianFit", "Kernel", "fit_gaussian", "gaussian_density", "unit_salience"]

_RANK = 1e-7  # of the largest eigenvalue of G; smaller ones are rounding errors of float32 losses


class Kernel(NamedTuple):
    """Data of the density. root: R with R R' = G / P. mean: mean losses, nats per byte."""

    target: Target
    root: Float[AnyArray, "known rank"]
    mean: Float[AnyArray, " known"]


class GaussianFit(NamedTuple):
    """Draws. h [draw, known]: nats per byte. tau [draw]. x: unconstrained parameters of the whole density. inverse:
    G^+. pieces: P. mean: mean losses of the models `at` of the corpus.
    """

    x: Float[np.ndarray, "draw n"]
    h: Float[np.ndarray, "draw known"]
    tau: Float[np.ndarray, " draw"]
    inverse: Float[np.ndarray, "known known"]
    pieces: int
    mean: Float[np.ndarray, " known"]
    at: Int[np.ndarray, " known"]
    status: Status


def _model(data: Kernel, law: Law, scores: bool = True) -> None:
    tau = numpyro.sample("salience_tau", dist.HalfNormal(law.priors.strength))
    w = numpyro.sample("salience_weight", dist.Normal(jnp.zeros(data.root.shape[1]), 1.0).to_event(1))
    h = numpyro.deterministic("h", tau * data.root @ w)
    law_model(with_psi(data.target, data.mean + h), inner_law(law), scores)


@cache
def gaussian_density(law: Law) -> Density:
    """The density of the law's parameters, tau and the whitened h; the same object for the same law."""
    return Density(partial(_model, law=law), partial(_model, law=law, scores=False))


def kernel_of(target: Target, found: Gram, pieces: int) -> tuple[Kernel, Float[np.ndarray, "known known"]]:
    """The data of the density, from the Gram matrix of the models `target.at`; and G^+."""
    values, vectors = np.linalg.eigh(found.gram)
    kept = values > _RANK * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    root = vectors * np.sqrt(values / pieces)
    return Kernel(target, root, found.mean), (vectors / values) @ vectors.T


@float64
def fit_gaussian(target: Target, found: Gram, law: Law, method: Method, seed: int = 0) -> GaussianFit:
    """The posterior by any method (`Nuts`, `Laplace`, ...). found: `gram` of the models `target.at`.

    Warns: FitWarning if the status of the fit is not ok.
    """
    density = gaussian_density(law)
    data, inverse = kernel_of(target, found, law.features)
    done = fit(density, data, method, jax.random.key(seed))
    x = done.draws
    kept = jax.jit(lambda x: jax.lax.map(partial(_sites, density, data), x))(jnp.asarray(x))
    tau, h = map(np.asarray, kept)
    return GaussianFit(x, h, tau, inverse, law.features, found.mean, np.asarray(target.at), done.status)


def _sites(density: Density, data: Kernel, x: Array) -> tuple[Array, Array]:
    found = density.unflatten(x, data)
    tau = jnp.exp(found["salience_tau"])
    return tau, tau * data.root @ found["salience_weight"]


@partial(jax.jit, static_argnames="sets")
def _moments(chunk: Chunk, at: Array, mean: Array, alpha: Array, form: Array, label: Array, sets: int) -> tuple:
    d = centred(chunk, at, mean)
    pi = jnp.exp(chunk.log_base)
    pooled = jax.ops.segment_sum(d * pi[:, None], label, sets)
    quadratic = jnp.sum(jnp.dot(d, form, precision=jax.lax.Precision.HIGHEST) * d, axis=1)
    return d @ alpha, quadratic, pooled


class UnitSalience(NamedTuple):
    """factor, deviation [unit]: posterior mean and standard deviation of 1 + f, the factor on a unit's share of the
    bytes. set_factor, set_deviation: of the average over each set of units. set_share: its share of the bytes.
    """

    factor: Float[np.ndarray, " unit"]
    deviation: Float[np.ndarray, " unit"]
    set_factor: Float[np.ndarray, " set"]
    set_deviation: Float[np.ndarray, " set"]
    set_share: Float[np.ndarray, " set"]


def unit_salience(corpus: Corpus, found: GaussianFit, label: Int[np.ndarray, " unit"]) -> UnitSalience:
    """Salience of every unit, and of every set of units, in one pass. label: the set of each unit (its document)."""
    centre = found.h.mean(axis=0)
    scatter = np.cov(found.h.T, bias=True).reshape(len(centre), -1)
    between = found.inverse @ scatter @ found.inverse
    noise = float(np.mean(found.tau**2)) / found.pieces
    alpha, form = found.inverse @ centre, between - noise * found.inverse
    sets = int(label.max()) + 1
    factor, variance = np.empty(corpus.units), np.empty(corpus.units)
    pooled = np.zeros((sets, len(centre)))
    pi = corpus.base_weight
    arguments = [jnp.asarray(a, jnp.float32) for a in (found.mean, alpha, form)]
    where = jnp.asarray(found.at)
    for chunk, here in corpus.chunks():
        count = here.stop - here.start
        its = np.pad(label[here], (0, corpus.chunk - count)).astype(np.int32)
        mean, quadratic, part = jax.device_get(_moments(chunk, where, *arguments, its, sets))
        factor[here] = 1 + mean[:count]
        variance[here] = noise / pi[here] + quadratic[:count]
        pooled += part
    share = np.bincount(label, pi, sets)
    each = pooled / share[:, None]
    of_sets = noise / share + np.einsum("sm,mn,sn->s", each, form, each)
    root = [np.sqrt(np.maximum(v, 0)) for v in (variance, of_sets)]
    return UnitSalience(factor, root[0], 1 + each @ alpha, root[1], share)
