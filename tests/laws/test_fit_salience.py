"""fit_salience: what it must not see, what it must give again, what it must not compile again, what it must refuse."""

import dataclasses

import jax
import numpy as np
import pytest

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.evaluate.splits import Fold
from csvjax.laws import fit_salience as salience
from csvjax.laws.fit_optimise import Mode
from csvjax.laws.fit_salience import SalienceFit, Settings, fit_salience
from csvjax.laws.predict import predict_cells
from csvjax.laws.salience_law import Priors
from tests import simulated
from tests.laws import simulated_fits

MODELS = simulated.lms()
SETTINGS = simulated_fits.SETTINGS


def inner(fold: Fold, *families: str) -> tuple[Fold, ...]:
    """Two inner folds, each with a training family held out."""
    held = [simulated.hold_out(MODELS, name).test for name in families or ("f0", "f3")]
    return tuple(Fold(str(i), fold.train & ~test, test) for i, test in enumerate(held))


@pytest.fixture(scope="module")
def fit(data: Dataset, fold: Fold) -> SalienceFit:
    return fit_salience(data, fold.train, inner(fold), SETTINGS, seed=1)


def assert_same(one: SalienceFit, two: SalienceFit) -> None:
    """Bit for bit, in what was chosen, in the posterior and in the predictions."""
    assert one.strength == two.strength
    np.testing.assert_array_equal(one.inner_score, two.inner_score)
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(predict_cells(one, 2).score, predict_cells(two, 2).score)


def test_same_seed_same_numbers_and_another_seed_others(data: Dataset, fold: Fold, fit: SalienceFit) -> None:
    assert_same(fit, fit_salience(data, fold.train, inner(fold), SETTINGS, seed=1))
    other = fit_salience(data, fold.train, inner(fold), SETTINGS, seed=2)
    assert np.all(other.x != fit.x)
    assert np.any(predict_cells(fit, 3).score != predict_cells(fit, 2).score)


@pytest.mark.parametrize("what", ["other values", "missing", "permuted"])
def test_held_out_scores_change_no_bit(data: Dataset, fold: Fold, fit: SalienceFit, what: str) -> None:
    score = data.measured()[0].score.copy()
    held = score[fold.test]
    score[fold.test] = {"other values": 1 - held, "missing": np.full_like(held, np.nan), "permuted": held[::-1]}[what]
    assert_same(fit, fit_salience(simulated.with_scores(data, score), fold.train, inner(fold), SETTINGS, seed=1))


def test_held_out_losses_change_no_bit_of_the_posterior(data: Dataset, fold: Fold, fit: SalienceFit) -> None:
    loss = data.measured()[1].loss.copy()
    loss[fold.test] = loss[fold.test][::-1] + 0.5
    other = fit_salience(simulated.with_losses(data, loss), fold.train, inner(fold), SETTINGS, seed=1)
    np.testing.assert_array_equal(other.x, fit.x)
    np.testing.assert_array_equal(other.inner_score, fit.inner_score)
    one, two = (predict_cells(f, 2).mean for f in (fit, other))
    assert np.all(one[:, :, fold.test] != two[:, :, fold.test])


def test_a_training_score_changes_the_posterior_of_its_benchmark_alone(data: Dataset, fold: Fold) -> None:
    score = data.measured()[0].score.copy()
    score[np.flatnonzero(fold.train)[0], 1] -= 0.1
    settings = dataclasses.replace(SETTINGS, strengths=(0.6,))
    before, after = (fit_salience(d, fold.train, (), settings, 1) for d in (data, simulated.with_scores(data, score)))
    assert np.all(after.x[1] != before.x[1])
    np.testing.assert_allclose(after.x[[0, 2]], before.x[[0, 2]], rtol=1e-6, atol=1e-6)


def test_a_benchmark_that_no_training_model_took_keeps_the_prior(data: Dataset, fold: Fold) -> None:
    score = data.measured()[0].score.copy()
    score[fold.train, 1] = np.nan
    found = fit_salience(simulated.with_scores(data, score), fold.train, (), SETTINGS.mean_loss)
    assert found.mode.converged.all()
    sites = simulated_fits.posterior(found)
    prior = SETTINGS.priors
    # 400 draws of a normal: the standard error of their sd is 3.5 %.
    assert sites["intercept"][1].std() == pytest.approx(prior.intercept_sd, rel=0.15)
    assert np.log(sites["slope"][1]).std() == pytest.approx(prior.slope_sd, rel=0.15)
    assert np.isfinite(predict_cells(found).score).all()
    complete = fit_salience(data, fold.train, (), SETTINGS.mean_loss)
    np.testing.assert_allclose(found.x[[0, 2]], complete.x[[0, 2]], rtol=1e-6, atol=1e-6)


def test_a_second_fold_of_the_same_shape_compiles_nothing(data: Dataset, fold: Fold, fit: SalienceFit) -> None:
    predict_cells(fit)
    other = simulated.hold_out(MODELS, "f0", "f2", "f5")
    folds = inner(other, "f1", "f3")
    # Settings made anew are equal settings.
    settings = Settings(**{f.name: getattr(SETTINGS, f.name) for f in dataclasses.fields(Settings)})
    settings = dataclasses.replace(settings, priors=Priors(*SETTINGS.priors))
    counted = [salience._search, salience._draw, salience._score_of]
    before = [function._cache_size() for function in counted]
    with jax.log_compiles(False), jax.no_tracing():
        predict_cells(fit_salience(data, other.train, folds, settings, seed=5))
    assert [function._cache_size() for function in counted] == before


def test_the_callers_precision_is_as_before(data: Dataset, fold: Fold) -> None:
    assert not jax.config.jax_enable_x64
    fit = fit_salience(data, fold.train, (), SETTINGS.mean_loss)
    drawn = predict_cells(fit)
    assert not jax.config.jax_enable_x64
    assert fit.x.dtype == drawn.score.dtype == np.float64
    assert jax.numpy.zeros(1).dtype == np.float32
    with pytest.raises(InputError):
        fit_salience(data, fold.train, (), SETTINGS)
    assert not jax.config.jax_enable_x64
    with jax.enable_x64(True):
        fit_salience(data, fold.train, (), SETTINGS.mean_loss)
        assert jax.config.jax_enable_x64


def test_several_strengths_need_inner_folds_of_training_rows(data: Dataset, fold: Fold) -> None:
    with pytest.raises(InputError, match=r"expected inner folds to choose among the strengths 0, 0\.6, found none"):
        fit_salience(data, fold.train, (), SETTINGS)
    leaking = Fold("leaks", fold.train, fold.test)
    with pytest.raises(InputError, match="found 8 other rows in fold 'leaks'"):
        fit_salience(data, fold.train, (leaking,), SETTINGS)


def test_each_strength_has_its_share_of_the_draws() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(3, 4, 200, 5))
    weights = np.array([[0.2, 1.0, 0.0, 0.123], [0.3, 0.0, 0.5, 0.377], [0.5, 0.0, 0.5, 0.5]])
    mixed = salience._mix(x, weights)
    whose = (mixed[None] == x).all(axis=-1)  # [strength, benchmark, draw]
    assert (whose.sum(axis=0) == 1).all()
    np.testing.assert_allclose(whose.mean(axis=-1), weights, atol=1 / 200)


def test_planted_salience_takes_the_weight_from_the_mean_loss(fit: SalienceFit) -> None:
    assert fit.inner_score.shape == fit.weights.shape == (2, 3)
    np.testing.assert_allclose(fit.weights.sum(axis=0), 1)
    assert (np.argmax(fit.inner_score, axis=0) == 1).all()
    assert (fit.weights[1] > 0.99).all()
    assert fit.strength == pytest.approx(0.6 * fit.weights[1].mean())
    of_mean_loss = (simulated_fits.posterior(fit)["weight"] == 0).all(
        axis=-1
    )  # the weight is multiplied by the strength
    np.testing.assert_allclose(of_mean_loss.mean(axis=1), fit.weights[0], atol=1 / 400)


def test_status_tells_who_did_not_converge(fit: SalienceFit) -> None:
    assert fit.status.startswith("converged for all 3 benchmarks; the 2 starts of a benchmark ended at most")
    mode: Mode = fit.mode._replace(converged=np.array([True] * 3 + [True, False, True]))  # strength by strength
    assert fit._replace(mode=mode).status.startswith("not converged for b1: the largest gradient is")
    mode = fit.mode._replace(converged=np.array([True, False, True] + [True] * 3))  # without a share of the draws
    assert fit._replace(mode=mode).status == fit.status
