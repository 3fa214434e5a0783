"""A published prediction problem: the data, what is held out, and what must be predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.evaluate.splits import Fold

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A prediction problem.

    Attributes:
        name: name of the problem.
        source: paper, repository and commit.
        dataset: all rows of the problem.
        fold: the rows whose scores on `targets` are seen, and the rows to predict.
        targets: benchmarks to predict.
    """

    name: str
    source: str
    dataset: Dataset
    fold: Fold
    targets: tuple[str, ...]

    @property
    def observed(self) -> Float[np.ndarray, "lm target"]:
        """Scores on the targets, as fractions.

        Raises: InputError for a dataset without scores.
        """
        if self.dataset.scores is None:
            raise InputError(f"expected scores in the problem {self.name!r}, found none; pass scores to align")
        return self.dataset.scores.select(benchmarks=self.targets).score

    @property
    def span(self) -> float:
        """1 - floor of the first target, the range of its scores, by which errors are rescaled."""
        assert self.dataset.scores is not None
        return 1.0 - float(self.dataset.scores.select(benchmarks=self.targets).floor[0])
