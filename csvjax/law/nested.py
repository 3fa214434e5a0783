"""Inverses of covariances with effects of runs inside families, in closed form.

    N = diag(1 / weight) + run same_run + family 1 1'         one such matrix for each family and column

First the runs are integrated out, then the family (Sherman and Morrison, twice), so no matrix is factorised.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["Nested", "nested"]


class Nested(NamedTuple):
    """N^-1 = diag(weight) - same_run run_share weight weight' - family_share reduced reduced'.

    log_det: log det(N diag(weight)), summed over columns.
    """

    same_run: Bool[Array, "family slot slot"]
    weight: Float[Array, "family slot column"]
    run_share: Float[Array, "family slot column"]
    reduced: Float[Array, "family slot column"]
    family_share: Float[Array, "family 1 column"]
    log_det: Float[Array, " family"]

    def apply(self, pull: Float[Array, "family slot column"]) -> Float[Array, "family slot column"]:
        """N^-1 d, given pull = weight d."""
        pull = pull - self.run_share * self.weight * in_run(self.same_run, pull)
        return pull - self.family_share * self.reduced * jnp.sum(pull, axis=1, keepdims=True)

    def between(self, own: Float[Array, "family slot column factor"]) -> Float[Array, "family slot factor slot factor"]:
        """sum over columns c of own[m, c, k] N_c^-1[m, n] own[n, c, l]."""
        weighted = own * self.weight[..., None]
        alone = jnp.einsum("fmck,fmcl->fmkl", own, weighted)
        run = jnp.einsum("fmck,fncl->fmknl", weighted * self.run_share[..., None], weighted)
        left = own * self.reduced[..., None]
        family = jnp.einsum("fmck,fncl->fmknl", left * self.family_share[..., None], left)
        slots = own.shape[1]
        apart = alone[:, :, :, None, :] * jnp.eye(slots)[None, :, None, :, None]
        return apart - jnp.where(self.same_run[:, :, None, :, None], run, 0.0) - family

    def matrix(self) -> Float[Array, "family slot slot column"]:
        """N^-1."""
        apart = self.weight[:, :, None] * jnp.eye(self.weight.shape[1])[None, :, :, None]
        run = (self.run_share * self.weight)[:, :, None] * self.weight[:, None]
        family = (self.family_share * self.reduced)[:, :, None] * self.reduced[:, None]
        return apart - jnp.where(self.same_run[..., None], run, 0.0) - family


def nested(
    same_run: Bool[Array, "family slot slot"],
    weight: Float[Array, "family slot column"],
    run: Float[Array, " column"],
    family: Float[Array, " column"],
) -> Nested:
    """The inverse, from the variances of runs and of families. A slot of weight 0 has no information."""
    inside = in_run(same_run, weight)
    shrink = 1 / (1 + run * inside)
    reduced = weight * shrink
    total = jnp.sum(reduced, axis=1, keepdims=True)
    # A run fills as many slots as it has models, but counts once.
    each = jnp.log1p(run * inside) / jnp.sum(same_run, axis=2)[..., None]
    log_det = jnp.sum(each, axis=(1, 2)) + jnp.sum(jnp.log1p(family * total), axis=(1, 2))
    return Nested(same_run, weight, run * shrink, reduced, family / (1 + family * total), log_det)


def in_run(
    same_run: Bool[Array, "family slot slot"], x: Float[Array, "family slot column"]
) -> Float[Array, "family slot column"]:
    """Sums over the models of each slot's run."""
    return jnp.einsum("fmn,fnc->fmc", same_run.astype(x.dtype), x)
