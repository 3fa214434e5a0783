"""Are intervals as wide as they say? Tasks drawn from the law's own priors, fitted, and predicted where held out."""

import numpy as np
import pytest

from csvjax.evaluate import metrics
from csvjax.fit.salience import Settings, fit_salience
from csvjax.laws.units import features_of, group_units
from csvjax.predict import predict_cells
from tests import simulated

pytestmark = pytest.mark.slow

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


def simulate(seed: int, benchmarks: int, items: int) -> tuple[np.ndarray, dict[str, dict[int, np.ndarray]]]:
    rng = np.random.default_rng(seed)
    table = simulated.losses(rng, MODELS)
    units = group_units(table, TRAIN, SETTINGS.per_domain)
    features = features_of(units.loss[TRAIN], units.weight, SETTINGS.features)
    z = TAU * rng.normal(size=(benchmarks, SETTINGS.features)) @ features.T
    truth = simulated.from_prior(rng, benchmarks, z[:, units.label], SETTINGS.priors)
    data = simulated.dataset(rng, MODELS, table, truth, TRAIN, items)
    fit = fit_salience(data, TRAIN, (), SETTINGS, seed)
    score = np.moveaxis(predict_cells(fit, seed).score, 1, 0)
    observed = data.measured()[0].score.T
    u = metrics.pit(observed, score, rng)
    return u, observed, score, fit
