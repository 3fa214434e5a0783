"""Predictions of cells and of new models agree where they must, and depend on nothing that they may not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.law.evidence import evidence_of, join_families, names_of_groups
from csvjax.prediction import bounds, draw_fitted, draw_new, new_models, predict, unseen
from csvjax.result.result import Result
from tests.result.conftest import BENCHMARKS, LAW, LMS, frame, written


def test_unseen_cells_are_those_that_the_fit_has_not_seen(fit: Result, seen: np.ndarray) -> None:
    found = unseen(fit)
    assert list(zip(found["benchmark"], found["lm"], strict=True)) == [
        (benchmark, f"m{m:02d}") for b, benchmark in enumerate(BENCHMARKS) for m in np.flatnonzero(~seen[:, b])
    ]
    pd.testing.assert_frame_equal(predict(fit).table(), found)
    inner, outer = (found[f"upper{level}"] - found[f"lower{level}"] for level in (50, 90))
    assert (inner < outer).all()
    drawn = draw_fitted(fit)
    spread = drawn.score.std(axis=0) / drawn.mean.std(axis=0)
    assert (spread[~seen] > 1 - 0.05).all()  # the relative error of a ratio of standard deviations of 400 draws
    assert spread[seen].mean() > 1.2  # the mean of a seen score is known, and another score has its items' luck
    # A whole number of the 200 items.
    np.testing.assert_allclose(200 * drawn.score, np.round(200 * drawn.score), atol=2e-3)


def test_scores_of_outliers_are_not_asked_for(fit: Result, seen: np.ndarray) -> None:
    outlier = np.arange(LMS) == 3
    shown = fit.evidence.seen & ~outlier[:, None]
    without = replace(fit, evidence=fit.evidence._replace(seen=shown), left_out=seen & outlier[:, None])
    assert without.outliers == ("m03",)
    assert set(unseen(without)["lm"]) == set(unseen(fit)["lm"])


def test_hidden_scores_change_nothing(fit: Result, seen: np.ndarray) -> None:
    scores = fit.dataset.scores
    assert scores is not None
    other = Dataset(fit.dataset.lms, replace(scores, score=np.where(seen, scores.score, 0.5)))
    again = written(other, seen)
    np.testing.assert_array_equal(draw_fitted(again).score, draw_fitted(fit).score)


def test_a_model_without_scores_is_predicted_alike_inside_and_outside_of_the_fit(fit: Result) -> None:
    inside = draw_fitted(fit)
    lms = fit.dataset.lms.iloc[-2:].set_axis(["x", "y"])
    outside = draw_new(fit, new_models(fit, Dataset(lms)), seed=5)
    for one, two in zip(inside, outside, strict=True):
        one, two = one[:, -2:].astype(float), two.astype(float)
        error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / len(one))
        assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) < 4 * error).all()
        # The relative error of a standard deviation of 400 draws is 0.035; of a ratio of two, 0.05.
        assert (np.abs(np.log(one.std(axis=0) / two.std(axis=0))) < 0.2).all()


@pytest.mark.slow
def test_a_prediction_depends_on_its_own_model_alone(fit: Result) -> None:
    """Up to its random numbers, which depend on how many models are predicted with it."""
    lms = frame(["x", "y"], ["f1", "new"], [1e22, 1e25])
    both, alone = predict(fit, lms).drawn.mean.astype(float), predict(fit, lms.iloc[:1]).drawn.mean.astype(float)
    error = np.sqrt((both[:, 0].var(axis=0) + alone[:, 0].var(axis=0)) / len(both))
    assert (np.abs(both[:, 0].mean(axis=0) - alone[:, 0].mean(axis=0)) < 4 * error).all()
    assert (both[:, 1].mean(axis=0) > both[:, 0].mean(axis=0)).all()


def test_every_new_model_stands_with_its_family_and_with_no_other_new_one(fit: Result) -> None:
    lms = frame(["x", "y", "z"], ["f1", "new", "f1"], [1e22, 1e25, 1e23])
    new = new_models(fit, lms)
    assert new.scores is not None
    its = evidence_of(new, np.isfinite(new.scores.score), fit.law, fit.known)
    groups = names_of_groups(fit.dataset.lms, fit.law), names_of_groups(new.lms, fit.law)
    e, rows = join_families(fit.evidence, groups[0], its, groups[1])
    family = np.empty(len(e.score), int)
    for bucket in e.groups.buckets:
        for f, members in enumerate(bucket.lm):
            family[members[members < len(family)]] = f
    assert len(set(family[rows])) == 3
    members = np.array([name == "f1" for name in fit.dataset.lms["family"]])
    for row, score in zip(rows, (members, members & False, members), strict=True):
        others = np.delete(np.arange(len(family)), row)[np.delete(family, row) == family[row]]
        np.testing.assert_array_equal(e.score[others], np.asarray(fit.evidence.score)[score])
        np.testing.assert_array_equal(e.covariate[others], np.asarray(fit.evidence.covariate)[score])


def test_a_draw_without_a_solution_gives_way_to_another(fit: Result) -> None:
    x = fit.x.copy()
    x[0, 5] = np.nan
    found, before = draw_fitted(replace(fit, x=x)), draw_fitted(fit)
    assert np.isfinite(found.mean).all()
    kept = np.arange(len(before.mean)) != 5
    np.testing.assert_array_equal(found.score[kept], before.score[kept])
    assert (found.score[5] == before.score[kept]).all(axis=(1, 2)).any()
    with pytest.raises(InputError, match="found none; the fit failed"):
        draw_fitted(replace(fit, x=np.full_like(x, np.nan)))


def test_scores_of_a_new_model_narrow_its_other_scores(fit: Result) -> None:
    lms = frame(["x"], ["new"], [np.nan])
    blind = predict(fit, lms).table()
    shown = predict(fit, align(lms, ScoreTable(("x",), ("fair", "easy"), np.array([[0.9, 0.96]])))).table()
    assert list(shown["benchmark"]) == list(BENCHMARKS)
    np.testing.assert_array_equal(shown["observed"], [0.96, 0.9, np.nan])
    hard, before = shown.iloc[2], blind.iloc[2]
    assert hard["mean"] > before["mean"]
    assert hard["upper90"] - hard["lower90"] < 0.7 * (before["upper90"] - before["lower90"])


def test_the_highest_density_interval_is_the_shorter_one() -> None:
    draws = np.random.default_rng(0).beta(1, 8, (4000, 2))
    (a, b), (c, d) = (bounds(draws, 0.9, kind) for kind in ("equal-tailed", "highest-density"))
    assert (d - c < b - a).all()
    for lower, upper in ((a, b), (c, d)):
        np.testing.assert_allclose(((draws >= lower) & (draws <= upper)).mean(axis=0), 0.9, atol=0.002)


def losses(names: tuple[str, ...], loss: np.ndarray, first: int = 0) -> LossTable:
    units = pd.DataFrame({"token": "t", "document": "d", "domain": ["x"] * 4 + ["y"] * 4})
    return LossTable(names, loss, units.assign(start=np.arange(8) + first, bytes=[1, 2] * 4))


def test_losses_of_a_new_model_are_grouped_as_those_of_the_fit(dataset: Dataset, seen: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    table = losses(tuple(dataset.lms.index), rng.uniform(1, 3, (LMS, 8)))
    law = replace(LAW, covariates=(), per_domain=2, features=2)
    fit = written(replace(dataset, losses=table), seen, law)
    lms = frame(["x", "y"], ["f0", "g"], [np.nan] * 2)
    given = new_models(fit, align(lms, losses=losses(("x", "y"), table.loss[[3, 7]])))
    blank = np.zeros((2, 3), bool)
    evidence = evidence_of(given, blank, fit.law, fit.known)
    np.testing.assert_allclose(evidence.loss, np.asarray(fit.evidence.loss)[[3, 7]], rtol=1e-6)
    with pytest.raises(InputError, match="as unit 0"):
        new_models(fit, align(lms, losses=losses(("x", "y"), table.loss[:2], first=5)))
    # Without losses a model has those of the regression.
    assert not evidence_of(new_models(fit, lms), blank, fit.law, fit.known).has_loss.any()


def test_what_does_not_fit_is_told(fit: Result) -> None:
    with pytest.raises(InputError, match="found 'm03'; leave them out"):
        predict(fit, frame(["m03"], ["f0"], [1e21]))
    with pytest.raises(InputError, match="the nearest is 'hard'"):
        predict(fit, ScoreTable(("x",), ("hrd",), np.array([[0.5]])))
    with pytest.raises(InputError, match="the fit has no losses, but the new models have some"):
        predict(fit, losses(("x",), np.ones((1, 8))))
