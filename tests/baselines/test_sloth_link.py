"""The trained link: monotone whatever it is trained to; what one descent finds depends on its start."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.baselines.sloth_link import LinkLaw, _begin, _best, _score, sloth_link
from csvjax.baselines.view import hide
from csvjax.evaluate.protocols.sloth import sloth_problems


@pytest.fixture
def trained() -> tuple[dict, np.ndarray, np.ndarray]:
    """40 rows of three benchmarks that are steps of one feature: no logistic curve has their shape."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (40, 1))
    y = np.hstack([0.2 + 0.3 * (x > -0.4) + 0.3 * (x > 0.5), 0.3 + 0.5 / (1 + np.exp(-4 * x)), 0.5 + 0.2 * x])
    begin = _begin(jax.random.key(0), 1, 1, np.array([0.1, 0.1, 0.1]))
    return _best(begin, (1e-1, 1e-2), x, y, 3000), x, y


def test_it_bends_to_what_no_logistic_curve_fits(trained: tuple[dict, np.ndarray, np.ndarray]) -> None:
    params, x, y = trained
    error = np.abs(np.asarray(_score(params, jnp.asarray(x, jnp.float32))) - y).mean(axis=0)
    assert (error < 0.03).all()


def test_scores_never_fall_where_the_capability_rises(trained: tuple[dict, np.ndarray, np.ndarray]) -> None:
    params, _, _ = trained
    score = np.asarray(_score(params, jnp.linspace(-3, 3, 200, dtype=jnp.float32)[:, None]))
    direction = np.sign(np.asarray(params["to_capability"] @ params["loading"]))[0]
    assert (np.diff(score, axis=0) * direction >= -1e-6).all()
    assert all(float(params[name].min()) >= 0 for name in ("w1", "w2", "w3"))


def test_gaps_and_padding_do_not_count() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1, 1, (20, 2)), rng.uniform(0.3, 0.7, (20, 2))
    y[rng.random(y.shape) < 0.3] = np.nan
    begin = _begin(jax.random.key(0), 2, 1, np.zeros(2) + 0.1)
    more = np.vstack([x, rng.uniform(-1, 1, (9, 2))]), np.vstack([y, np.full((9, 2), np.nan)])
    one, two = _best(begin, (1e-2,), x, y, 200), _best(begin, (1e-2,), *more, 200)
    for first, second in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.slow
def test_one_descent_predicts_better_than_components_though_short_of_the_published_error(public_data: Path) -> None:
    """All 12 benchmarks, two models seen, rank 3: 4.02 points published; 4.6 and 6.2 measured here from two starts.

    What one descent finds depends on its start, so the published figure is not reproduced. Components from FLOPs: 8.42.
    """
    found = []
    for problem in sloth_problems(public_data / "sloth" / "data_v2.csv", "all", 2):
        view = hide(problem.dataset, problem.fold.train, problem.targets)
        fitted = sloth_link(3).fit(view, jax.random.key(0))
        assert isinstance(fitted.law, LinkLaw)
        found.append(np.abs(fitted.predict(view) - problem.observed)[problem.fold.test].mean())
    assert 100 * np.mean(found) < 8.42
