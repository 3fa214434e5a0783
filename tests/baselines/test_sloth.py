"""Sloth with a logistic link against the authors' stored results (github.com/felipemaiapolo/sloth at 6dc6bb3efeef).

Mean over the held-out groups of the mean absolute error, in percentage points, rank 3. The authors descend with Adam
and stop early; refits of theirs differ by up to 0.1 points in a group.
"""

from pathlib import Path

import jax
import numpy as np
import pytest

from csvjax.baselines import low_rank
from csvjax.baselines.method import Method
from csvjax.baselines.sloth import sloth
from csvjax.baselines.view import hide
from csvjax.evaluate.protocols.sloth import Leaderboard, sloth_problems

PUBLISHED: dict[tuple[Leaderboard, int], float] = {
    ("v1", 1): 5.34,
    ("v2", 1): 3.84,
    ("all", 1): 4.54,
    ("v1", 2): 5.48,
    ("v2", 2): 4.26,
    ("all", 2): 5.35,
}
FAST = ("all", 2)


def error_of(folder: Path, method: Method, leaderboard: Leaderboard, smallest: int) -> float:
    found = []
    for problem in sloth_problems(folder / "sloth" / "data_v2.csv", leaderboard, smallest):
        view = hide(problem.dataset, problem.fold.train, problem.targets)
        predicted = method.fit(view, jax.random.key(0)).predict(view)
        found.append(np.abs(predicted - problem.observed)[problem.fold.test].mean())
    return 100 * float(np.mean(found))


@pytest.mark.parametrize("setting", [pytest.param(s, marks=() if s == FAST else pytest.mark.slow) for s in PUBLISHED])
def test_the_published_errors_are_reproduced(public_data: Path, setting: tuple[Leaderboard, int]) -> None:
    assert error_of(public_data, sloth(3), *setting) == pytest.approx(PUBLISHED[setting], abs=0.3)


@pytest.fixture
def surface() -> low_rank.Surface:
    rng = np.random.default_rng(0)
    floor = np.array([0.25, 0.0, 0.5, 0.1, 0.0, 0.25])
    return low_rank.Surface(
        0.6 * rng.standard_normal((5, 2)), rng.standard_normal((2, 6)), np.zeros(6), floor, 1 - 0 * floor
    )


def test_a_surface_of_low_rank_is_recovered_with_gaps(surface: low_rank.Surface) -> None:
    """With as many capabilities as there are, the fit predicts new rows; with fewer it cannot."""
    rng = np.random.default_rng(1)
    x, new = rng.standard_normal((60, 5)), rng.standard_normal((20, 5))
    y = low_rank.evaluate(surface, x)
    y[rng.random(y.shape) < 0.2] = np.nan

    def error(rank: int) -> float:
        fitted = low_rank.fit(x, y, surface.floor, surface.ceiling, rank, np.random.default_rng(2), 4)
        return float(np.abs(low_rank.evaluate(fitted, new) - low_rank.evaluate(surface, new)).max())

    assert error(2) < 0.005
    assert error(1) > 0.05


def test_the_loss_does_not_follow_a_wild_score(surface: low_rank.Surface) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 5))
    truth = low_rank.evaluate(surface, x)
    y = truth.copy()
    y[7, 2] = 0.0 if truth[7, 2] > 0.5 else 1.0
    fitted = low_rank.fit(x, y, surface.floor, surface.ceiling, 2, np.random.default_rng(2), 4)
    rest = np.arange(60) != 7
    np.testing.assert_allclose(low_rank.evaluate(fitted, x)[rest], truth[rest], atol=0.01)
    again = low_rank.fit_again(fitted, x, truth)
    np.testing.assert_allclose(low_rank.evaluate(again, x), truth, atol=0.01)
