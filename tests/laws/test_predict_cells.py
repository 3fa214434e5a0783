from dataclasses import replace

import numpy as np
import pytest

from csvjax.data.dataset import Dataset
from csvjax.laws.fit_salience import SalienceFit, fit_salience
from csvjax.laws.predict import group_salience, predict_cells
from tests import simulated
from tests.laws import simulated_fits

FOLD = simulated.hold_out(simulated.lms(), "f1", "f4")
SETTINGS = simulated_fits.SETTINGS


@pytest.fixture(scope="module")
def data() -> Dataset:
    return simulated.world(2.5)


@pytest.fixture(scope="module")
def fit(data: Dataset) -> SalienceFit:
    return fit_salience(data, FOLD.train, (), SETTINGS.mean_loss)


def test_draws_are_labelled_by_benchmark_draw_and_model(fit: SalienceFit) -> None:
    drawn = predict_cells(fit)
    for part in drawn:
        assert part.shape == (3, 400, 24)
        assert part.dtype == np.float64
        assert np.isfinite(part).all()
    np.testing.assert_allclose(drawn.score * 400, np.round(drawn.score * 400), atol=1e-9)
    assert np.all((drawn.mean > 0.25) & (drawn.mean < 1))


def test_same_seed_same_draws(fit: SalienceFit) -> None:
    np.testing.assert_array_equal(predict_cells(fit, 3).score, predict_cells(fit, 3).score)
    assert np.any(predict_cells(fit, 3).score != predict_cells(fit, 4).score)


def test_means_scatter_less_than_scores_and_models_of_a_run_share_their_effects(
    fit: SalienceFit, data: Dataset
) -> None:
    drawn = predict_cells(fit)
    assert np.all(drawn.mean.std(axis=1) < drawn.score.std(axis=1))
    # A held-out family's checkpoints: the same draw of what the losses do not tell, so their means move together.
    first, second = np.flatnonzero(data.lms["run"] == "f4r0")
    other = int(np.flatnonzero(data.lms["run"] == "f1r0")[0])
    logit = np.log(drawn.mean / (1 - drawn.mean))
    for b in range(3):
        together = np.corrcoef(logit[b, :, first], logit[b, :, second])[0, 1]
        assert together > np.corrcoef(logit[b, :, first], logit[b, :, other])[0, 1] + 0.2


def test_a_held_out_family_is_predicted_with_more_doubt_than_a_seen_one(fit: SalienceFit) -> None:
    sd = predict_cells(fit).mean.std(axis=1)
    assert sd[:, FOLD.test].mean() > 1.2 * sd[:, FOLD.train].mean()


def test_salience_of_groups_sums_to_one_and_is_their_weight_without_tilt(fit: SalienceFit, data: Dataset) -> None:
    found = group_salience(fit)
    assert found.shape == (3, 12)
    np.testing.assert_allclose(found, np.tile(fit.units.weight, (3, 1)), rtol=1e-12)
    tilted = group_salience(fit_salience(data, FOLD.train, (), replace(SETTINGS, strengths=(0.6,))))
    np.testing.assert_allclose(tilted.sum(axis=1), 1, rtol=1e-12)
    assert np.all(np.abs(tilted - found).max(axis=1) > 1e-3)
