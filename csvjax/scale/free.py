"""The mode of the law for one benchmark, with a salience that is free on every unit of a corpus.

    z[u] = tau y[u] / sqrt(P pi[u]),    y[u] ~ Normal(0, 1),    tau ~ HalfNormal(strength)
    - log p = potential of the law(x, psi(z)) + sum_u y[u]^2 / 2 + (tau / strength)^2 / 2 - log tau

The prior is white noise in the measure of bytes: if a text is cut into finer units, the prior of psi does not change. P
(`Law.features`) is the number of independent pieces that the text counts as. With it psi has, to first order, the same
prior as in the law of groups, where z is spanned by P components. The search is L-BFGS (SciPy) over the parameters of
the law (in the metric of their curvature), log tau and y together; each evaluation is two passes over the losses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Float

from csvjax.infer.map import Map, Optimum, find_mode
from csvjax.infer.result import Status
from csvjax.law.density import law_density
from csvjax.law.model import Law
from csvjax.precision import float64
from csvjax.scale.corpus import Corpus
from csvjax.scale.stream import pulled, salient_losses
from csvjax.scale.target import Target, inner_law, potential, with_psi

__all__ = ["FreeFit", "fit_free", "prior_constant", "start_of", "status_of"]


_LEFT = 1e-2  # nats


class FreeFit(NamedTuple):
    """x: parameters of the `inner_law`. tau. z [unit]: salience is softmax(log pi + z). psi: salient loss of each model
    of the corpus, nats per byte. evaluations: number of evaluations of value and gradient.
    """

    x: Float[np.ndarray, " n"]
    tau: float
    z: Float[np.ndarray, " unit"]
    psi: Float[np.ndarray, " lm"]
    potential: float
    evaluations: int
    status: Status


@float64
def start_of(law: Law, target: Target, psi: Float[np.ndarray, " lm"], seed: int = 0) -> Optimum:
    """The mode of the law's own parameters, given psi of every model of the corpus, and the curvature at the mode."""
    density, data = law_density(inner_law(law)), with_psi(target, jnp.asarray(psi[target.at], float))
    data = jax.tree.map(jnp.asarray, data)
    return jax.device_get(find_mode(density, Map(starts=4), data, jax.random.key(seed)))


@float64
def fit_free(
    corpus: Corpus, target: Target, law: Law, *, steps: int = 200, tolerance: float = 1e-3, seed: int = 0
) -> FreeFit:
    """The mode. steps: most iterations of L-BFGS. tolerance: largest component of the gradient at the end."""
    inner, strength = inner_law(law), law.priors.strength
    root = 1 / np.sqrt(law.features * corpus.base_weight)
    mean = np.asarray(salient_losses(corpus, np.zeros((1, corpus.units), np.float32)).psi[:, 0], float)
    begin = start_of(law, target, mean, seed)
    n, count, metric = len(begin.x), 0, begin.metric  # metric: the curvature of the law is one in it
    spread = root.astype(np.float32)

    def evaluate(p: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count
        count += 1
        tau, y = np.exp(p[n]), p[n + 1 :]
        z = (np.float32(tau) * spread * y.astype(np.float32))[None]
        sums = salient_losses(corpus, z)
        psi = np.asarray(sums.psi[:, 0], float)
        value, (dx, dpsi) = potential(inner, jnp.asarray(begin.x + metric @ p[:n]), jnp.asarray(psi[target.at]), target)
        g = np.zeros((len(psi), 1))
        g[target.at, 0] = dpsi
        dz = pulled(corpus, z, sums, g)[0] * spread
        pull = np.empty_like(p)
        pull[:n] = metric.T @ np.asarray(dx)
        pull[n] = tau * float(np.dot(dz, y)) + (tau / strength) ** 2 - 1
        pull[n + 1 :] = tau * dz + y
        return float(value) + 0.5 * float(np.dot(y, y)) + 0.5 * (tau / strength) ** 2 - p[n], pull

    at = np.concatenate([np.zeros(n), [np.log(strength / 2)], np.zeros(corpus.units)])
    options: dict[str, Any] = {"maxiter": steps, "gtol": tolerance, "ftol": 1e-12, "maxcor": 20}
    minimize: Any = scipy.optimize.minimize  # its type stubs do not allow a function that returns value and gradient
    found = minimize(evaluate, at, jac=True, method="L-BFGS-B", options=options)
    left = 0.5 * float(found.jac @ found.hess_inv.matvec(found.jac))
    tau = float(np.exp(found.x[n]))
    z = np.float32(tau) * spread * found.x[n + 1 :].astype(np.float32)
    psi = np.asarray(salient_losses(corpus, z[None]).psi[:, 0], float)
    status = status_of(left, int(found.nit))
    value = float(found.fun) + prior_constant(corpus.units, strength)
    return FreeFit(np.asarray(begin.x) + metric @ found.x[:n], tau, z, psi, value, count, status)


def prior_constant(normals: int, strength: float) -> float:
    """Normalising constants of the log densities of this many Normal(0, 1) and of a HalfNormal(strength)."""
    return 0.5 * normals * np.log(2 * np.pi) + np.log(strength * np.sqrt(np.pi / 2))


def status_of(left: float, steps: int) -> Status:
    """left: gain in log density from another step, nats. The search ends at the rounding errors of float32 losses."""
    if left <= _LEFT:
        return Status(True, f"converged after {steps} steps: another would raise the density by {left:.1g} nats")
    return Status(
        False,
        f"not converged after {steps} steps: another would raise the density by {left:.2g} nats, which should be "
        f"below {_LEFT:g}; allow more steps",
    )
