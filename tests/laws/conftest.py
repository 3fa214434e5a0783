from collections.abc import Iterator

import jax
import numpy as np
import pytest

from csvjax.data.dataset import Dataset
from csvjax.evaluate.splits import Fold
from csvjax.law.units import group_units
from csvjax.laws.evidence import evidence, group_names
from csvjax.laws.salience_law import Evidence
from tests import simulated
from tests.laws import simulated_fits


@pytest.fixture(autouse=True, scope="module")
def x64() -> Iterator[None]:
    """The laws are evaluated in float64, as fits do."""
    with jax.enable_x64(True):
        yield


def first(stacked: Evidence) -> Evidence:
    """The first benchmark of stacked evidence."""
    names = ("strength", "score", "n_items", "seen", "floor")
    return stacked._replace(**{name: np.asarray(getattr(stacked, name)[0]) for name in names})


@pytest.fixture(scope="session")
def fold() -> Fold:
    """Two of six families held out."""
    return simulated.hold_out(simulated.lms(), "f1", "f4")


@pytest.fixture(scope="session")
def data(fold: Fold) -> Dataset:
    """Three tasks, each about one domain of the text."""
    rng, models = np.random.default_rng(11), simulated.lms()
    table = simulated.losses(rng, models)
    return simulated.dataset(rng, models, table, simulated.planted_on_domains(table, 2.5), fold.train)


@pytest.fixture(scope="session")
def case(data: Dataset, fold: Fold) -> Evidence:
    """Evidence of the first task, strength 0.6."""
    losses = data.measured()[1]
    units = group_units(losses, fold.train, simulated_fits.SETTINGS.per_domain)
    stacked = evidence(data, units, group_names(data).nested(data), fold.train, simulated_fits.SETTINGS.features)
    return first(stacked)._replace(strength=np.array(0.6))
