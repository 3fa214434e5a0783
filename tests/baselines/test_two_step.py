from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import pytest

from csvjax.baselines.two_step import LossLaw, expected_loss, fit_loss_law, two_step_ladder
from csvjax.baselines.view import hide
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError

CHINCHILLA = LossLaw(np.log(406.4), np.log(410.7), np.log(1.69), 0.34, 0.28)  # Hoffmann et al. 2022, eq. 10


def ladder() -> tuple[np.ndarray, np.ndarray]:
    params, tokens = np.meshgrid(np.geomspace(1e8, 7e9, 6), np.geomspace(1e9, 1e12, 6))
    return params.ravel(), tokens.ravel()


def test_the_loss_law_is_recovered_from_its_own_values() -> None:
    """At ten times the size and tokens of the ladder, within a thousandth."""
    params, tokens = ladder()
    law = fit_loss_law(params, tokens, expected_loss(CHINCHILLA, params, tokens))
    far = np.array([7e10]), np.array([1e13])
    assert expected_loss(law, *far) == pytest.approx(expected_loss(CHINCHILLA, *far), rel=1e-3)
    assert law.alpha == pytest.approx(0.34, rel=0.03)
    assert law.beta == pytest.approx(0.28, rel=0.03)


def test_one_bad_loss_does_not_move_the_law() -> None:
    params, tokens = ladder()
    loss = expected_loss(CHINCHILLA, params, tokens)
    loss[17] *= 1.5  # Huber
    law = fit_loss_law(params, tokens, loss)
    np.testing.assert_allclose(expected_loss(law, params, tokens)[:17], loss[:17], rtol=2e-3)


def test_scores_of_larger_models_follow_from_two_steps(make: Callable[..., Dataset]) -> None:
    params, tokens = ladder()
    loss = expected_loss(CHINCHILLA, params, tokens)
    score = 0.25 + 0.6 / (1 + np.exp(4 * (loss - 2.6)))
    train = params * tokens < 1e21
    view = hide(make(), np.arange(20) % 4 < 3, ("x",)).take(np.arange(36) % 20)
    view = replace(
        view,
        params=params,
        tokens=tokens,
        loss=np.where(train[:, None], loss[:, None], np.nan),
        size=np.ones(1),
        target=np.where(train, score, np.nan)[:, None],
    )
    predicted = two_step_ladder().fit(view, jax.random.key(0)).predict(view)[:, 0]
    np.testing.assert_allclose(predicted[~train], score[~train], atol=0.01)


def test_a_ladder_of_four_rungs_is_too_short() -> None:
    params, tokens = ladder()
    with pytest.raises(InputError, match="at least 5 training rows"):
        fit_loss_law(params[:4], tokens[:4], np.ones(4))
