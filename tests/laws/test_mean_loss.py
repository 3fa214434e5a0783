"""Without strength the salience law is that of the mean loss."""

import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.compiled import jit_by_size
from csvjax.law.density import Density
from csvjax.law.units import group_units
from csvjax.laws.evidence import evidence, group_names
from csvjax.laws.salience_law import salience_law
from csvjax.precision import float64
from tests import simulated

constrain = jit_by_size(Density(salience_law).constrain)


@pytest.mark.parametrize("seed", range(5))
@float64
def test_without_strength_the_whole_law_sees_the_mean_loss_whatever_its_weights_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    models = simulated.lms()
    table = simulated.losses(rng, models)
    train = rng.random(len(models)) < 0.7
    data = simulated.dataset(rng, models, table, simulated.planted_on_domains(table, 2.0), train)
    units = group_units(table, train, 4)
    e = evidence(data, units, group_names(data).nested(data), train, 4)
    first = e._replace(**{name: getattr(e, name)[0] for name in ("strength", "score", "n_items", "seen", "floor")})
    x = jnp.asarray(rng.normal(size=4 + 7))
    np.testing.assert_allclose(constrain(x, first)["salient_loss"], table.mean_loss, rtol=1e-13)
    tilted = constrain(x, first._replace(strength=np.float64(0.5)))["salient_loss"]
    assert np.max(np.abs(tilted - table.mean_loss)) > 1e-6
