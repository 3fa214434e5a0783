"""The published test errors of observational scaling laws, measured with the authors' code.

Ruan et al. 2024 (arXiv 2405.10938), github.com/ryoungj/ObsScaling at 4d6e1e43fd26 run with numpy 2.4.6, scipy 1.17.1
and sklearn 1.9.1. Mean squared error on the rescaled target over the rows to predict: log size, log FLOPs, one to four
components. The rows with later models are the paper's Figure 4 (three components: 4.0e-3, 3.2e-3, 1.3e-2, 9.9e-3).
"""

from pathlib import Path

import jax
import numpy as np
import pytest

from csvjax.baselines.method import Method
from csvjax.baselines.observational import observational_compute, observational_pca
from csvjax.baselines.view import hide
from csvjax.evaluate.protocols.observational import AGENTS, EMERGENT, POST_TRAINING, agents, emergent, post_training
from csvjax.evaluate.protocols.problem import Problem

NOT_PUBLISHED = float("nan")
ROWS = {  # (training rows, rows to predict, errors)
    "Word Unscramble": (44, 19, (7.46e-2, 1.34e-2, 2.47e-2, 4.45e-3, 2.57e-3, 1.47e-2)),
    "Persian QA": (40, 18, (2.66e-2, 9.52e-3, 2.62e-3, 1.56e-3, 1.50e-3, 1.98e-3)),
    "3-digit subtraction": (30, 33, (5.22e-1, 7.52e-2, 3.60e-1, 3.62e-1, 1.72e-2, 4.78e-2)),
    "2-digit multiplication": (30, 33, (2.80e-1, 1.08e-1, 6.50e-2, 5.47e-2, 1.20e-2, 3.12e-2)),
    "3-digit addition": (30, 33, (5.83e-1, 7.27e-2, 5.54e-1, 4.71e-1, 2.97e-2, 3.19e-2)),
    "2-digit addition": (30, 33, (3.23e-1, 4.83e-2, 9.61e-2, 3.86e-3, 4.12e-3, 4.01e-3)),
    "IPA transliterate": (40, 14, (9.16e-2, 4.25e-1, 3.78e-2, 1.11e-1, 9.64e-2, 1.62e-1)),
    "Word Unscramble + later models": (44, 31, (1.26e-1, 1.33e-2, 3.82e-2, 7.33e-3, 3.95e-3, 2.26e-2)),
    "Persian QA + later models": (40, 27, (5.75e-2, 2.08e-2, 6.28e-3, 3.35e-3, 3.15e-3, 1.12e-2)),
    "3-digit subtraction + later models": (30, 45, (5.63e-1, 6.33e-2, 3.58e-1, 3.54e-1, 1.32e-2, 3.54e-2)),
    "2-digit multiplication + later models": (30, 45, (3.61e-1, 1.24e-1, 6.86e-2, 5.57e-2, 9.89e-3, 2.70e-2)),
    "GSM8K 5-shot, greedy": (45, 28, (1.26e-2, 3.67e-3, 2.13e-3, 6.68e-4, 6.88e-4, 1.53e-3)),
    "GSM8K CoT": (47, 28, (1.86e-1, 3.71e-2, 2.08e-2, 7.88e-3, 4.72e-3, 2.76e-2)),
    "GSM8K CoT, 1 sample": (47, 28, (1.51e-1, 3.74e-2, 2.65e-2, 8.72e-3, 4.86e-3, 2.59e-2)),
    "GSM8K CoT + self-consistency@5": (47, 28, (2.16e-1, 3.77e-2, 2.45e-2, 9.46e-3, 5.62e-3, 2.65e-2)),
    "AgentBench overall": (20, 2, (NOT_PUBLISHED, NOT_PUBLISHED, 5.72e-3, 2.62e-4, 2.24e-4, 1.03e-3)),
    "AgentBoard success rate": (10, 1, (NOT_PUBLISHED, NOT_PUBLISHED, 1.99e-2, 1.31e-3, 3.58e-3, 1.82e-2)),
}
PREDICTORS = ("log size", "log FLOPs", "1", "2", "3", "4")


def problem_of(folder: Path, name: str) -> Problem:
    task = name.removesuffix(" + later models")
    if task in EMERGENT:
        return emergent(folder, task, later=task != name)
    return post_training(folder, task) if task in POST_TRAINING else agents(folder, task)


def method_of(name: str, predictor: str) -> Method:
    widest_floor = 0.0 if name.removesuffix(" + later models") in EMERGENT else 0.2
    if predictor.isdigit():
        return observational_pca(int(predictor), widest_floor, "trust-region" if name in AGENTS else "quasi-newton")
    return observational_compute("params" if predictor == "log size" else "flops", widest_floor)


def error_of(problem: Problem, method: Method) -> float:
    view = hide(problem.dataset, problem.fold.train, problem.targets)
    predicted = method.fit(view, jax.random.key(0)).predict(view)
    floor, ceiling = view.bounds
    rescaled = (predicted - problem.observed)[problem.fold.test] / (ceiling - floor)
    return float(np.nanmean(rescaled**2))  # rows without compute are left out, as published


FAST = ("Word Unscramble", "Persian QA + later models", "GSM8K 5-shot, greedy", "AgentBench overall")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in ROWS])
def test_the_published_errors_are_reproduced(public_data: Path, name: str) -> None:
    train, test, errors = ROWS[name]
    problem = problem_of(public_data / "obsscaling", name)
    assert (problem.fold.train.sum(), problem.fold.test.sum()) == (train, test)
    for predictor, published in zip(PREDICTORS, errors, strict=True):
        if not np.isnan(published):
            assert error_of(problem, method_of(name, predictor)) == pytest.approx(published, rel=0.02), predictor


def test_rows_without_compute_are_not_predicted_from_it(public_data: Path) -> None:
    problem = emergent(public_data / "obsscaling", "Word Unscramble", later=True)
    view = hide(problem.dataset, problem.fold.train, problem.targets)
    predicted = observational_compute("flops").fit(view, jax.random.key(0)).predict(view)[:, 0]
    unknown = problem.dataset.lms["flops"].isna().to_numpy()
    assert list(problem.dataset.lms.index[unknown]) == ["Qwen/Qwen1.5-110B", "ai21labs/Jamba-v0.1"]
    np.testing.assert_array_equal(np.isnan(predicted), unknown)


def test_predictors_of_post_training_leave_gsm8k_out(public_data: Path) -> None:
    problem = post_training(public_data / "obsscaling", "GSM8K CoT")
    assert problem.dataset.scores is not None
    assert "GSM8K" not in problem.dataset.scores.benchmarks
    assert len(problem.dataset.scores.benchmarks) == 8
