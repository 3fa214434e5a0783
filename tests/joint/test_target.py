"""Compute in, score out, and back: the inverse undoes the prediction, and says when a score is out of reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from csvjax.errors import InputError
from csvjax.joint.predict import predict_lms
from csvjax.joint.target import Reach, predict_target, reach
from csvjax.laws.fit_joint import FittedJoint
from tests.joint.conftest import BENCHMARKS, frame


def test_a_target_is_a_new_model_with_that_compute(fit: FittedJoint) -> None:
    found = predict_target(fit, {"flops": 3e25}, "f1")
    same = predict_lms(fit, frame(["f1, 3e+25 flops"], ["f1"], [3e25]))
    assert list(found["benchmark"]) == list(BENCHMARKS)
    np.testing.assert_array_equal(found["mean"], same["mean"])
    new = predict_target(fit, {"flops": 3e25})
    width = [t["mean_upper90"] - t["mean_lower90"] for t in (found, new)]
    assert (width[0] < width[1]).all()  # nothing is known of a new family


def test_the_inverse_undoes_the_prediction(fit: FittedJoint) -> None:
    # Logits of a model are a line in log compute, so the median compute at which 0.7 is reached has a median score of
    # 0.7; the error of a median of 400 draws is 1.25 sd / sqrt(400).
    found = reach(fit, "fair", 0.7, "f1")
    assert found.never == 0
    lower, upper = found.interval
    assert found.least < lower < found.median < upper < found.most
    score = predict_target(fit, {"flops": found.median}, "f1").set_index("benchmark").loc["fair"]
    sd = (logit(score["mean_upper90"]) - logit(score["mean_lower90"])) / 3.29
    assert abs(logit(score["median"]) - logit(0.7)) < 4 * 1.25 * sd * np.sqrt(2 / 400) + 0.05
    assert reach(fit, "fair", 0.8, "f1").median > found.median
    assert reach(fit, "easy", 0.7, "f1").median < found.median


def test_intervals_of_the_inverse_hold_what_they_say(fit: FittedJoint) -> None:
    both = [reach(fit, "fair", 0.7, "f1", kind=kind) for kind in ("equal-tailed", "highest-density")]
    spans = []
    for found in both:
        lower, upper = found.interval
        np.testing.assert_allclose(((found.flops >= lower) & (found.flops <= upper)).mean(), 0.9, atol=0.01)
        spans.append(np.log(upper / lower))
    assert spans[1] <= spans[0]
    assert "highest-density" in str(both[1])


def some(flops: list[float], kind: str = "equal-tailed") -> Reach:
    return replace(Reach("b", 0.5, None, np.array(flops), 1e18, 1e30, "equal-tailed"), kind=kind)


def test_what_is_beyond_is_said() -> None:
    assert "a new family reaches 0.5 on b at no compute up to 1e+30 FLOP in 60% of" in str(
        some([np.inf] * 6 + [1e22] * 4)
    )
    told = str(some([np.inf] * 2 + [1e22] * 18))
    assert "at 1e+22 FLOP (90 % interval, equal-tailed: 1e+22 to above 1e+30)" in told
    assert "in 10.0% of the draws at no compute" in told
    assert "at below 1e+18 FLOP (90 % interval, equal-tailed: below 1e+18 to 1e+22)" in str(
        some([0.0] * 18 + [1e22] * 2)
    )
    for draws, ends in (([0.0] * 5 + [1e22] * 95, (1e22, 1e22)), ([0.0] * 20 + [np.inf] * 80, (0.0, np.inf))):
        np.testing.assert_allclose(some(draws, "highest-density").interval, ends)


def test_a_score_out_of_reach_is_told(fit: FittedJoint) -> None:
    x = fit.x.copy()
    # The gain, which was written as 1.3: without it compute changes nothing.
    at = int(np.argmin(np.abs(fit.x.mean(axis=(0, 1)) - 1.3)))
    x[..., at] = 0.0
    found = reach(replace(fit, x=x), "hard", 0.999, "f1")
    assert found.never > 0.9
    assert "at no compute up to" in str(found)


def test_what_the_fit_does_not_have_is_told(fit: FittedJoint) -> None:
    for call, says in (
        (lambda: reach(fit, "hrd", 0.5), "the nearest is 'hard'"),
        (lambda: reach(fit, "hard", 50), "a score between 0 and 1 to reach, found 50"),
        (lambda: reach(fit, "hard", 0.5, "f9"), "found 'f9': known are 'f0'"),
        (lambda: predict_target(fit, {"params": 1e9}), "found params: it has flops"),
        (lambda: predict_target(fit, {"flops": -1.0}), "flops above 0, found -1"),
    ):
        with pytest.raises(InputError, match=says):
            call()
