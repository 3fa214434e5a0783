import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, kendalltau, norm, spearmanr

from csvjax.errors import InputError
from csvjax.evaluate import metrics
from csvjax.evaluate.judged import COLUMNS, LEVELS, judge_cells
from csvjax.evaluate.referee import FIGURES, cluster_of, figures, verdict


def judged(
    seed: int = 0, error: float = 0.05, spread: float = 0.05, families: int = 12, shared: float = 0.0
) -> pd.DataFrame:
    """Normal draws around points that miss by `error`, a part `shared` of which is common to a family."""
    truth = np.random.default_rng(99)
    rng = np.random.default_rng(seed)
    lms, size = families * 4, (families * 4, 3)
    y = truth.uniform(0.3, 0.7, size)
    family = np.repeat(np.arange(families), 4)
    miss = (
        np.sqrt(1 - shared) * rng.standard_normal(size) + np.sqrt(shared) * rng.standard_normal((families, 1))[family]
    )
    point = y + error * miss
    draws = point + spread * rng.standard_normal((200, *size))
    names = [f"m{i}" for i in range(lms)]
    return judge_cells(names, [f"f{f}" for f in family], list("abc"), np.ones(size, bool), y, point, draws)


def test_a_row_for_each_asked_cell() -> None:
    asked = np.array([[True, False], [True, True], [False, False]])
    y = np.arange(6.0).reshape(3, 2) / 10
    draws = np.random.default_rng(0).uniform(size=(50, 3, 2))
    draws[:, 1, 1] = np.nan
    point = np.where(np.isnan(draws[0]), np.nan, 0.5)
    cells = judge_cells(list("xyz"), list("FFG"), ["p", "q"], asked, y, point, draws)
    assert tuple(cells.columns) == COLUMNS
    assert list(zip(cells["lm"], cells["benchmark"], strict=True)) == [("x", "p"), ("y", "p"), ("y", "q")]
    np.testing.assert_allclose(cells["observed"], [0.0, 0.2, 0.3])
    assert cells.iloc[2][["predicted", "crps", "log_score", "pit", "lower90", "upper50"]].isna().all()
    assert cells.iloc[:2].notna().all(axis=None)


def test_figures_of_the_whole_sample_are_those_of_the_metrics() -> None:
    cells = judged()
    found = {name: value[0] for name, value in figures(cells).items()}
    assert set(found) == set(FIGURES)
    for name, function in (
        ("rmse", metrics.rmse),
        ("mae", metrics.mae),
        ("r2", metrics.r2),
        ("rank_correlation", metrics.rank_correlation),
        ("decision_accuracy", metrics.decision_accuracy),
    ):
        by_benchmark = [function(c["observed"], c["predicted"]) for _, c in cells.groupby("benchmark")]
        assert found[name] == pytest.approx(np.mean(by_benchmark)), name
    for level in LEVELS:
        low, high = cells[f"lower{level}"], cells[f"upper{level}"]
        assert found[f"coverage{level}"] == pytest.approx(metrics.coverage(cells["observed"], low, high))
        assert found[f"width{level}"] == pytest.approx(metrics.width(cells["observed"], low, high))
    assert found["crps"] == pytest.approx(cells["crps"].mean())
    assert found["calibration_error"] == pytest.approx(metrics.calibration_error(cells["pit"]))


def test_normal_draws_have_the_scores_of_the_normal() -> None:
    """CRPS of Normal(0, s) at its own draws is s / sqrt(pi); the log score is the entropy."""
    rng = np.random.default_rng(1)
    y = 0.5 + 0.05 * rng.standard_normal((1500, 1))
    draws = 0.5 + 0.05 * rng.standard_normal((400, 1500, 1))
    cells = judge_cells(
        [str(i) for i in range(1500)], ["f"] * 1500, ["b"], np.ones((1500, 1), bool), y, 0 * y + 0.5, draws
    )
    assert cells["crps"].mean() == pytest.approx(0.05 / np.sqrt(np.pi), rel=0.04)
    assert cells["log_score"].mean() == pytest.approx(norm(0, 0.05).entropy(), abs=0.1)
    assert figures(cells)["calibration_error"][0] < 0.04


def test_draws_that_are_too_narrow_are_found_out() -> None:
    narrow, honest = figures(judged(spread=0.02)), figures(judged(spread=0.05))
    assert narrow["coverage90"][2] < 0.9 < honest["coverage90"][2]
    assert narrow["calibration_error"][0] > 3 * honest["calibration_error"][0]
    assert narrow["log_score"][0] > honest["log_score"][0]


def test_intervals_are_wider_where_a_family_errs_together() -> None:
    """The mean of the errors of 12 families with a shared part has the standard error of 12 values, not of 144."""
    alone, together = (figures(judged(shared=shared), "family")["crps"] for shared in (0.0, 0.95))
    assert together[2] - together[1] > 1.7 * (alone[2] - alone[1])
    by_model = figures(judged(shared=0.95), "lm")["crps"]
    assert together[2] - together[1] > 1.2 * (by_model[2] - by_model[1])


def test_the_interval_of_the_mae_holds_what_it_promises() -> None:
    """E |error| is 0.05 sqrt(2 / pi). 60 samples of 30 families; the bootstrap of few clusters is a little narrow."""
    expected = 0.05 * np.sqrt(2 / np.pi)
    held = [
        low <= expected <= high
        for _, low, high in (figures(judged(s, families=30), resamples=300)["mae"] for s in range(60))
    ]
    assert binom.cdf(sum(held), 60, 0.92) > 0.01


def test_decision_accuracy_is_kendalls_tau_without_ties() -> None:
    rng = np.random.default_rng(3)
    y = rng.standard_normal(40)
    yhat = y + rng.standard_normal(40)
    assert metrics.decision_accuracy(y, yhat) == pytest.approx((kendalltau(y, yhat).statistic + 1) / 2)
    assert metrics.rank_correlation(y, yhat) == pytest.approx(spearmanr(y, yhat).statistic)
    assert metrics.decision_accuracy([0.1, 0.2], [0.5, 0.5]) == 0.5
    assert np.isnan(metrics.decision_accuracy([0.1, 0.1], [0.5, 0.6]))


def test_a_verdict_is_given_only_where_the_interval_excludes_zero() -> None:
    good, bad, alike = judged(1, error=0.03, spread=0.03), judged(2, error=0.09, spread=0.09), judged(3, 0.03, 0.03)
    found = verdict(good, bad)
    assert found.better == "A"
    assert found.high < 0
    assert verdict(bad, good).better == "B"
    assert verdict(good, bad, "r2").better == "A"
    same = verdict(good, alike)
    assert same.better == "not decided"
    assert same.low < 0 < same.high
    assert verdict(good, good).difference == 0


def test_two_equal_methods_are_told_apart_no_more_often_than_promised() -> None:
    wrong = sum(verdict(judged(2 * s), judged(2 * s + 1), resamples=300).better != "not decided" for s in range(60))
    assert binom.sf(wrong - 1, 60, 0.08) > 0.01  # 5 %, and a little for twelve clusters


def test_pairs_are_judged_on_the_cells_that_both_answered() -> None:
    a, b = judged(1), judged(2)
    b.loc[b["lm"] == "m0", ["predicted", "crps"]] = np.nan
    found = verdict(a, b)
    assert found.cells == len(a) - 3
    rest = a[a["lm"] != "m0"], b[b["lm"] != "m0"]
    assert found.difference == pytest.approx(rest[0]["crps"].mean() - rest[1]["crps"].mean())
    nothing = b.assign(predicted=np.nan)
    assert verdict(a, nothing).better == "not decided"


def test_one_cluster_has_no_interval() -> None:
    cells = judged(families=1)
    assert cluster_of(cells) == "lm"
    value, low, high = figures(cells, "family")["rmse"]
    assert value > 0
    assert np.isnan([low, high]).all()
    assert verdict(cells, judged(1, families=1), cluster="family").better == "not decided"


def test_what_cannot_be_judged_is_one_sentence() -> None:
    with pytest.raises(InputError, match="expected a metric among"):
        verdict(judged(), judged(), "width90")
    with pytest.raises(InputError, match="same observations"):
        verdict(judged(), judged().assign(observed=0.4))
