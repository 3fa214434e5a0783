"""Compute in, score out, and back: the inverse undoes the prediction, and says when a score is out of reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from csvjax.errors import InputError
from csvjax.prediction import predict
from csvjax.result.result import Result
from csvjax.target import predict_target, reach
from tests.result.conftest import BENCHMARKS, frame, place


@pytest.mark.slow
def test_a_target_is_a_new_model_with_that_compute(fit: Result) -> None:
    found = predict_target(fit, {"flops": 3e25}, "f1")
    same = predict(fit, frame(["f1, 3e+25 flops"], ["f1"], [3e25])).table()
    assert list(found["benchmark"]) == list(BENCHMARKS)
    np.testing.assert_array_equal(found["mean"], same["mean"])
    x = fit.x.copy()
    x[..., place(fit, "family_spread")] = np.log(2.0)
    differ = replace(fit, x=x)
    tables = [predict_target(differ, {"flops": 1e22}, family) for family in ("f1", None)]
    width = [t["mean_upper90"] - t["mean_lower90"] for t in tables]
    assert (width[0] < width[1]).all()  # nothing is known of a new family


def test_the_inverse_undoes_the_prediction(fit: Result) -> None:
    # Logits of a model are a line in log compute, so the median compute at which 0.7 is reached has a median score of
    # 0.7; the error of a median of 400 draws is 1.25 sd / sqrt(400).
    found = reach(fit, "fair", 0.7, "f1")
    assert found.never == 0
    lower, upper = found.interval
    assert found.smallest < lower < found.median < upper < found.largest
    score = predict_target(fit, {"flops": found.median}, "f1").set_index("benchmark").loc["fair"]
    sd = (logit(score["mean_upper90"]) - logit(score["mean_lower90"])) / 3.29
    assert abs(logit(score["median"]) - logit(0.7)) < 4 * 1.25 * sd * np.sqrt(2 / 400) + 0.05
    assert reach(fit, "fair", 0.8, "f1").median > found.median
    assert reach(fit, "easy", 0.7, "f1").median < found.median


def test_intervals_of_the_inverse_hold_what_they_say(fit: Result) -> None:
    both = [reach(fit, "fair", 0.7, "f1", kind=kind) for kind in ("equal-tailed", "highest-density")]
    spans = []
    for found in both:
        lower, upper = found.interval
        np.testing.assert_allclose(((found.flops >= lower) & (found.flops <= upper)).mean(), 0.9, atol=0.01)
        spans.append(np.log(upper / lower))
    assert spans[1] <= spans[0]
    assert "highest-density" in str(both[1])


def test_a_score_out_of_reach_is_told(fit: Result) -> None:
    x = fit.x.copy()
    x[..., place(fit, "gain")] = 0.0  # without a gain compute changes nothing
    found = reach(replace(fit, x=x), "hard", 0.999, "f1")
    assert found.never > 0.9
    assert "does not reach 0.999 on hard" in str(found)


def test_what_the_fit_does_not_have_is_told(fit: Result) -> None:
    for call, says in (
        (lambda: reach(fit, "hrd", 0.5), "the nearest is 'hard'"),
        (lambda: reach(fit, "hard", 50), "a score to reach between 0 and 1, found 50"),
        (lambda: reach(fit, "hard", 0.5, "f9"), "found 'f9': known are 'f0'"),
        (lambda: predict_target(fit, {"parms": 1e9}), "found parms; the covariates of the fit are flops"),
        (lambda: predict_target(fit, {"flops": -1.0}), "flops above 0, found -1"),
    ):
        with pytest.raises(InputError, match=says):
            call()
