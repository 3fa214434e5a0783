import numpy as np
import pytest

from csvjax.baselines.least_squares import Sigmoid, Solver, evaluate, fit_sigmoid

TRUE = Sigmoid(np.array([1.5, -0.7]), -0.4, 0.0)
X = np.random.default_rng(0).standard_normal((60, 2))


@pytest.mark.parametrize(("solver", "error"), [("quasi-newton", 2e-4), ("trust-region", 1e-6)])
def test_a_sigmoid_is_recovered_from_its_own_values(solver: Solver, error: float) -> None:
    fitted = fit_sigmoid(X, evaluate(TRUE, X), solver=solver)
    np.testing.assert_allclose(fitted.weight, TRUE.weight, atol=error)
    assert fitted.intercept == pytest.approx(TRUE.intercept, abs=error)
    assert fitted.floor == 0


@pytest.mark.parametrize(("solver", "error"), [("quasi-newton", 2e-3), ("trust-region", 1e-5)])
def test_a_floor_is_recovered_within_its_bounds(solver: Solver, error: float) -> None:
    with_floor = TRUE._replace(floor=0.12)
    fitted = fit_sigmoid(X, evaluate(with_floor, X), widest_floor=0.2, solver=solver)
    assert fitted.floor == pytest.approx(0.12, abs=error)
    np.testing.assert_allclose(fitted.weight, TRUE.weight, atol=10 * error)
    bounded = fit_sigmoid(X, evaluate(TRUE._replace(floor=0.4), X), widest_floor=0.2, solver=solver)
    assert bounded.floor == pytest.approx(0.2, abs=1e-6)


def test_the_fit_is_a_least_squares_fit() -> None:
    y = np.clip(evaluate(TRUE, X) + 0.1 * np.random.default_rng(1).standard_normal(60), 0, 1)
    fitted = fit_sigmoid(X, y, solver="trust-region")

    def loss(law: Sigmoid) -> float:
        return float(np.sum((evaluate(law, X) - y) ** 2))

    for step in (-1e-3, 1e-3):
        assert loss(fitted) < loss(fitted._replace(intercept=fitted.intercept + step))
        assert loss(fitted) < loss(fitted._replace(weight=fitted.weight + np.array([step, 0])))


def test_a_missing_feature_gives_no_prediction() -> None:
    predicted = evaluate(TRUE, np.array([[0.0, np.nan], [0.0, 0.0]]))
    assert np.isnan(predicted[0])
    assert predicted[1] == pytest.approx(1 / (1 + np.exp(0.4)))
