from collections.abc import Callable

import jax
import numpy as np
import pytest

from csvjax.baselines.index_curve import IndexCurve, apply_curves, fit_curve, loss_per_byte
from csvjax.baselines.mean_loss import mean_loss
from csvjax.baselines.view import hide
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError

TRUE = IndexCurve(height=0.6, slope=-5.0, middle=2.5, base=0.2)
X = np.linspace(1.5, 3.5, 40)


def test_a_curve_is_recovered_from_its_own_values() -> None:
    y = apply_curves([TRUE], X[:, None])[:, 0]
    np.testing.assert_allclose(fit_curve(X, y), TRUE, rtol=1e-3)
    np.testing.assert_allclose(fit_curve(X, y, TRUE._replace(slope=-4.0, base=0.1)), TRUE, rtol=1e-3)


def test_a_rising_index_has_a_rising_curve() -> None:
    y = apply_curves([TRUE._replace(slope=5.0)], X[:, None])[:, 0]
    assert fit_curve(X, y).slope == pytest.approx(5.0, rel=1e-3)


def test_more_starts_are_no_worse_than_one() -> None:
    y = np.clip(apply_curves([TRUE], X[:, None])[:, 0] + 0.05 * np.random.default_rng(0).standard_normal(40), 0, 1)

    def loss(curve: IndexCurve) -> float:
        return float(np.sum((apply_curves([curve], X[:, None])[:, 0] - y) ** 2))

    assert loss(fit_curve(X, y)) <= loss(fit_curve(X, y, IndexCurve(0.1, -1.0, 0.0, 0.9))) + 1e-9
    assert loss(fit_curve(X, y)) <= loss(TRUE)


def test_the_mean_loss_weighs_units_by_their_bytes(make: Callable[..., Dataset]) -> None:
    view = hide(make(), np.arange(20) % 4 < 3, ("x",))
    np.testing.assert_allclose(loss_per_byte(view), view.loss.mean(axis=1))  # of one byte each


def test_without_losses_there_is_one_sentence(make: Callable[..., Dataset]) -> None:
    dataset = make()
    view = hide(Dataset(dataset.lms, dataset.scores), np.arange(20) % 4 < 3, ("x",))
    with pytest.raises(InputError, match="expected token losses, found none"):
        mean_loss().fit(view, jax.random.key(0))
