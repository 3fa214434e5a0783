"""A fit that does not describe its own rows is told, whatever the search said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from csvjax.infer.result import Status
from csvjax.result.guard import check_fit, plain_error
from csvjax.result.result import Result


def test_a_fit_that_describes_its_rows_keeps_its_status(fit: Result) -> None:
    assert check_fit(fit) == Status(True, "written")


def test_draws_of_0_45_for_scores_of_0_23_are_not_converged(fit: Result) -> None:
    """Scores of guessing with 0.25, all below it by a little, and a floor of 0.45: no logit explains them."""
    scores = np.where(fit.evidence.seen, 0.23, 0.0)
    low = np.array([True, False, False])
    e = fit.evidence._replace(score=np.where(low, scores, fit.evidence.score), floor=np.where(low, 0.45, 0.0))
    status = check_fit(replace(fit, evidence=e))
    assert not status.ok
    assert str(status).startswith("not converged: on its own rows the fit is worse than a plain least-squares line")
    assert "easy" in str(status)
    assert "give the chance level" in str(status)
    # The error is named beside that of the plain fit, which is exact here.
    assert "against 0.000)" in str(status)


def test_a_mean_that_the_fit_misses_is_told_where_its_errors_are_not_large(fit: Result) -> None:
    """Scores of 0.3 and 0.7 in turn above a floor of 0.5: nearly as near as their mean, and all too high."""
    e, first = fit.evidence, np.array([True, False, False])
    turn = np.where(np.arange(len(e.score)) % 2, 0.3, 0.7)[:, None]
    seen = e.seen & first
    e = e._replace(score=np.where(seen, turn, 0.0), seen=seen, floor=np.where(first, 0.5, 0.0))
    found = check_fit(replace(fit, evidence=e))
    assert not found.ok
    assert str(found).startswith("the fitted scores miss the observed mean of easy")


def test_a_status_that_is_not_ok_is_left_as_it_is(fit: Result) -> None:
    bad = Status(False, "not converged: stopped")
    assert check_fit(replace(fit, status=bad)) is bad


def test_benchmarks_with_fewer_than_three_scores_are_not_judged(fit: Result) -> None:
    few = fit.evidence.seen & ((np.arange(len(fit.evidence.seen)) < 2)[:, None] | np.array([False, True, True]))
    e = fit.evidence._replace(seen=few, floor=np.array([0.6, 0.0, 0.0]), score=np.where(few, fit.evidence.score, 0.0))
    assert check_fit(replace(fit, evidence=e)).ok


@pytest.mark.parametrize("known", [12, 2])
def test_the_plain_fit_is_the_better_of_a_line_and_the_mean(known: int) -> None:
    index = np.where(np.arange(12) < known, np.linspace(-1, 1, 12), np.nan)
    y = 1 / (1 + np.exp(-2 * np.linspace(-1, 1, 12)))
    if known == 2:
        assert plain_error(y, index) == pytest.approx(y.std())
    else:
        assert plain_error(y, index) < 1e-9
        assert plain_error(np.full(12, 0.3), index) < 1e-9
