"""The data that a method sees: all rows of a dataset, without the scores that it must predict."""

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
    """The rows (language models) of one prediction problem; `hide` makes it.

    Attributes:
        family: family, "" where hidden [row].
        params: number of parameters, NaN where unknown [row].
        tokens: number of training tokens, NaN where unknown [row].
        flops: training compute in FLOP, NaN where unknown [row].
        score: scores on benchmarks that are not predicted, fractions, NaN where unknown [row, predictor].
        target: scores on benchmarks to predict, fractions; NaN where hidden. Rows with a known target are training rows
            [row, target].
        loss: losses in nats, NaN where hidden; no units without losses [row, unit].
        floor: score of random guessing, NaN where unknown [target].
        ceiling: highest possible score, NaN where unknown [target].
        n_items: number of items, NaN where unknown [target].
        score_floor: as `floor`, for `score` [predictor].
        score_ceiling: as `ceiling`, for `score` [predictor].
        score_n_items: as `n_items`, for `score` [predictor].
        size: bytes of each unit [unit].
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
        """The training rows: those with a target that is not hidden."""
        return ~np.isnan(self.target).all(axis=1)

    @property
    def bounds(self) -> tuple[Float[np.ndarray, " target"], Float[np.ndarray, " target"]]:
        """Floor and ceiling of each target, 0 and 1 where unknown."""
        floor, ceiling = self.all_bounds
        return floor[: len(self.floor)], ceiling[: len(self.ceiling)]

    @property
    def all_bounds(self) -> tuple[Float[np.ndarray, " benchmark"], Float[np.ndarray, " benchmark"]]:
        """Floor and ceiling of each target and then of each predictor, 0 and 1 where unknown."""
        floor, ceiling = np.append(self.floor, self.score_floor), np.append(self.ceiling, self.score_ceiling)
        return np.nan_to_num(floor), np.nan_to_num(ceiling, nan=1.0)

    def only(self, needs: frozenset[Need]) -> View:
        """The view in which rows to predict show only what is in `needs`; training rows do not change."""
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
        """The view of these rows, in this order; rows may be repeated."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _OF_ROWS})


_OF_ROWS = tuple(f.name for f in fields(View))[:7]


def hide(
    dataset: Dataset, train: Bool[np.ndarray, " lm"] | Bool[np.ndarray, "lm target"], targets: Sequence[str]
) -> View:
    """The view of a dataset in which the targets are hidden except for the training rows or cells.

    Args:
        dataset: the data.
        train: rows or cells whose targets are shown [lm] or [lm, target].
        targets: benchmarks to predict.

    Raises: InputError for a dataset without scores or with scores that are not fractions, targets that it does not
    have, and a target without a score in the training rows.
    """
    if dataset.scores is None:
        raise InputError("expected a dataset with scores, found one without; pass scores to align")
    if not dataset.scores.bounded.all():
        name = dataset.scores.benchmarks[int(np.argmin(dataset.scores.bounded))]
        raise InputError(
            f"expected scores that are fractions, because all methods must be able to predict them, found {name!r} in "
            f"another unit; leave the benchmark out"
        )
    at = names.positions(targets, dataset.scores.benchmarks, "benchmark")
    rest = np.setdiff1d(np.arange(len(dataset.scores.benchmarks)), at)
    target = np.where(train if train.ndim == 2 else train[:, None], dataset.scores.score[:, at], np.nan)
    for name, column in zip(targets, target.T, strict=True):
        if np.isnan(column).all():
            raise InputError(
                f"expected scores of target {name!r} in the training rows, found none; leave out the target"
            )
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
