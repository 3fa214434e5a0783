"""Small evidence for tests of the law, written down rather than read from a dataset."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from csvjax.compiled import jit_by_size
from csvjax.law.density import Density, Sites, law_density
from csvjax.law.groups import make_groups
from csvjax.law.links import fractions
from csvjax.law.model import Evidence, Law
from csvjax.precision import float64

LMS, BENCHMARKS, FAMILIES = 9, 3, 3


def evidence(
    lms: int = LMS,
    benchmarks: int = BENCHMARKS,
    families: int = FAMILIES,
    covariates: int = 1,
    units: int = 0,
    n_items: float = 100.0,
    lacking: tuple[int, ...] = (),
) -> Evidence:
    """Nothing seen; whole numbers of models in each family, two to a run. lacking: models without losses."""
    rng = np.random.default_rng(3)
    family = np.arange(lms) % max(families, 1)
    covariate = np.hstack([np.linspace(-1.5, 1.5, lms)[:, None], rng.normal(size=(lms, 3))])[:, :covariates]
    has_loss = ~np.isin(np.arange(lms), lacking)
    loss = rng.normal(1.0, 0.1, (lms, units)) - 0.05 * covariate[:, :1].sum(axis=1, keepdims=True)
    design = np.hstack([np.ones((lms, 1)), covariate])
    return Evidence(
        score=np.zeros((lms, benchmarks)),
        seen=np.zeros((lms, benchmarks), bool),
        weight=np.ones(lms),
        n_items=np.full(benchmarks, n_items),
        floor=np.zeros(benchmarks),
        floor_most=np.full(benchmarks, 0.5),
        floor_near=np.zeros(benchmarks, bool),
        ceiling=np.full(benchmarks, np.nan),
        flat=np.zeros(benchmarks, bool),
        standard=fractions(benchmarks),
        covariate=covariate,
        missing=np.zeros((lms, covariates, 0)),
        groups=jax.tree.map(jnp.asarray, make_groups(family, np.arange(lms) // 2 // max(families, 1))),
        loss=np.where(has_loss[:, None], loss, 0.0),
        has_loss=has_loss,
        log_base=np.log(rng.dirichlet(np.full(units, 5.0))) if units else np.zeros(0),
        features=rng.normal(size=(units, 2 if units else 1)),
        scale=np.asarray(0.1),
        reference_loss=loss[has_loss],
        reference_design=design[has_loss],
        design=design,
        lacking=np.zeros(0 if has_loss.all() else 1),
    )


def unknown(e: Evidence, *rows: int) -> Evidence:
    """The same with the first covariate not known of these models."""
    missing = np.zeros((*e.covariate.shape, 1))
    missing[list(rows), 0] = 1.0
    covariate = e.covariate.copy()
    covariate[list(rows), 0] = 0.0
    return e._replace(covariate=covariate, missing=missing)


def planted(e: Evidence, seed: int) -> Evidence:
    """Scores that rise with the covariate, of some 100 items, two cells not seen; unknown floor and number of items."""
    rng = np.random.default_rng(seed)
    lms, benchmarks = e.score.shape
    ability = np.linspace(-1.5, 1.5, lms)[:, None] + rng.normal(0, 0.5, (lms, 1)) + rng.normal(0, 0.2, e.score.shape)
    chance = 1 / (1 + np.exp(0.8 - 0.9 * ability))
    seen = np.ones(e.score.shape, bool)
    seen[0, 0] = seen[4, -1] = False
    score = np.where(seen, rng.binomial(100, chance) / 100, 0.0)
    floor, n_items = np.zeros(benchmarks), np.full(benchmarks, 100.0)
    floor[1:] = np.r_[0.1, np.nan][: benchmarks - 1]
    n_items[1] = np.nan
    return e._replace(score=score, seen=seen, floor=floor, n_items=n_items)


class Slopes:
    """Value and gradient of one density, compiled once for all tests of a module."""

    def __init__(self, law: Law) -> None:
        self.density: Density = law_density(law)
        self._of = jit_by_size(jax.value_and_grad(self.density.potential))
        self._constrain = jit_by_size(self.density.constrain)

    @float64
    def __call__(self, x: np.ndarray, e: Evidence) -> tuple[float, np.ndarray]:
        value, slope = self._of(jnp.asarray(x), e)
        return float(value), np.asarray(slope)

    @float64
    def size(self, e: Evidence) -> int:
        return len(jax.eval_shape(lambda: self.density.start(jax.random.key(0), e)))

    def start(self, seed: int, e: Evidence) -> np.ndarray:
        """Near the middle of the prior."""
        rng = np.random.default_rng(seed)
        sites = self.sites(0.5 * rng.standard_normal(self.size(e)), e)
        for name, typical in (("free_items", 300.0), ("typical_spread", 0.3)):
            sites[name] = sites[name] + np.log(typical)
        sites["intercept"] = sites["intercept"] - 1.0
        return flat(sites)

    @float64
    def constrain(self, x: np.ndarray, e: Evidence) -> Sites:
        return {name: np.asarray(value) for name, value in self._constrain(jnp.asarray(x), e).items()}

    @float64
    def sites(self, x: np.ndarray, e: Evidence) -> Sites:
        return {name: np.asarray(value) for name, value in self.density.unflatten(jnp.asarray(x), e).items()}


@float64
def flat(sites: Sites) -> np.ndarray:
    return np.asarray(ravel_pytree(sites)[0])


def salient(e: Evidence, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(psi - centre) / unit of each row of z, of the models and of the reference, and the units."""
    s = np.exp(e.log_base + z)
    s /= s.sum(axis=-1, keepdims=True)
    mine, reference = np.asarray(e.loss) @ np.atleast_2d(s).T, np.asarray(e.reference_loss) @ np.atleast_2d(s).T
    centre = reference.mean(axis=0)
    unit = np.sqrt(reference.var(axis=0) + (0.1 * np.asarray(e.scale)) ** 2)
    return (mine - centre) / unit, (reference - centre) / unit, unit
