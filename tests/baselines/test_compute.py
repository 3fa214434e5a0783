"""Laws of compute against the authors' stored results (github.com/felipemaiapolo/sloth at 6dc6bb3efeef), in points.

`CLOSE`: rows that the fit to the optimum reproduces. `LOOSE`: rows of laws with a learned floor and a second model of
every family, whose fits have many optima: refits from random starts differ by points. Our best optimum predicts about
as well as the best refit; the published one lies between ours and the worst refit, but for FLOPs on all twelve
benchmarks with two models seen: 9.27 published, 6.63 here, 7.2 to 8.3 from random starts.
"""

from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.special import expit

from csvjax.baselines import robust
from csvjax.baselines.bootstrap import PointMethod
from csvjax.baselines.compute import ComputeLaw, compute_law
from csvjax.baselines.compute_components import compute_components
from csvjax.baselines.design import features, known_rows
from csvjax.baselines.view import hide
from csvjax.evaluate.protocols.sloth import Leaderboard, sloth_problems

SETTINGS: tuple[tuple[Leaderboard, int], ...] = (("v1", 1), ("v2", 1), ("all", 1), ("v1", 2), ("v2", 2), ("all", 2))


def components(smallest: int) -> PointMethod:
    return compute_components(3, slope="shared" if smallest == 1 else "family")


def flops(smallest: int) -> PointMethod:
    return compute_law("flops", floor="learned")


def flops_family(smallest: int) -> PointMethod:
    slope = "shared" if smallest == 1 else "family"
    return compute_law("flops", slope=slope, intercept="family", floor="learned")


def size_tokens(smallest: int) -> PointMethod:
    return compute_law("params and tokens")


def size_tokens_family(smallest: int) -> PointMethod:
    return compute_law("params and tokens", intercept="family")


EXACT = (components, (6.3437, 5.4711, 5.5527, 9.1553, 5.4658, 8.4153))
CLOSE = (
    (flops, (7.81, 4.86, 6.12, 7.86, None, None)),
    (flops_family, (4.90, 3.79, 4.12, None, None, None)),
    (size_tokens, (7.36, 5.62, 6.24, 6.48, 5.36, 5.99)),
    (size_tokens_family, (5.69, 3.86, 4.69, 5.57, 4.32, 5.76)),
)
LOOSE = ((flops, "v2", 6.73), (flops_family, "v1", 9.39), (flops_family, "v2", 11.86), (flops_family, "all", 11.12))


def error_of(folder: Path, method: PointMethod, leaderboard: Leaderboard, smallest: int) -> float:
    found = []
    for problem in sloth_problems(folder / "sloth" / "data_v2.csv", leaderboard, smallest):
        view = hide(problem.dataset, problem.fold.train, problem.targets)
        predicted = method.fit(view, jax.random.key(0)).predict(view)
        found.append(np.abs(predicted - problem.observed)[problem.fold.test].mean())
    return 100 * float(np.mean(found))


@pytest.mark.parametrize("at", range(6))
def test_components_are_reproduced_to_the_digit(public_data: Path, at: int) -> None:
    make, published = EXACT
    leaderboard, smallest = SETTINGS[at]
    assert error_of(public_data, make(smallest), leaderboard, smallest) == pytest.approx(published[at], abs=1e-4)


def _close() -> list:
    rows = [(make, *setting, value) for make, values in CLOSE for setting, value in zip(SETTINGS, values, strict=True)]
    fast = ((flops, "v2", 1), (size_tokens, "v2", 1), (size_tokens, "all", 2))
    return [pytest.param(*row, marks=() if row[:3] in fast else pytest.mark.slow) for row in rows if row[3] is not None]


@pytest.mark.parametrize(("make", "leaderboard", "smallest", "published"), _close())
def test_laws_with_one_clear_optimum_are_reproduced(public_data: Path, make, leaderboard, smallest, published) -> None:
    assert error_of(public_data, make(smallest), leaderboard, smallest) == pytest.approx(published, abs=0.15)


def refitted(method: PointMethod, folder: Path, leaderboard: Leaderboard, seed: int) -> float:
    """The error of a fit from one random start."""
    rng = np.random.default_rng(seed)
    found = []
    for problem in sloth_problems(folder / "sloth" / "data_v2.csv", leaderboard, 2):
        view = hide(problem.dataset, problem.fold.train, problem.targets)
        law = method.fit(view, jax.random.key(0)).law
        assert isinstance(law, ComputeLaw)
        x, rows = known_rows(view, law.design)
        shape = law.curves.weight.shape
        floor = expit(rng.normal(-2, 1, shape[1]))
        start = robust.Curves(rng.standard_normal(shape), rng.standard_normal(shape[1]), floor, view.ceiling)
        again = robust.fit_again(start, x, view.target[rows], learn_floor=True)
        predicted = robust.evaluate(again, features(view, law.design))
        found.append(np.abs(predicted - problem.observed)[problem.fold.test].mean())
    return 100 * float(np.mean(found))


@pytest.mark.slow
@pytest.mark.parametrize(("make", "leaderboard", "published"), LOOSE)
def test_laws_with_many_optima_are_within_the_spread_of_restarts(
    public_data: Path, make, leaderboard, published
) -> None:
    ours = error_of(public_data, make(2), leaderboard, 2)
    restarts = [refitted(make(2), public_data, leaderboard, seed) for seed in range(8)]
    assert min(ours, *restarts) - 0.15 < published < max(restarts)
    assert ours < max(restarts)


def test_curves_are_recovered_from_their_own_values() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))
    true = robust.Curves(rng.standard_normal((2, 3)), np.zeros(3), np.array([0.25, 0.0, 0.1]), np.ones(3))
    y = robust.evaluate(true, x)
    y[::7, 1] = np.nan
    fixed = robust.fit_each(x, y, true.floor, true.ceiling)
    np.testing.assert_allclose(fixed.weight, true.weight, atol=0.02)
    learned = robust.fit_each(x, y, np.zeros(3), true.ceiling, learn_floor=True)
    np.testing.assert_allclose(learned.floor, true.floor, atol=0.02)
