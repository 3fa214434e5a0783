"""The density of the law for one benchmark, given the salient loss of every model.

A benchmark without shared capabilities (`Law(capabilities=0)`) depends on a text through one number per model, psi. So
the law that is fitted here is `csvjax.law.model` itself, with psi as the losses of a text of one unit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from csvjax.compiled import jit_by_size
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.law.density import law_density
from csvjax.law.evidence import make_evidence
from csvjax.law.model import Evidence, Law
from csvjax.types import AnyArray

__all__ = ["Target", "inner_law", "potential", "target_of", "with_psi"]


class Target(NamedTuple):
    """evidence: of one benchmark, without its losses. at: the index in the corpus of each model that has losses, in the
    order of the dataset. row: for each model of the dataset its index among these, or their number if it has no losses.
    """

    evidence: Evidence
    at: Int[AnyArray, " known"]
    row: Int[AnyArray, " lm"]


def inner_law(law: Law) -> Law:
    """The law of one benchmark given psi, without salience: tau is a parameter of the code that computes psi."""
    return replace(law, capabilities=0, own=False, priors=law.priors._replace(strength=0.0))


def target_of(
    dataset: Dataset,
    benchmark: str,
    law: Law,
    lms: tuple[str, ...],
    mean_loss: Float[np.ndarray, " lm"],
    seen: Bool[np.ndarray, "lm benchmark"] | None = None,
) -> Target:
    """The data on one benchmark. lms, mean_loss: models of the corpus, and their mean loss in nats per byte.

    seen: scores of the dataset to fit; None: all scores.
    Raises: InputError for a dataset without scores, an unknown benchmark, and fewer than three models with a score and
    losses.
    """
    if dataset.scores is None:
        raise InputError("expected a dataset with scores, found one without; pass scores to align")
    scores = dataset.scores.select(benchmarks=[benchmark])
    shown = np.isfinite(dataset.scores.score) if seen is None else seen
    mask = shown[:, [dataset.scores.benchmarks.index(benchmark)]] & np.isfinite(scores.score)
    place = {name: i for i, name in enumerate(lms)}
    has = np.array([name in place for name in dataset.lms.index])
    train = has & mask[:, 0]
    if train.sum() < 3:
        raise InputError(
            f"expected at least 3 models with losses and a score of {benchmark!r}, found {train.sum()}; add losses of "
            "more models, or make the names of models in both tables agree"
        )
    at = np.array([place[name] for name in dataset.lms.index[has]])
    evidence, _ = make_evidence(Dataset(dataset.lms, scores), mask, inner_law(law))
    evidence = evidence._replace(
        has_loss=has,
        log_base=np.zeros(1),
        features=np.zeros((1, 0)),
        lacking=np.zeros(0 if has.all() else 1),
        reference_design=np.asarray(evidence.design)[has],
    )
    scale = np.maximum(np.std(mean_loss[[place[name] for name in dataset.lms.index[train]]]), 1e-9)
    return Target(evidence._replace(scale=scale), at, np.where(has, np.cumsum(has) - 1, len(at)))


def with_psi(target: Target, psi: Float[Array, " known"]) -> Evidence:
    """The evidence in which the models with losses have the salient losses psi, in nats per byte."""
    loss = jnp.take(psi, target.row, mode="fill", fill_value=0.0)
    return target.evidence._replace(loss=loss[:, None], reference_loss=psi[:, None])


@partial(jit_by_size, static=("law",))
def potential(law: Law, x: Array, psi: Array, target: Target) -> tuple[Array, tuple[Array, Array]]:
    """-log p(scores, x | psi) and its gradients in x, the unconstrained parameters of the `inner_law`, and in psi."""

    def value(x: Array, psi: Array) -> Array:
        return law_density(law).potential(x, with_psi(target, psi))

    return jax.value_and_grad(value, (0, 1))(x, psi)
