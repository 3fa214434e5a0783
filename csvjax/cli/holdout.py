"""Which scores a fit is given: all but those that splits hide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from csvjax.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from csvjax.data.dataset import Dataset

__all__ = ["inner_cells", "seen_cells", "target_names"]


def target_names(dataset: Dataset, text: str | None) -> list[str]:
    """The benchmarks to predict, in the order of the table."""
    from csvjax import names

    assert dataset.scores is not None
    known = dataset.scores.benchmarks
    if text is None:
        return list(known)
    return [known[b] for b in sorted(names.positions([name.strip() for name in text.split(",")], known, "benchmark"))]


def seen_cells(dataset: Dataset, holdout: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    """The scores to fit [lm, benchmark]: all but those of the targets that the first fold of a split hides.

    A model of which a split cannot tell, because its column is blank, is hidden too.

    Raises: InputError for a text that names no split, fewer models than three, and benchmarks left without a score.
    """
    import numpy as np

    from csvjax.evaluate.questions import questions

    assert dataset.scores is not None
    hidden = np.zeros(dataset.scores.score.shape, bool)
    for text in holdout:
        asked = questions(text, dataset)
        hidden |= asked[0].hidden
        if len(asked) > 1:
            typer.echo(
                f"{text} has {len(asked)} folds: this fit hides the first, {asked[0].name}; csvjax evaluate and csvjax "
                f"compare run them all",
                err=True,
            )
    seen = np.isfinite(dataset.scores.score) & ~(hidden & np.isin(dataset.scores.benchmarks, list(targets)))
    if (models := int(seen.any(axis=1).sum())) < 3:
        raise InputError(f"expected three or more models with scores to fit, found {models}; hold out fewer")
    for b in np.flatnonzero(~seen.any(axis=0)):
        raise InputError(
            f"expected scores of the fitted models on every benchmark, found none for "
            f"{dataset.scores.benchmarks[b]!r}; leave it out with --benchmarks, or hold out fewer"
        )
    return seen


def inner_cells(dataset: Dataset, seen: np.ndarray, targets: Sequence[str], inner: str | None) -> list[np.ndarray]:
    """The scores that each fold of a split inside the fitted ones hides."""
    import numpy as np

    from csvjax import names
    from csvjax.evaluate.questions import SEEN, Question, inner_questions

    if inner is None:
        return []
    assert dataset.scores is not None
    at = names.positions(list(targets), dataset.scores.benchmarks, "benchmark")
    outer = Question("fit", "fit", tuple(targets), ~seen, ~seen[:, at], SEEN)
    return [np.asarray(question.hidden & seen) for question in inner_questions(inner, dataset, outer)]
