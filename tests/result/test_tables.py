"""The verdict follows the status, the chains and the held-out scores; tables say what the draws say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import binom, binomtest, norm

from csvjax.infer.result import Status
from csvjax.result.tables import capability_table, concentrated, coverage_interval, loading_table, verdict

GOOD = Status(True, "converged after 9 steps")
EMPTY = pd.DataFrame()


def held(out: np.ndarray) -> pd.DataFrame:
    """Held-out scores of models and benchmarks, those of `out` [lm, benchmark] outside; and one that is not known."""
    m, b = np.indices(out.shape)
    names = {"lm": [f"m{i}" for i in m.ravel()], "benchmark": [f"b{i}" for i in b.ravel()]}
    known = pd.DataFrame({**names, "observed": np.where(out.ravel(), 0.9, 0.5), "lower90": 0.4, "upper90": 0.6})
    return pd.concat([known, known[:1].assign(observed=np.nan)], ignore_index=True)


def spread(inside: int, outside: int) -> np.ndarray:
    """Misses that fall on the models and the benchmarks in turn."""
    out = np.zeros((inside + outside) // 10 * 10, bool)
    out[np.round(np.linspace(0, len(out) - 1, outside)).astype(int)] = True
    return out.reshape(-1, 10)


def misses(rng: np.random.Generator, lms: int, benchmarks: int, shared: float) -> np.ndarray:
    """Errors of calibrated intervals, normal, with the correlation `shared` within each benchmark."""
    own, common = rng.standard_normal((lms, benchmarks)), rng.standard_normal(benchmarks)
    return np.abs(np.sqrt(shared) * common + np.sqrt(1 - shared) * own) > norm.ppf(0.95)


@pytest.mark.parametrize(
    ("inside", "outside", "says"),
    [
        (180, 20, "(90%) lie in their 90 % intervals, as they should (in the long run"),
        (18, 2, "(90%) lie in their 90 % intervals. These are too few"),
        (10, 10, "too narrow"),
        (200, 0, "too few independent scores"),  # ten benchmarks, which may be right or wrong as wholes
    ],
)
def test_intervals_are_judged_by_held_out_scores(inside: int, outside: int, says: str) -> None:
    found = verdict(GOOD, EMPTY, held(spread(inside, outside)))
    assert found.startswith(f"converged after 9 steps. {inside} of {inside + outside} held-out scores")
    assert says in found
    assert "for these benchmarks" not in found


def test_intervals_that_hold_everything_in_many_benchmarks_are_too_wide() -> None:
    assert "wider than necessary" in verdict(GOOD, EMPTY, held(np.zeros((60, 60), bool)))


def test_misses_in_two_benchmarks_are_not_as_they_should_be() -> None:
    out = np.zeros((2, 8), bool)
    out[:, [2, 5]] = True
    found = verdict(GOOD, EMPTY, held(out))
    assert "12 of 16 held-out scores (75%)" in found
    assert "as they should" not in found
    assert found.endswith("intervals are too narrow for these benchmarks: b2 (2 of 2 outside), b5 (2 of 2 outside).")


def test_scores_of_one_cluster_each_have_the_exact_interval() -> None:
    for inside in (0, 7, 18, 20):
        low, high = coverage_interval(pd.Series(np.arange(20) < inside), pd.Series(range(20)))
        exact = binomtest(inside, 20).proportion_ci(0.95)
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=2 / 500)  # steps of the grid


@pytest.mark.parametrize("shared", [0.0, 0.2, 0.5])
def test_calibrated_intervals_are_rarely_called_wrong(shared: float) -> None:
    rng = np.random.default_rng(3)
    found = [held(misses(rng, 20, 8, shared)) for _ in range(100)]
    alarms = sum(": the intervals are" in verdict(GOOD, EMPTY, scores) for scores in found)
    assert alarms <= binom.ppf(0.999, 100, 0.05)


def test_misses_at_random_are_rarely_said_to_concentrate() -> None:
    rng = np.random.default_rng(4)
    found = [held(misses(rng, 10, 8, 0.0)) for _ in range(100)]
    alarms = sum(bool(concentrated(s["observed"] > s["upper90"], s["benchmark"])) for s in found)
    assert alarms <= binom.ppf(0.999, 100, 0.05)


def test_intervals_that_are_too_narrow_are_found() -> None:
    """All of them, where 60 % hold; and two benchmarks of eight, where 40 % hold."""
    rng = np.random.default_rng(5)
    everywhere = sum("too narrow." in verdict(GOOD, EMPTY, held(rng.random((10, 8)) > 0.6)) for _ in range(30))
    assert everywhere >= binom.ppf(0.001, 30, 0.9)
    named = 0
    for _ in range(30):
        scores = held(rng.random((10, 8)) > np.array([0.4, 0.4, *[0.9] * 6]))
        named += {"b0", "b1"} <= {name for name, _, _ in concentrated(scores["observed"] > 0.6, scores["benchmark"])}
    assert named >= binom.ppf(0.001, 30, 0.8)


def test_a_fit_that_did_not_end_well_is_not_to_be_trusted() -> None:
    assert verdict(Status(False, "not converged: x"), EMPTY, EMPTY).startswith(
        "do not trust this fit: not converged: x. "
    )
    chains = pd.DataFrame({"quantity": ["parameters", "logit", "loading, aligned"], "rhat": [1.5, 1.002, 1.004]})
    # Parameters of contrasts have signs of their own in each chain; what is shown is aligned.
    assert verdict(GOOD, chains, EMPTY).startswith("converged")
    said = verdict(GOOD, chains.assign(rhat=[1.5, 1.005, 1.03]), EMPTY)
    assert said.startswith("converged")
    assert "Read capabilities and loadings with care" in said
    assert "largest r-hat 1.030" in said
    assert "Do not trust the predictions" in verdict(GOOD, chains.assign(rhat=[1.5, 1.03, 1.0]), EMPTY)
    assert "it is unknown whether" in verdict(GOOD, EMPTY, held(np.zeros((0, 2), bool)))


def test_tables_have_means_and_intervals_by_name() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(np.array([[0.0, 1.0], [2.0, -1.0]]), 0.1, (2, 500, 2, 2))
    each = {"chain": [0, 1], "draw": np.arange(500)}
    of_benchmark = {
        name: (("chain", "draw", "benchmark"), np.full((2, 500, 1), value))
        for name, value in (("intercept", -1.0), ("spread", 0.3), ("floor", 0.25), ("ceiling", 1.0), ("n_items", 100.0))
    }
    posterior = xr.Dataset(
        {
            "theta": (("chain", "draw", "lm", "capability"), theta),
            "loading": (("chain", "draw", "benchmark", "capability"), theta[:, :, :1]),
            **of_benchmark,
        },
        {
            **each,
            "lm": ["x", "y"],
            "lm_family": ("lm", ["f", "g"]),
            "benchmark": ["b"],
            "benchmark_unit": ("benchmark", ["fraction"]),
            "capability": ["general", "contrast 1"],
        },
    )
    tree = xr.DataTree.from_dict({"posterior": posterior})
    able = capability_table(tree)
    assert list(able["lm"]) == ["y", "x"]
    assert list(able["family"]) == ["g", "f"]
    np.testing.assert_allclose(able["general"], [2, 0], atol=0.02)
    np.testing.assert_allclose(able["contrast 1 upper90"] - able["contrast 1 lower90"], 2 * 1.645 * 0.1, rtol=0.1)
    loading = loading_table(tree).iloc[0]
    assert (loading["benchmark"], loading["floor"], loading["n_items"]) == ("b", 0.25, 100)
    np.testing.assert_allclose([loading["general"], loading["contrast 1"]], [0, 1], atol=0.02)
