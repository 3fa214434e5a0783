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
from csvjax.joint.predict import bounds, draw_fitted, draw_new, new_evidence, predict_lms, unseen
from csvjax.joint.target import predict_target
from csvjax.laws.fit_joint import FittedJoint
from tests.joint.conftest import BENCHMARKS, LMS, SETTINGS, frame, written


def test_unseen_cells_are_those_that_the_fit_has_not_seen(fit: FittedJoint, seen: np.ndarray) -> None:
    found = unseen(fit)
    assert list(zip(found["benchmark"], found["lm"], strict=True)) == [
        (benchmark, f"m{m:02d}") for b, benchmark in enumerate(BENCHMARKS) for m in np.flatnonzero(~seen[:, b])
    ]
    inner, outer = (found[f"upper{level}"] - found[f"lower{level}"] for level in (50, 90))
    assert (inner < outer).all()
    drawn = draw_fitted(fit)
    spread = drawn.score.std(axis=0) / drawn.mean.std(axis=0)
    assert (spread[~seen] > 1 - 0.05).all()  # the relative error of a ratio of standard deviations of 400 draws
    assert spread[seen].mean() > 1.2  # the mean of a seen score is known, and another score has its items' luck
    # A whole number of the 200 items.
    np.testing.assert_allclose(200 * drawn.score, np.round(200 * drawn.score), atol=2e-3)


def test_scores_of_outliers_are_not_asked_for(fit: FittedJoint, seen: np.ndarray) -> None:
    outlier = np.arange(LMS) == 3
    shown = fit.evidence.seen & ~outlier[:, None]
    without = replace(fit, evidence=fit.evidence._replace(seen=shown), left_out=seen & outlier[:, None])
    assert without.outliers == ("m03",)
    assert set(unseen(without)["lm"]) == set(unseen(fit)["lm"])


def test_hidden_scores_change_nothing(fit: FittedJoint, seen: np.ndarray) -> None:
    scores = fit.dataset.scores
    assert scores is not None
    other = Dataset(fit.dataset.lms, replace(scores, score=np.where(seen, scores.score, 0.5)))
    again = written(other, seen)
    np.testing.assert_array_equal(draw_fitted(again).score, draw_fitted(fit).score)


def test_a_model_without_scores_is_predicted_alike_inside_and_outside_of_the_fit(fit: FittedJoint) -> None:
    inside = draw_fitted(fit)
    lms = fit.dataset.lms.iloc[-2:].set_axis(["x", "y"])
    evidence, _ = new_evidence(fit, Dataset(lms))
    outside = draw_new(fit, evidence, seed=5)
    for one, two in zip(inside, outside, strict=True):
        one, two = one[:, -2:].astype(float), two.astype(float)
        error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / len(one))
        assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) < 4 * error).all()
        # The relative error of a standard deviation of 400 draws is 0.035; of a ratio of two, 0.05.
        assert (np.abs(np.log(one.std(axis=0) / two.std(axis=0))) < 0.2).all()


def test_a_prediction_depends_on_its_own_model_alone(fit: FittedJoint) -> None:
    lms = frame(["x", "y"], ["f1", "new"], [1e22, 1e25])
    both = predict_lms(fit, lms)
    alone = predict_lms(fit, lms.iloc[:1])
    np.testing.assert_array_equal(both[both["lm"] == "x"]["mean"], alone["mean"])
    assert (both[both["lm"] == "y"]["mean"].to_numpy() > alone["mean"].to_numpy()).all()


def test_a_draw_without_a_solution_gives_way_to_another(fit: FittedJoint) -> None:
    x = fit.x.copy()
    x[0, 5] = np.nan
    found, before = draw_fitted(replace(fit, x=x)), draw_fitted(fit)
    assert np.isfinite(found.mean).all()
    kept = np.arange(len(before.mean)) != 5
    np.testing.assert_array_equal(found.score[kept], before.score[kept])
    assert (found.score[5] == before.score[kept]).all(axis=(1, 2)).any()
    with pytest.raises(InputError, match="found none; the fit did not end well"):
        draw_fitted(replace(fit, x=np.full_like(x, np.nan)))


def test_alike_means_the_same_random_numbers(fit: FittedJoint) -> None:
    evidence, _ = new_evidence(fit, Dataset(frame(["x", "y"], ["f1", "f1"], [1e22, 1e22])))
    same, other = (draw_new(fit, evidence, alike=alike).mean for alike in (True, False))
    np.testing.assert_array_equal(same[:, 0], same[:, 1])
    assert (other[:, 0] != other[:, 1]).any()


def test_scores_of_a_new_model_narrow_its_other_scores(fit: FittedJoint) -> None:
    lms = frame(["x"], ["new"], [np.nan])
    blind = predict_lms(fit, lms)
    shown = predict_lms(fit, lms, ScoreTable(("x",), ("fair", "easy"), np.array([[0.9, 0.96]])))
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
    settings = SETTINGS._replace(covariates=(), per_domain=2, features=2)
    fit = written(replace(dataset, losses=table), seen, settings)
    given = align(frame(["x", "y"], ["f0", "g"], [np.nan] * 2), losses=losses(("x", "y"), table.loss[[3, 7]]))
    evidence, _ = new_evidence(fit, given)
    np.testing.assert_allclose(evidence.loss, np.asarray(fit.evidence.loss)[[3, 7]], rtol=1e-6)
    for other, says in ((losses(("x", "y"), table.loss[:2], first=5), "found unit 0"), (None, "found none; give them")):
        with pytest.raises(InputError, match=says):
            new_evidence(fit, replace(given, losses=other))
    with pytest.raises(InputError, match="with losses; give the losses of"):
        predict_target(fit, {"flops": 1e25})


def test_what_does_not_fit_is_told(fit: FittedJoint) -> None:
    with pytest.raises(InputError, match="found 'm03'; leave them out"):
        predict_lms(fit, frame(["m03"], ["f0"], [1e21]))
    with pytest.raises(InputError, match="the nearest is 'hard'"):
        predict_lms(fit, None, ScoreTable(("x",), ("hrd",), np.array([[0.5]])))
    with pytest.raises(InputError, match="found none of them"):
        predict_lms(fit)
