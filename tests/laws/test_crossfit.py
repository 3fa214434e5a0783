import inspect

import numpy as np
import pandas as pd
import pytest

from csvjax.evaluate import metrics, splits
from csvjax.evaluate.splits import Fold
from csvjax.evaluate.table import score_table
from csvjax.laws import crossfit as module
from csvjax.laws.crossfit import Crossfit, cells, crossfit, unit_salience
from csvjax.laws.fit_salience import SalienceFit, fit_salience
from tests import simulated
from tests.laws import simulated_fits

LAWS = ["salience", "mean loss"]


@pytest.fixture(scope="module")
def found() -> Crossfit:
    return simulated_fits.crossfitted(2.5)


def test_every_cell_is_predicted_once_by_each_law_in_the_fold_that_held_it_out(found: Crossfit) -> None:
    table, data = found.predictions, simulated.world(2.5)
    assert len(table) == len(LAWS) * 3 * len(data.lms)
    assert not table.duplicated(["law", "benchmark", "lm"]).any()
    assert set(table["law"]) == set(LAWS)
    assert set(table["lm"]) == set(data.lms.index)
    assert (table["split"] == "leave-one-out:part").all()
    assert (table["fold"] == "part=" + data.lms["part"].loc[table["lm"]].to_numpy()).all()


def test_predictions_stand_beside_what_was_observed(found: Crossfit) -> None:
    table = found.predictions
    scores, losses = simulated.world(2.5).measured()
    row = [scores.lms.index(lm) for lm in table["lm"]]
    column = [scores.benchmarks.index(benchmark) for benchmark in table["benchmark"]]
    np.testing.assert_array_equal(table["observed"], scores.score[row, column])
    np.testing.assert_array_equal(table["n_items"], scores.n_items[column])
    np.testing.assert_array_equal(table["floor"], scores.floor[column])
    np.testing.assert_array_equal(table["mean_loss"], losses.mean_loss[row])
    assert (table["family"] == [lm[:2] for lm in table["lm"]]).all()
    of_mean_loss = table[table["law"] == "mean loss"]
    np.testing.assert_allclose(of_mean_loss["salient_loss"], of_mean_loss["mean_loss"], rtol=1e-12)


def test_intervals_are_nested_in_the_unit_interval(found: Crossfit) -> None:
    t = found.predictions
    bounds = ["lower90", "lower80", "lower50", "median", "upper50", "upper80", "upper90"]
    ordered = t[bounds].to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()
    assert ((ordered >= 0) & (ordered <= 1)).all()
    # The interval of the mean score leaves out the model's own scatter and the noise of its items. Of S = 400 draws, a
    # bound has the standard error sqrt(0.05 * 0.95 / S) / density = 0.032 of a normal's width, both together 0.045; a
    # bound of a score is one of 400 items.
    of_mean, of_score = (t[f"{kind}upper90"] - t[f"{kind}lower90"] for kind in ("mean_", ""))
    assert (of_mean < (1 + 4.5 * 0.045) * of_score + 1 / 400).all()
    assert of_mean.mean() < of_score.mean()
    assert (t["crps"] <= (t["observed"] - t["median"]).abs() + 0.05).all()


def test_the_referee_takes_the_predictions_as_they_are(found: Crossfit) -> None:
    table = score_table(found.predictions)
    assert set(table["benchmark"]) == {"b0", "b1", "b2", "all"}
    assert not table.isna().any(axis=None)


def test_each_fit_tells_what_it_settled_on(found: Crossfit) -> None:
    assert list(found.choices.columns) == ["split", "fold", "law", "strength", "status"]
    assert list(found.choices["law"]) == LAWS * 3
    assert list(found.choices["fold"]) == [f"part=p{p}" for p in range(3) for _ in LAWS]


def test_choices_are_made_inside_the_training_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    data = simulated.world(2.5)
    asked: list[tuple[np.ndarray, tuple[Fold, ...]]] = []

    class Enough(Exception):
        """Fitting is not what is tested here."""

    def spy(*args: object) -> SalienceFit:
        _, train, inner, *_ = inspect.signature(fit_salience).bind(*args).arguments.values()
        asked.append((train, inner))
        raise Enough

    monkeypatch.setattr(module, "fit_salience", spy)
    outer = splits.parse_split("leave-one-out:part", data.lms).folds
    for fold in outer:
        monkeypatch.setattr(module.splits, "parse_split", lambda *_, fold=fold: splits.Split("one", (fold,)))
        for settings in (simulated_fits.SETTINGS, simulated_fits.SETTINGS.mean_loss):
            with pytest.raises(Enough):
                crossfit(data, "leave-one-out:part", {"law": settings})
    for fold, (train, inner), (_, none) in zip(outer, asked[::2], asked[1::2], strict=True):
        np.testing.assert_array_equal(train, fold.train)
        assert len(inner) == 2
        assert none == ()
        for within in inner:
            assert not (within.test & fold.test).any()
            assert not (within.train & fold.test).any()
            assert not (within.train & within.test).any()
        np.testing.assert_array_equal(sum(within.test for within in inner), fold.train)


@pytest.fixture(scope="module")
def fit() -> SalienceFit:
    data = simulated.world(2.5)
    return fit_salience(data, np.ones(len(data.lms), bool), (), simulated_fits.SETTINGS.mean_loss)


def test_a_missing_score_is_predicted_and_not_judged(fit: SalienceFit) -> None:
    data = simulated.world(2.5)
    score = data.measured()[0].score.copy()
    score[3, 1] = np.nan
    rows = np.arange(len(data.lms)) < 5
    table = cells(simulated.with_scores(data, score), fit, rows, 0).set_index(["benchmark", "lm"])
    gap = table.loc[("b1", data.lms.index[3])]
    assert np.isnan(gap["observed"])
    assert np.isnan(gap["crps"])
    assert np.isfinite(gap[["mean", "median", "lower90", "upper90"]].astype(float)).all()
    assert table["crps"].isna().sum() == 1


def test_cells_summarise_the_draws_of_their_rows(fit: SalienceFit) -> None:
    data = simulated.world(2.5)
    rows = np.arange(len(data.lms)) % 5 == 0
    table = cells(data, fit, rows, 7)
    drawn = module.predict_cells(fit, 7)
    one = table[table["benchmark"] == "b2"]
    np.testing.assert_array_equal(one["lm"], data.lms.index[rows])
    np.testing.assert_array_equal(one["mean"], drawn.score[2][:, rows].mean(axis=0))
    lower, upper = metrics.interval(drawn.score[2][:, rows], 0.8)
    np.testing.assert_array_equal(one[["lower80", "upper80"]], np.c_[lower, upper])
    np.testing.assert_array_equal(one["crps"], metrics.crps(one["observed"], drawn.score[2][:, rows]))


def test_salience_of_tokens_without_tilt_is_their_share_of_bytes(fit: SalienceFit) -> None:
    data = simulated.world(2.5)
    table = unit_salience(data, fit)
    assert len(table) == 3 * len(data.measured()[1].units)
    np.testing.assert_allclose(table["salience"], table["base_weight"], rtol=1e-12)
    pd.testing.assert_series_equal(
        table.groupby("benchmark")["salience"].sum(), pd.Series(1.0, ["b0", "b1", "b2"]), check_names=False
    )
