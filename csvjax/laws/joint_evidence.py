"""From a Dataset to the arrays that the joint law sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.law.units import Units, features_of
from csvjax.laws.joint_model import JointEvidence

__all__ = ["COVARIATES", "covariate_scale", "covariates", "joint_evidence", "log_amount"]

COVARIATES = ("params", "tokens", "flops")
"""Amounts whose natural logarithms, and products of these, are covariates: "flops", "params*tokens"."""

_UNIT = {"params": 1e9, "tokens": 1e12, "flops": 1e21}


def covariates(dataset: Dataset, names: Sequence[str]) -> Float[np.ndarray, "lm covariate"]:
    """Logarithms of params / 1e9, tokens / 1e12 and flops / 1e21, or their products, standardised over the models of
    which they are known; NaN where not known.

    Raises: InputError for other names, and for a covariate with fewer than two different values.
    """
    columns = [(_amounts(dataset, name) - centre) / scale for name, (centre, scale) in covariate_scale(dataset, names)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(dataset.lms), 0))


def covariate_scale(dataset: Dataset, names: Sequence[str]) -> list[tuple[str, tuple[float, float]]]:
    """Of each covariate the mean and the standard deviation over the models of which it is known.

    Raises: InputError as `covariates` does.
    """
    found = []
    for name in names:
        column = _amounts(dataset, name)
        known = column[np.isfinite(column)]
        if len(np.unique(known)) < 2:
            raise InputError(
                f"expected two or more different values of {name}, found {len(np.unique(known))} in "
                f"{len(dataset.lms)} models; leave this covariate out"
            )
        found.append((name, (float(known.mean()), float(known.std()))))
    return found


def _amounts(dataset: Dataset, name: str) -> np.ndarray:
    return log_amount({n: dataset.lms[n].to_numpy(float) for n in COVARIATES}, name)


def log_amount(amounts: Mapping[str, ArrayLike], name: str) -> Float[np.ndarray, " lm"]:
    """A covariate before it is standardised; NaN where an amount is not known.

    Raises: InputError for a name that is not made of `COVARIATES`.
    """
    column: np.ndarray = np.ones(())
    for part in name.split("*"):
        if part not in COVARIATES:
            raise InputError(
                f"expected covariates made of {', '.join(COVARIATES)}, found {name!r}; write for example "
                f"params*tokens for the product of two logarithms"
            )
        column = column * np.log(np.asarray(amounts[part], float) / _UNIT[part])
    return column


def joint_evidence(
    dataset: Dataset,
    seen: Bool[np.ndarray, "lm benchmark"],
    covariate_names: Sequence[str] = (),
    families: bool = True,
    units: Units | None = None,
    features: int = 12,
) -> JointEvidence:
    """Evidence in which the scores `seen` are known and every other score is zero before anything sees it.

    covariate_names: see `covariates`. families: whether models of a family share effects. units: losses in groups of
    tokens (`csvjax.law.units.group_units`), for the salience; its features and scale are shaped by the models of which
    a score is seen.

    Raises: InputError for a dataset without scores, a mask of another shape, and a model family that is not known.
    """
    scores = dataset.scores
    if scores is None:
        raise InputError("expected a dataset with scores, found one without; give scores to align")
    if seen.shape != scores.score.shape:
        raise InputError(f"expected a mask of shape {scores.score.shape}, found {seen.shape}; give [lm, benchmark]")
    mask = seen & np.isfinite(scores.score)
    x = covariates(dataset, covariate_names)
    names, family = np.unique(dataset.lms["family"].to_numpy(str), return_inverse=True)
    loss, log_base, shape, centre, scale = _losses(units, mask.any(axis=1), len(dataset.lms), features)
    return JointEvidence(
        score=np.where(mask, scores.score, 0.0).astype(float),
        seen=mask,
        weight=np.ones(len(dataset.lms)),
        n_items=scores.n_items.astype(float),
        floor=scores.floor.astype(float),
        ceiling=scores.ceiling.astype(float),
        covariate=np.nan_to_num(x),
        known=np.isfinite(x),
        family=family,
        families=np.zeros(len(names) if families else 0),
        loss=loss,
        log_base=log_base,
        features=shape,
        centre=centre,
        scale=scale,
    )


def _losses(
    units: Units | None, train: np.ndarray, lms: int, features: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """loss, log_base, features, centre and scale; without columns where there are no losses."""
    if units is None:
        return np.zeros((lms, 0)), np.zeros(0), np.zeros((0, 1)), np.asarray(0.0), np.asarray(1.0)
    mean = units.loss[train] @ units.weight
    return (
        units.loss,
        np.log(np.maximum(units.weight, 1e-300)),
        features_of(units.loss[train], units.weight, features),
        np.asarray(mean.mean()),
        np.asarray(np.maximum(mean.std(), 1e-9)),
    )
