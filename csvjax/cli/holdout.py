"""Which scores a fit sees: all scores except those that the splits hide."""

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
    """The scores to fit, True or False for each [lm, benchmark].

    The first fold of each split hides scores of the targets. If the column of a split is blank for a model, its scores
    are hidden too.

    Raises: InputError for a text that is not a split, for fewer than three models with scores, and for a benchmark that
    is left without scores.
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
                f"{text} has {len(asked)} folds; this fit hides the first one ({asked[0].name}). csvjax evaluate and "
                f"csvjax compare run all folds",
                err=True,
            )
    seen = np.isfinite(dataset.scores.score) & ~(hidden & np.isin(dataset.scores.benchmarks, list(targets)))
    if (models := int(seen.any(axis=1).sum())) < 3:
        raise InputError(f"expected at least three models with scores to fit, found {models}; hold out fewer models")
    for b in np.flatnonzero(~seen.any(axis=0)):
        raise InputError(
            f"expected at least one score to fit for every benchmark, found none for {dataset.scores.benchmarks[b]!r}; "
            f"use --benchmarks without it, or hold out fewer scores"
        )
    return seen


def inner_cells(dataset: Dataset, seen: np.ndarray, targets: Sequence[str], inner: str | None) -> list[np.ndarray]:
    """The fitted scores that each fold of the split `inner` hides, True or False for each [lm, benchmark]."""
    import numpy as np

    from csvjax import names
    from csvjax.evaluate.questions import SEEN, Question, inner_questions

    if inner is None:
        return []
    assert dataset.scores is not None
    at = names.positions(list(targets), dataset.scores.benchmarks, "benchmark")
    outer = Question("fit", "fit", tuple(targets), ~seen, ~seen[:, at], SEEN)
    return [np.asarray(question.hidden & seen) for question in inner_questions(inner, dataset, outer)]
