"""What a competing method may see: every row of a dataset, without the scores that it is to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from csvjax import names
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError

__all__ = ["Need", "View", "hide"]

Need = Literal["scores", "compute", "family", "losses"]


@dataclass(frozen=True, eq=False)
class View:
    """Arrays over the rows (language models) of one prediction problem; made by `hide`.

    `family` [row]: "" where not to be seen. `params`, `tokens`, `flops` [row]: counts, NaN where unknown. `score`
    [row, predictor]: benchmarks that are not to be predicted, fractions, NaN where unknown. `target` [row, target]:
    fractions of the training rows, NaN everywhere else: this is what says which rows are for training. `floor`,
    `ceiling`, `n_items` [target] and `score_floor`, `score_ceiling`, `score_n_items` [predictor] as in a `ScoreTable`.
    `loss` [row, unit] nats, NaN where not to be seen, and `size` [unit] bytes; both empty without losses.
    """

    family: Shaped[np.ndarray, " row"]
    params: Float[np.ndarray, " row"]
    tokens: Float[np.ndarray, " row"]
    flops: Float[np.ndarray, " row"]
    score: Float[np.ndarray, "row predictor"]
    target: Float[np.ndarray, "row target"]
    loss: Float[np.ndarray, "row unit"]
    floor: Float[np.ndarray, " target"]
    ceiling: Float[np.ndarray, " target"]
    n_items: Float[np.ndarray, " target"]
    score_floor: Float[np.ndarray, " predictor"]
    score_ceiling: Float[np.ndarray, " predictor"]
    score_n_items: Float[np.ndarray, " predictor"]
    size: Float[np.ndarray, " unit"]

    @property
    def train(self) -> Bool[np.ndarray, " row"]:
        """The rows with a target that may be seen."""
        return ~np.isnan(self.target).all(axis=1)

    @property
    def bounds(self) -> tuple[Float[np.ndarray, " target"], Float[np.ndarray, " target"]]:
        """Floor and ceiling of each target, 0 and 1 where unknown."""
        floor, ceiling = self.all_bounds
        return floor[: len(self.floor)], ceiling[: len(self.ceiling)]

    @property
    def all_bounds(self) -> tuple[Float[np.ndarray, " benchmark"], Float[np.ndarray, " benchmark"]]:
        """The same of targets and predictors, in this order."""
        floor, ceiling = np.append(self.floor, self.score_floor), np.append(self.ceiling, self.score_ceiling)
        return np.nan_to_num(floor), np.nan_to_num(ceiling, nan=1.0)

    def only(self, needs: frozenset[Need]) -> View:
        """The view without what is not needed of the rows to predict; the training rows stay as they are."""
        hidden = ~self.train

        def blank(array: np.ndarray, value: float | str = np.nan) -> np.ndarray:
            kept = array.copy()
            kept[hidden] = value
            return kept

        view = self
        if "family" not in needs:
            view = replace(view, family=blank(view.family, ""))
        if "compute" not in needs:
            view = replace(view, params=blank(view.params), tokens=blank(view.tokens), flops=blank(view.flops))
        if "scores" not in needs:
            view = replace(view, score=blank(view.score))
        if "losses" not in needs:
            view = replace(view, loss=blank(view.loss))
        return view

    def take(self, rows: Int[np.ndarray, " taken"] | Bool[np.ndarray, " row"]) -> View:
        """The view of these rows, in this order; a row may come twice."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _OF_ROWS})


_OF_ROWS = tuple(f.name for f in fields(View))[:7]


def hide(
    dataset: Dataset, train: Bool[np.ndarray, " lm"] | Bool[np.ndarray, "lm target"], targets: Sequence[str]
) -> View:
    """The view of `dataset` in which the benchmarks `targets` are known of the rows or cells `train` alone.

    Raises: InputError for a dataset without scores or with scores that are no fractions, targets that it does not have,
    and a target without a score in the training rows.
    """
    if dataset.scores is None:
        raise InputError("expected a dataset with scores, found one without; give scores to align")
    if not dataset.scores.bounded.all():
        name = dataset.scores.benchmarks[int(np.argmin(dataset.scores.bounded))]
        raise InputError(
            f"expected scores that are fractions, which is what all methods know, found {name!r} in another unit; "
            f"leave the benchmark out"
        )
    at = names.positions(targets, dataset.scores.benchmarks, "benchmark")
    rest = np.setdiff1d(np.arange(len(dataset.scores.benchmarks)), at)
    target = np.where(train if train.ndim == 2 else train[:, None], dataset.scores.score[:, at], np.nan)
    for name, column in zip(targets, target.T, strict=True):
        if np.isnan(column).all():
            raise InputError(f"expected scores of target {name!r} in the training rows, found none; drop the target")
    lms, losses = dataset.lms, dataset.losses
    return View(
        family=lms["family"].to_numpy(str),
        params=lms["params"].to_numpy(float),
        tokens=lms["tokens"].to_numpy(float),
        flops=lms["flops"].to_numpy(float),
        score=dataset.scores.score[:, rest],
        target=target,
        loss=np.empty((len(lms), 0)) if losses is None else np.asarray(losses.loss, float),
        floor=dataset.scores.floor[at],
        ceiling=dataset.scores.ceiling[at],
        n_items=dataset.scores.n_items[at],
        score_floor=dataset.scores.floor[rest],
        score_ceiling=dataset.scores.ceiling[rest],
        score_n_items=dataset.scores.n_items[rest],
        size=np.empty(0) if losses is None else losses.units["bytes"].to_numpy(float),
    )
