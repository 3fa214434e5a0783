import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from csvjax.data.losses import LossTable
from csvjax.law.density import Density
from csvjax.law.salience import salience, salient_loss
from csvjax.law.units import group_units
from csvjax.laws.evidence import evidence, group_names
from csvjax.laws.salience_law import salience_law
from tests import simulated

UNITS = 7
tilts = hnp.arrays(float, UNITS, elements=st.floats(-50, 50))
bases = hnp.arrays(float, UNITS, elements=st.floats(1e-3, 1)).map(lambda w: np.log(w / w.sum()))


constrain = jax.jit(Density(salience_law).constrain)


@pytest.fixture(scope="module")
def table() -> LossTable:
    return simulated.losses(np.random.default_rng(1), simulated.lms())


def test_without_tilt_the_salient_loss_is_the_mean_loss(table: LossTable) -> None:
    per_byte = table.loss / table.units["bytes"].to_numpy()
    found = salient_loss(per_byte, np.log(table.base_weight), np.zeros(len(table.units)))
    np.testing.assert_allclose(found, table.mean_loss, rtol=1e-14)


@pytest.mark.parametrize("seed", range(5))
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


@given(bases, tilts)
def test_salience_is_a_distribution_and_is_its_definition(log_base: np.ndarray, z: np.ndarray) -> None:
    s = np.asarray(salience(log_base, z))
    assert np.all(s >= 0)
    assert s.sum() == pytest.approx(1, abs=1e-14)
    plain = np.exp(log_base + z)
    np.testing.assert_allclose(s, plain / plain.sum(), rtol=1e-12)


@given(bases, tilts, st.floats(-100, 100))
def test_only_differences_of_z_matter(log_base: np.ndarray, z: np.ndarray, shift: float) -> None:
    # z + shift is rounded to 150 ulp, which is a relative error of 150 * 2.2e-16 in exp(z)
    np.testing.assert_allclose(salience(log_base, z + shift), salience(log_base, z), rtol=1e-12, atol=1e-300)


@given(bases, tilts, st.integers(0, 2**32 - 1))
def test_salient_loss_lies_between_the_least_and_the_largest_loss(
    log_base: np.ndarray, z: np.ndarray, seed: int
) -> None:
    loss = np.random.default_rng(seed).uniform(0, 5, (3, UNITS))
    psi = np.asarray(salient_loss(loss, log_base, z))
    assert np.all((psi >= loss.min(axis=1) - 1e-12) & (psi <= loss.max(axis=1) + 1e-12))


def test_to_first_order_a_unit_counts_as_much_as_its_loss_exceeds_the_salient_loss() -> None:
    # d psi / d z[u] = s[u] (loss[u] - psi)
    rng = np.random.default_rng(2)
    loss, log_base, z = rng.uniform(0, 5, (1, UNITS)), np.log(np.full(UNITS, 1 / UNITS)), rng.normal(size=UNITS)
    s = np.asarray(salience(log_base, z))
    slope = jax.grad(lambda z: salient_loss(loss, log_base, z)[0])(z)
    np.testing.assert_allclose(slope, s * (loss[0] - s @ loss[0]), rtol=1e-12)
