"""The latent law: capabilities are linear in size and tokens with correlated family effects; scores are Beta.

    mu[m, b] = floor[b] + (1 - floor[b]) sigmoid((x[m] . B + a[f(m)]) . Lambda[:, b] + c[b])
    y[m, b]  ~ Beta(phi[b] mu, phi[b] (1 - mu)),   a[f] ~ Normal(0, R), R a correlation matrix

x: standardised log size, log tokens and their product; Lambda is diagonal and positive on the first K benchmarks (arXiv
2512.06553). The authors maximise the likelihood by Monte Carlo on a GPU. Here the effects of each family have a normal
approximation, and the lower bound of the likelihood is maximised over it and the parameters, from several starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm, qmc

from csvjax.baselines.method import NotApplicable, generator
from csvjax.baselines.view import Need, View
from csvjax.precision import float64
from csvjax.types import AnyArray

__all__ = ["LatentFit", "LatentLaw", "latent_law"]

_POINTS = 16  # points at which the effects of a family are averaged, in pairs of opposite sign
_STARTS, _SHORT, _LONG = 4, 150, 1500
_EDGE = 1e-3
_LEAST = 1e-6


@dataclass(frozen=True)
class LatentLaw:
    """The method with K = `capabilities`."""

    capabilities: int
    name: str = "latent law with a beta likelihood"
    source: str = "arXiv 2512.06553"
    needs: frozenset[Need] = frozenset({"compute", "family"})

    @float64
    def fit(self, view: View, key: jax.Array) -> LatentFit:
        """Maximise the lower bound of the likelihood of the training scores.

        Raises: NotApplicable if no training row has size and tokens.
        """
        view = view.only(self.needs)
        raw = _amounts(view)
        rows = view.train & np.isfinite(raw).all(axis=1)
        if not rows.any():
            raise NotApplicable("expected training rows with size and tokens, found none; give params and tokens")
        centre, unit = raw[rows].mean(axis=0), raw[rows].std(axis=0)
        unit = np.where(unit > 0, unit, 1.0)
        families, member = np.unique(view.family[rows], return_inverse=True)
        y = view.target[rows]
        row, benchmark = np.nonzero(~np.isnan(y))
        cells = Cells(
            (raw[rows] - centre) / unit, np.clip(y[row, benchmark], _EDGE, 1 - _EDGE), row, benchmark, member[row]
        )
        k = min(self.capabilities, y.shape[1])
        counts = Counts(k, y.shape[1], len(families))
        drawn = norm.ppf(qmc.Sobol(k, seed=0).random(_POINTS // 2) * (1 - 1e-6) + 5e-7)
        noise = jnp.asarray(np.concatenate([drawn, -drawn]))
        floor = view.bounds[0]

        def bound(p: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = _bound_and_slope(p, counts, cells, floor, noise)
            return float(value), np.asarray(slope)

        def descend(start: np.ndarray, steps: int) -> tuple[float, np.ndarray]:
            found = minimize(bound, start, jac=True, method="L-BFGS-B", options={"maxiter": steps})
            return float(found.fun), found.x

        rng = generator(key)
        short = [descend(_start(counts, cells, floor, rng), _SHORT) for _ in range(_STARTS)]
        loss, x = descend(min(short, key=lambda fit: fit[0])[1], _LONG)
        parts = jax.tree.map(np.asarray, _unpack(jnp.asarray(x), counts))
        return LatentFit(self, parts, centre, unit, families, floor, -loss)


class Cells(NamedTuple):
    """Standardised amounts x [row, 3], and score, row, benchmark and family of each observed cell."""

    x: Float[AnyArray, "row amount"]
    y: Float[AnyArray, " cell"]
    row: Int[AnyArray, " cell"]
    benchmark: Int[AnyArray, " cell"]
    family: Int[AnyArray, " cell"]


class Counts(NamedTuple):
    """Numbers of capabilities, benchmarks and families."""

    capabilities: int
    benchmarks: int
    families: int


class Parts(NamedTuple):
    """The parameters.

    Attributes:
        gain: B [amount, k].
        loading: Lambda [k, benchmark].
        intercept: c [benchmark].
        log_phi: log phi [benchmark].
        root: Cholesky factor of R [k, k].
        mean: mean of the family effects before multiplication by the root [family, k].
        log_sd: log standard deviation of these effects [family, k].
    """

    gain: Float[Array, "amount k"]
    loading: Float[Array, "k benchmark"]
    intercept: Float[Array, " benchmark"]
    log_phi: Float[Array, " benchmark"]
    root: Float[Array, "k k"]
    mean: Float[Array, "family k"]
    log_sd: Float[Array, "family k"]


def _unpack(p: Array, counts: Counts) -> Parts:
    k, b, f = counts
    sizes = [3 * k, k, k * (b - k), b, b, k * (k + 1) // 2, f * k, f * k]
    gain, diagonal, free, intercept, log_phi, low, mean, log_sd = jnp.split(p, np.cumsum(sizes)[:-1])
    loading = jnp.hstack([jnp.diag(jnp.exp(diagonal)), free.reshape(k, b - k)])
    root = jnp.zeros((k, k)).at[np.tril_indices(k)].set(low)
    root = root / jnp.sqrt(jnp.sum(root**2, axis=1, keepdims=True))
    return Parts(gain.reshape(3, k), loading, intercept, log_phi, root, mean.reshape(f, k), log_sd.reshape(f, k))


def _start(counts: Counts, cells: Cells, floor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    k, b, f = counts
    mean = np.array([cells.y[cells.benchmark == j].mean() for j in range(b)])
    intercept = logit(np.clip((mean - floor) / (1 - floor), 0.02, 0.98))
    low = np.eye(k)[np.tril_indices(k)] + 0.1 * rng.standard_normal(k * (k + 1) // 2)
    free = 0.3 * rng.standard_normal(k * (b - k)) + 0.3
    parts = [0.3 * rng.standard_normal(3 * k) + 0.2, np.full(k, -0.7), free, intercept, np.full(b, 4.0), low]
    return np.concatenate([*parts, 0.1 * rng.standard_normal(f * k), np.full(f * k, -1.0)])


def _bound(p: Array, counts: Counts, cells: Cells, floor: AnyArray, noise: Float[Array, "point k"]) -> Float[Array, ""]:
    """Minus the lower bound of the log-likelihood, divided by the number of cells."""
    parts = _unpack(p, counts)
    effect = (parts.mean + jnp.exp(parts.log_sd) * noise[:, None, :]) @ parts.root.T  # [point, family, k]
    theta = (cells.x @ parts.gain)[cells.row] + effect[:, cells.family]
    eta = jnp.sum(theta * parts.loading.T[cells.benchmark], axis=-1) + parts.intercept[cells.benchmark]
    low = floor[cells.benchmark]
    mu = jnp.clip(low + (1 - low) * jax.nn.sigmoid(eta), _LEAST, 1 - _LEAST)
    phi = jnp.exp(parts.log_phi)[cells.benchmark]
    first, second = phi * mu, phi * (1 - mu)
    likelihood = gammaln(phi) - gammaln(first) - gammaln(second)
    likelihood += (first - 1) * jnp.log(cells.y) + (second - 1) * jnp.log1p(-cells.y)
    apart = 0.5 * jnp.sum(parts.mean**2 + jnp.exp(2 * parts.log_sd) - 1 - 2 * parts.log_sd)
    return (apart - jnp.sum(jnp.mean(likelihood, axis=0))) / len(cells.y)


_bound_and_slope = jax.jit(jax.value_and_grad(_bound), static_argnames="counts")


@dataclass(frozen=True, eq=False)
class LatentFit:
    """The fitted law. `bound` is the lower bound of the log-likelihood per cell. A new family has effects of 0."""

    method: LatentLaw
    parts: Parts
    centre: Float[np.ndarray, " amount"]
    unit: Float[np.ndarray, " amount"]
    families: np.ndarray
    floor: Float[np.ndarray, " target"]
    bound: float

    def predict(self, view: View) -> Float[np.ndarray, "row target"]:
        """mu at the mean of the family effects."""
        view = view.only(self.method.needs)
        mean, _ = self._effects(view)
        return self._mu(view, mean)

    def draws(self, view: View, key: jax.Array, count: int) -> Float[np.ndarray, "draw row target"]:
        """Beta draws at draws of the family effects; as published, the parameters are fixed at their optimum."""
        view, rng = view.only(self.method.needs), generator(key)
        mean, sd = self._effects(view)
        mu = self._mu(view, mean + sd * rng.standard_normal((count, 1, mean.shape[1])))
        phi = np.exp(self.parts.log_phi)
        known = np.where(np.isnan(mu), 0.5, np.clip(mu, _LEAST, 1 - _LEAST))
        return np.where(np.isnan(mu), np.nan, rng.beta(phi * known, phi * (1 - known)))

    def _effects(self, view: View) -> tuple[np.ndarray, np.ndarray]:
        at = np.searchsorted(self.families, view.family)
        at = np.where(at < len(self.families), at, 0)
        known = (self.families[at] == view.family)[:, None]
        return np.where(known, self.parts.mean[at], 0.0), np.where(known, np.exp(self.parts.log_sd[at]), 1.0)

    def _mu(self, view: View, effect: np.ndarray) -> np.ndarray:
        x = (_amounts(view) - self.centre) / self.unit
        theta = x @ self.parts.gain + effect @ np.asarray(self.parts.root).T
        return self.floor + (1 - self.floor) * expit(theta @ self.parts.loading + self.parts.intercept)


def _amounts(view: View) -> Float[np.ndarray, "row 3"]:
    size, tokens = np.log(view.params / 1e9), np.log(view.tokens / 1e12)
    return np.column_stack([size, tokens, size * tokens])


def latent_law() -> LatentLaw:
    """The law with four capabilities, the published number, which has the smallest error on the test models."""
    return LatentLaw(4)
