"""Are intervals as wide as they say? Tasks drawn from the law's own priors, fitted, and predicted where held out."""

import numpy as np
import pytest
from scipy import stats

from csvjax.evaluate import metrics
from csvjax.law.units import features_of, group_units
from csvjax.laws.fit_salience import Settings, fit_salience
from csvjax.laws.predict import predict_cells
from tests import simulated
from tests.laws import simulated_fits

MODELS = simulated.lms(families=10)
FAMILY, RUN, STEP = (MODELS[column].astype(str) for column in ("family", "run", "step"))
# What is held out, from the least to the most that is known: whole families, whole runs of seen families, and the last
# checkpoints of seen runs.
HELD = {
    "family": FAMILY.isin(["f8", "f9"]).to_numpy(),
    "run": RUN.isin(["f4r1", "f5r1", "f6r1", "f7r1"]).to_numpy(),
    "step": (RUN.isin(["f0r1", "f1r1", "f2r1", "f3r1"]) & (STEP == "1")).to_numpy(),
}
TRAIN = ~np.any(list(HELD.values()), axis=0)
TAU = 0.4
SETTINGS = Settings(strengths=(TAU,), per_domain=4, features=4, draws=500, starts=2)


BENCHMARKS = 200


@pytest.fixture(scope="module")
def transform() -> np.ndarray:
    """Randomised probability integral transform [benchmark, lm]: uniform where predictions are what they say."""
    rng = np.random.default_rng(31)
    table = simulated.losses(rng, MODELS)
    units = group_units(table, TRAIN, SETTINGS.per_domain)
    features = features_of(units.loss[TRAIN], units.weight, SETTINGS.features)
    z = TAU * rng.normal(size=(BENCHMARKS, SETTINGS.features)) @ features.T
    truth = simulated_fits.from_prior(rng, BENCHMARKS, z[:, units.label], SETTINGS.priors)
    data = simulated.dataset(rng, MODELS, table, truth, TRAIN, items=200)
    fit = fit_salience(data, TRAIN, (), SETTINGS)
    drawn = np.moveaxis(predict_cells(fit).score, 1, 0)
    return metrics.pit(data.measured()[0].score.T, drawn, rng)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("held", HELD)
def test_intervals_hold_their_share_of_held_out_scores(transform: np.ndarray, held: str, level: float) -> None:
    # Cells of one benchmark share its parameters and effects: one cell of each, so that the cells are independent.
    rows = np.random.default_rng(32).choice(np.flatnonzero(HELD[held]), BENCHMARKS)
    u = transform[np.arange(BENCHMARKS), rows]
    inside = int((np.abs(u - 0.5) < level / 2).sum())
    # Nine such tests, all true: one of them fails by chance once in a hundred times.
    assert stats.binomtest(inside, BENCHMARKS, level).pvalue > 0.01 / 9, inside / BENCHMARKS


def test_predictions_have_no_common_bias(transform: np.ndarray) -> None:
    rows = np.random.default_rng(33).choice(np.flatnonzero(~TRAIN), BENCHMARKS)
    u = transform[np.arange(BENCHMARKS), rows]
    # The mean of uniform numbers has the standard error 1 / sqrt(12 B).
    assert abs(u.mean() - 0.5) < 3.3 / np.sqrt(12 * BENCHMARKS)
