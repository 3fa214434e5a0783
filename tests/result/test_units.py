"""Scores without bounds from a table to a prediction: in their own unit, whatever that is."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import csvjax
from csvjax.baselines.view import hide
from csvjax.cli import show
from csvjax.data.dataset import Dataset
from csvjax.data.scales import SCALES, written
from csvjax.data.scores import ScoreTable
from csvjax.errors import FitWarning, InputError
from csvjax.law.links import in_units, standard_of, standardised
from csvjax.prediction import draw_fitted
from csvjax.result.guard import check_fit
from csvjax.result.result import Result

NAMES, COUNT = ("solved", "rating", "loss"), 24
SCALE = (SCALES["fraction"], SCALES["elo"], SCALES["perplexity"])
LAW, METHOD = csvjax.Law(1, ("flops",), (), outliers=0.0), csvjax.Laplace(draws=300, map=csvjax.Map(starts=2))


def table(factor: float = 1.0, shift: float = 0.0) -> Dataset:
    """A solved share, a rating and a perplexity that follow compute; the rating in other units too."""
    rng = np.random.default_rng(5)
    flops = 10 ** np.linspace(21, 25, COUNT)
    able = np.log10(flops) - 23 + 0.1 * rng.normal(size=COUNT)
    columns = [
        1 / (1 + np.exp(-able - 0.1 * rng.normal(size=COUNT))),
        shift + factor * (1150 + 60 * able + 6 * rng.normal(size=COUNT)),
        np.exp(2.2 - 0.2 * able + 0.02 * rng.normal(size=COUNT)),
    ]
    names = tuple(f"m{i:02d}" for i in range(COUNT))
    lms = pd.DataFrame(
        {"family": names, "params": np.nan, "tokens": np.nan, "flops": flops}, pd.Index(names, name="lm", dtype=str)
    )
    return Dataset(lms, ScoreTable(names, NAMES, np.stack(columns, axis=1), scale=SCALE))


def fitted(data: Dataset) -> Result:
    seen = np.ones((COUNT, 3), bool)
    seen[18:] = False
    seen[::5, 1] = False
    with warnings.catch_warnings():
        warnings.simplefilter("error", FitWarning)
        return csvjax.fit(data, LAW, method=METHOD, seen=seen)


@pytest.fixture(scope="module")
def fit() -> Result:
    return fitted(table())


def test_standardising_is_undone() -> None:
    scores = table().scores
    assert scores is not None
    standard = standard_of(scores.score, np.ones(scores.score.shape, bool), scores.scales)
    z = standardised(standard, scores.score)
    np.testing.assert_allclose(in_units(standard, z), scores.score, rtol=1e-6)
    np.testing.assert_allclose(np.median(z[:, 1:], axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(np.quantile(z[:, 1:], [0.25, 0.75], axis=0), axis=0), 1.349, rtol=1e-6)
    # A lower perplexity is better.
    assert np.corrcoef(z[:, 2], scores.score[:, 2])[0, 1] < -0.9


def test_a_typing_error_does_not_decide_on_the_unit() -> None:
    scores = table().scores
    assert scores is not None
    wrong = scores.score.copy()
    wrong[3, 1] = 115_000.0
    every = np.ones(wrong.shape, bool)
    one, two = (standard_of(score, every, scores.scales) for score in (scores.score, wrong))
    assert two.unit[1] == pytest.approx(one.unit[1], rel=0.2)


def test_hidden_scores_lie_where_they_are_predicted(fit: Result) -> None:
    found = csvjax.predict(fit).table()
    known = found.dropna(subset=["observed"])
    inside = (known["lower90"] <= known["observed"]) & (known["observed"] <= known["upper90"])
    assert inside.mean() >= 0.75
    away = (known["observed"] - known["median"]).abs().groupby(known["benchmark"]).median()
    assert away["solved"] < 0.05
    assert away["rating"] < 40
    assert away["loss"] < 0.6
    assert dict(zip(known["benchmark"], known["unit"], strict=True)) == {
        "solved": "fraction",
        "rating": "Elo",
        "loss": "perplexity (logarithm, lower is better)",
    }


def test_another_unit_gives_the_same_prediction_in_that_unit(fit: Result) -> None:
    other = fitted(table(0.1, -20.0))
    mean = [draw_fitted(one).mean for one in (fit, other)]
    np.testing.assert_allclose(mean[1][..., 1], -20 + 0.1 * mean[0][..., 1], rtol=1e-3)
    np.testing.assert_allclose(mean[1][..., [0, 2]], mean[0][..., [0, 2]], rtol=1e-3)


def test_less_is_reached_by_more_compute_where_lower_is_better(fit: Result) -> None:
    near, far = (csvjax.reach(fit, "loss", score).median for score in (9.0, 6.0))
    assert near < far
    assert csvjax.reach(fit, "rating", 1150.0).median == pytest.approx(1e23, rel=1.0)
    with pytest.raises(InputError, match="between 0 and 1"):
        csvjax.reach(fit, "solved", 1150.0)


def test_a_saved_fit_predicts_the_same(fit: Result, tmp_path: Path) -> None:
    fit.save(tmp_path)
    again = csvjax.load(tmp_path)
    np.testing.assert_array_equal(draw_fitted(again).score, draw_fitted(fit).score)
    assert again.posterior["posterior"]["benchmark_unit"].values.tolist() == [scale.word for scale in SCALE]
    np.testing.assert_array_equal(
        again.posterior["observed_data"]["score"], fit.dataset.scores.score[fit.evidence.seen]
    )


def test_a_new_model_may_show_a_rating(fit: Result) -> None:
    def predicted(rating: float) -> pd.Series:
        shown = ScoreTable(("new",), ("rating",), np.array([[rating]]), scale=SCALES["elo"])
        return csvjax.predict(fit, shown).table().set_index("benchmark")["median"]

    weak, strong = predicted(1050.0), predicted(1250.0)
    assert weak["solved"] + 0.3 < strong["solved"]
    assert weak["loss"] > strong["loss"] + 1.0


def test_one_value_is_answered_without_a_number_that_is_none() -> None:
    data = table()
    scores = data.scores
    assert scores is not None
    same = scores.score.copy()
    same[:, 1] = 1200.0
    data = Dataset(data.lms, ScoreTable(scores.lms, NAMES, same, scale=SCALE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = csvjax.fit(data, LAW, method=METHOD, seen=np.isfinite(same) & (np.arange(COUNT) < 20)[:, None])
    median = csvjax.predict(found).table().set_index("benchmark").loc["rating", "median"]
    assert np.abs(median - 1200).max() < 60


def test_scores_in_another_unit_than_the_fit_are_refused(fit: Result) -> None:
    shown = ScoreTable(("new",), ("rating",), np.array([[0.4]]))
    with pytest.raises(InputError, match="in the unit of the fit, Elo, found fraction"):
        csvjax.predict(fit, shown)
    with pytest.raises(InputError, match="in the unit of loss, perplexity"):
        csvjax.reach(fit, "loss", -1.0)


def test_a_benchmark_without_a_score_to_fit_is_refused() -> None:
    seen = np.ones((COUNT, 3), bool)
    seen[:, 1] = False
    with pytest.raises(InputError, match="expected at least one score to fit on 'rating', which is in Elo"):
        csvjax.fit(table(), LAW, method=METHOD, seen=seen)


def test_methods_that_know_fractions_refuse_them() -> None:
    with pytest.raises(InputError, match="found 'rating' in another unit"):
        hide(table(), np.ones(COUNT, bool), ["solved"])


def test_what_a_person_reads_has_the_unit_and_no_power_of_ten(fit: Result, capsys: pytest.CaptureFixture[str]) -> None:
    page = csvjax.predict(fit)._repr_html_()
    assert "rating [Elo]" in page
    assert "loss [perplexity]" in page
    assert "e+0" not in page
    show.prediction_table(csvjax.predict(fit).table(), "held out")
    assert "rating [Elo]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.4271, "0.427"),
        (1234.56, "1234.6"),
        (1_234_567.0, "1,234,567"),
        (2e-5, "2e-05"),
        (-12.0, "-12.0"),
        (3e17, "3e+17"),
    ],
)
def test_a_score_is_written_as_a_number_that_people_read(score: float, text: str) -> None:
    assert written(score) == text


def test_the_sentence_on_compute_has_the_unit(fit: Result) -> None:
    assert " 1150.0 Elo on rating" in str(csvjax.reach(fit, "rating", 1150.0))
    assert " a perplexity of 9.000 on loss" in str(csvjax.reach(fit, "loss", 9.0))
    assert " 0.5 on solved" in str(csvjax.reach(fit, "solved", 0.5))


def test_a_warning_on_ratings_speaks_of_no_floor(fit: Result) -> None:
    turned = np.asarray(fit.evidence.score).copy()
    turned[:, 1] *= -1
    said = str(check_fit(replace(fit, evidence=fit.evidence._replace(score=turned))))
    assert re.search(
        r"rating \([\d.]+ against [\d.]+ times the spread of its scores\).*; use more starting points, or use", said
    )
