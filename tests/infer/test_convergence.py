import numpy as np
import pytest

from csvjax.infer.convergence import bulk_ess, rhat, tail_ess


def autoregressive(rng: np.random.Generator, rho: float, draws: int) -> np.ndarray:
    """Four chains of x[t + 1] = rho x[t] + noise, stationary with variance 1."""
    x = np.empty((4, draws))
    x[:, 0] = rng.normal(size=4)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * rng.normal(size=4)
    return x


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_effective_draws_of_autoregressive_chains(rho: float) -> None:
    x = autoregressive(np.random.default_rng(1), rho, 5000)
    # S (1 - rho) / (1 + rho) effective draws for the mean.
    expected = 20_000 * (1 - rho) / (1 + rho)
    assert float(bulk_ess(x)) == pytest.approx(expected, rel=0.2)
    assert float(tail_ess(x)) <= 1.3 * 20_000
    assert float(rhat(x)) < 1.01


def test_chains_that_differ_in_place_or_in_width_are_told() -> None:
    x = np.random.default_rng(2).normal(size=(4, 500, 3))
    x[0, :, 1] += 1.0
    x[0, :, 2] *= 4.0
    found = rhat(x)
    assert found[0] < 1.01
    assert found[1] > 1.05
    assert found[2] > 1.05  # only the folded r-hat sees this one


def test_ranks_do_not_mind_infinite_variance() -> None:
    x = np.random.default_rng(3).standard_cauchy(size=(4, 2000))
    assert float(rhat(x)) < 1.01
    assert float(bulk_ess(x)) > 4000


def test_a_constant_has_all_its_draws() -> None:
    assert float(rhat(np.ones((2, 100)))) == 1.0
    assert float(bulk_ess(np.ones((2, 100)))) == 200.0
