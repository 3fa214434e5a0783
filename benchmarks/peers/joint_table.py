"""A table that the joint law itself made, the same numbers in every process."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from csvjax.law.density import Density
from csvjax.laws.fit_joint import joint_density
from csvjax.laws.joint_model import JointEvidence, JointPriors

__all__ = ["joint_table"]

ITEMS, SEED = 500.0, 11


def joint_table(lms: int, benchmarks: int, families: int, capabilities: int) -> tuple[Density, JointEvidence]:
    """The density, and scores of 500 items of which every fifth is blank; 64-bit types have to be enabled.

    Parameters are half of a draw from their prior, the field is a draw from its own.
    """
    e = JointEvidence(
        score=np.zeros((lms, benchmarks)),
        seen=np.arange(lms * benchmarks).reshape(lms, benchmarks) % 5 > 0,
        weight=np.ones(lms),
        n_items=np.full(benchmarks, ITEMS),
        floor=np.where(np.arange(benchmarks) % 2, 0.25, 0.0),
        ceiling=np.ones(benchmarks),
        covariate=np.linspace(-1.7, 1.7, lms)[:, None],
        known=np.ones((lms, 1), bool),
        family=np.arange(lms) % families,
        families=np.zeros(families),
        loss=np.zeros((lms, 0)),
    )
    density = joint_density(capabilities, JointPriors(ceiling=float("inf")))  # as the chances below
    key_x, key_family, key_own, key_cell = jax.random.split(jax.random.key(SEED), 4)
    sites = jax.jit(density.constrain)(0.5 * density.start(key_x, e), e)
    shared = jax.random.normal(key_family, (families, sites["shared"].shape[1])) @ sites["shared"].T
    own = jnp.einsum("mbk,mk->mb", sites["own"], jax.random.normal(key_own, (lms, sites["own"].shape[2])))
    u = sites["trend"] + shared[e.family] + own
    u += sites["spread"] * jax.random.normal(key_cell, u.shape)
    chance = np.asarray(e.floor + (1 - e.floor) * jax.nn.sigmoid(u))
    score = np.random.default_rng(SEED).binomial(int(ITEMS), chance) / ITEMS
    return density, jax.tree.map(jnp.asarray, e._replace(score=np.where(e.seen, score, 0.0)))
