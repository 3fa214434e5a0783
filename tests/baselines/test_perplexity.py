from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import rankdata, spearmanr

from csvjax.baselines.perplexity import pair_estimate, perplexity_correlations, to_capped_simplex
from csvjax.baselines.view import hide
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError


def test_the_estimate_is_the_mean_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 5)), np.round(rng.random(12), 1)  # scores with ties
    share = rankdata(x, axis=0) / 12
    pairs = [np.sign(y[g] - y[k]) * (share[g] - share[k]) for g in range(12) for k in range(12) if g != k]
    np.testing.assert_allclose(pair_estimate(x, y), np.mean(pairs, axis=0), atol=1e-12)


def test_the_direction_of_a_single_index_model_is_recovered() -> None:
    """y = f(w . x + e) with f monotone: the estimate is w up to scale for normal x, eq. 2 of the paper."""
    rng = np.random.default_rng(1)
    weight = rng.standard_normal(8)
    x = rng.standard_normal((4000, 8))
    y = np.exp(2 * (x @ weight + rng.standard_normal(4000)))
    estimate = pair_estimate(x, y)
    cosine = estimate @ weight / np.linalg.norm(estimate) / np.linalg.norm(weight)
    assert cosine > 0.99


@pytest.mark.parametrize("seed", range(5))
def test_the_projection_is_the_solution_of_the_linear_programme(seed: int) -> None:
    rng = np.random.default_rng(seed)
    estimate, most = rng.standard_normal(9), rng.uniform(0.05, 0.4, 9)
    weight = to_capped_simplex(estimate, most)
    solved = linprog(-estimate, A_eq=np.ones((1, 9)), b_eq=[1.0], bounds=list(zip(np.zeros(9), most, strict=True)))
    np.testing.assert_allclose(weight, solved.x, atol=1e-9)
    assert weight.sum() == pytest.approx(1)


def test_caps_below_one_are_one_sentence() -> None:
    with pytest.raises(InputError, match=r"found 0\.5"):
        to_capped_simplex(np.zeros(5), np.full(5, 0.1))


def test_it_finds_the_texts_that_tell(make: Callable[..., Dataset]) -> None:
    """Half of the texts follow the ability, half are noise: ranks of held-out models beat those of the mean loss."""
    rng = np.random.default_rng(2)
    view = hide(make(gaps=0.0), np.arange(20) % 4 < 3, ("x",)).take(np.arange(100) % 20)
    ability = rng.standard_normal(100)
    score = 0.3 + 0.4 / (1 + np.exp(-ability)) + 0.01 * rng.standard_normal(100)
    loss = 2.0 + np.hstack(
        [-0.1 * ability[:, None] + 0.03 * rng.standard_normal((100, 3)), rng.standard_normal((100, 3))]
    )
    train = np.arange(100) < 70
    view = replace(view, loss=loss, target=np.where(train, score, np.nan)[:, None])
    predicted = perplexity_correlations().fit(view, jax.random.key(0)).predict(view)[~train, 0]
    assert spearmanr(predicted, score[~train]).statistic > 0.9
    assert spearmanr(-loss[~train].mean(axis=1), score[~train]).statistic < 0.6
