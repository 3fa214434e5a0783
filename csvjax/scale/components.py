"""The mode of the law on a corpus, with the features of the law but without its groups of tokens.

    z[u] = tau sum_p X[u, p] w[p],   X = D' V / sqrt(P lambda)       V, lambda: the P leading eigenvectors of D pi D'
         = sum_m c[m] loss[m, u] / bytes[u] + constant,   c = tau V w / sqrt(P lambda)

X are the principal components of the losses, as in `csvjax.law.units.features_of` (D keeps what models share). Since z
is itself a weighted sum of losses, it can be computed from a chunk: no array as long as the text is kept, and

    d f / d c[m] = sum_u (d f / d z[u]) loss[m, u] / bytes[u]

is one more product with the same chunk. The search is over w, tau and the parameters of the law: about twenty numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from csvjax.infer.result import Status
from csvjax.law.model import Law
from csvjax.precision import float64
from csvjax.scale.corpus import Chunk, Corpus
from csvjax.scale.free import prior_constant, start_of, status_of
from csvjax.scale.gram import gram
from csvjax.scale.kernels import backward, forward
from csvjax.scale.stream import Sums, chunk_pull, chunk_sums, merge, single
from csvjax.scale.target import Target, inner_law, potential
from csvjax.types import AnyArray

__all__ = ["ComponentFit", "component_z", "fit_components", "tilt_pull", "tilt_sums"]

_LEAST = 1e-6  # of the largest singular value: smaller ones are rounding errors (as in `features_of`)


class ComponentFit(NamedTuple):
    """x: parameters of the `inner_law`. tau. w [component]. c [lm]: z[u] = sum_m c[m] loss[m, u] / bytes[u]. psi: the
    salient loss of each model of the corpus, nats per byte.
    """

    x: Float[np.ndarray, " n"]
    tau: float
    w: Float[np.ndarray, " component"]
    c: Float[np.ndarray, " lm"]
    psi: Float[np.ndarray, " lm"]
    potential: float
    evaluations: int
    status: Status


def _z(chunk: Chunk, c: Array) -> Float[Array, "column unit"]:
    return backward(chunk.loss, c) * chunk.per_byte


@jax.jit
def _sums(chunk: Chunk, c: Array) -> Sums:
    return chunk_sums(chunk, _z(chunk, c))


@jax.jit
def _pull(chunk: Chunk, c: Array, sums: Sums, g: Array) -> Array:
    return forward(chunk.loss, chunk_pull(chunk, _z(chunk, c), sums, g) * chunk.per_byte)


def tilt_sums(corpus: Corpus, c: Float[AnyArray, "lm column"]) -> Sums:
    """The sums over the whole text for z = c' loss / bytes, in one pass."""
    found: Sums | None = None
    c = jnp.asarray(c, jnp.float32)
    for chunk, _ in corpus.chunks():
        part = _sums(chunk, c)
        found = part if found is None else merge(found, part)
        corpus.wait(found)
    assert found is not None
    return found


def tilt_pull(
    corpus: Corpus, c: Float[AnyArray, "lm column"], sums: Sums, g: Float[AnyArray, "lm column"]
) -> Float[np.ndarray, "lm column"]:
    """d f / d c through z, given g = d f / d psi, in one pass. (The losses that z weights do not depend on c.)"""
    total = np.zeros(np.shape(c))
    c, g, sums = jnp.asarray(c, jnp.float32), jnp.asarray(g, jnp.float32), single(sums)
    for chunk, _ in corpus.chunks():
        total += np.asarray(_pull(chunk, c, sums, g), float)
    return total


def component_z(corpus: Corpus, c: Float[np.ndarray, " lm"]) -> Float[np.ndarray, " unit"]:
    """z of every unit, up to a constant, in one pass."""
    found = np.empty(corpus.units, np.float32)
    run = jax.jit(_z)
    for chunk, at in corpus.chunks():
        found[at] = np.asarray(run(chunk, jnp.asarray(c[:, None], jnp.float32)))[0, : at.stop - at.start]
    return found


def _basis(corpus: Corpus, at: np.ndarray, components: int) -> Float[np.ndarray, "lm component"]:
    """c of each component for tau = 1: V / sqrt(P lambda) in the rows of the models `at`."""
    values, vectors = np.linalg.eigh(gram(corpus, at, shared=True).gram)
    values, vectors = values[::-1][:components], vectors[:, ::-1][:, :components]
    kept = np.sqrt(np.maximum(values, 0)) > _LEAST * np.sqrt(values[0])
    found = np.zeros((len(corpus.lms), components))
    found[np.ix_(at, np.flatnonzero(kept))] = vectors[:, kept] / np.sqrt(components * values[kept])
    return found


@float64
def fit_components(corpus: Corpus, target: Target, law: Law, *, steps: int = 200, seed: int = 0) -> ComponentFit:
    """The mode. steps: most iterations of L-BFGS (SciPy)."""
    inner, strength, count = inner_law(law), law.priors.strength, 0
    seen = np.asarray(target.evidence.seen)[:, 0] & np.asarray(target.evidence.has_loss)
    train = np.asarray(target.at)[np.asarray(target.row)[seen]]
    basis = _basis(corpus, train, law.features)
    mean = np.asarray(tilt_sums(corpus, np.zeros((len(corpus.lms), 1))).psi[:, 0], float)
    begin = start_of(law, target, mean, seed)
    n, metric = len(begin.x), np.asarray(begin.metric)

    def evaluate(p: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count
        count += 1
        tau, w = np.exp(p[n]), p[n + 1 :]
        c = (tau * basis @ w)[:, None]
        sums = tilt_sums(corpus, c)
        psi = np.asarray(sums.psi[:, 0], float)
        value, (dx, dpsi) = potential(inner, jnp.asarray(begin.x + metric @ p[:n]), jnp.asarray(psi[target.at]), target)
        g = np.zeros((len(psi), 1))
        g[target.at, 0] = dpsi
        dw = tau * basis.T @ tilt_pull(corpus, c, sums, g)[:, 0]
        pull = np.concatenate([metric.T @ np.asarray(dx), [w @ dw + (tau / strength) ** 2 - 1], dw + w])
        return float(value) + 0.5 * float(w @ w) + 0.5 * (tau / strength) ** 2 - p[n], pull

    at = np.concatenate([np.zeros(n), [np.log(strength / 2)], np.zeros(law.features)])
    options: dict[str, Any] = {"maxiter": steps, "gtol": 1e-3, "ftol": 1e-12, "maxcor": 20}
    minimize: Any = scipy.optimize.minimize  # its type stubs do not allow a function that returns value and gradient
    found = minimize(evaluate, at, jac=True, method="L-BFGS-B", options=options)
    tau, w = float(np.exp(found.x[n])), found.x[n + 1 :]
    c = tau * basis @ w
    psi = np.asarray(tilt_sums(corpus, c[:, None]).psi[:, 0], float)
    left = 0.5 * float(found.jac @ found.hess_inv.matvec(found.jac))
    x = np.asarray(begin.x) + metric @ found.x[:n]
    value = float(found.fun) + prior_constant(law.features, strength)
    return ComponentFit(x, tau, w, c, psi, value, count, status_of(left, int(found.nit)))
