import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from csvjax.data.losses import LossTable
from csvjax.law.salience import impute_losses, salience, salient_loss, salient_losses
from tests import simulated

UNITS = 7
tilts = hnp.arrays(float, UNITS, elements=st.floats(-50, 50))
bases = hnp.arrays(float, UNITS, elements=st.floats(1e-3, 1)).map(lambda w: np.log(w / w.sum()))


@pytest.fixture(scope="module")
def table() -> LossTable:
    return simulated.losses(np.random.default_rng(1), simulated.lms())


def test_without_tilt_the_salient_loss_is_the_mean_loss(table: LossTable) -> None:
    per_byte = table.loss / table.units["bytes"].to_numpy()
    found = salient_loss(per_byte, np.log(table.base_weight), np.zeros(len(table.units)))
    np.testing.assert_allclose(found, table.mean_loss, rtol=1e-14)


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


def test_many_columns_at_once_are_one_by_one() -> None:
    rng = np.random.default_rng(3)
    loss, log_base, z = (
        rng.uniform(0, 5, (4, UNITS)),
        np.log(rng.dirichlet(np.ones(UNITS))),
        rng.normal(size=(3, UNITS)),
    )
    found = np.asarray(salient_losses(loss, log_base, z))
    for column, own in zip(found.T, z, strict=True):
        np.testing.assert_allclose(column, salient_loss(loss, log_base, own), rtol=1e-12)


@pytest.mark.parametrize("columns", [1, 3])
def test_losses_that_were_not_measured_are_those_of_least_squares_with_leverage(columns: int) -> None:
    rng = np.random.default_rng(4)
    n, p = 30, 3
    known = np.c_[np.ones(n), rng.normal(size=(n, p - 1))]
    mixing = rng.normal(size=(columns, columns))
    psi = known @ rng.normal(size=(p, columns)) + rng.normal(size=(n, columns)) @ mixing
    design = np.c_[np.ones(4), rng.normal(size=(4, p - 1)) * [[0], [1], [3], [10]]]
    mean, root = impute_losses(*map(jnp.asarray, (psi, known, design)))
    slope, *_ = np.linalg.lstsq(known, psi, rcond=None)
    left = psi - known @ slope
    scatter = left.T @ left / (n - p)
    leverage = np.einsum("mi,ij,mj->m", design, np.linalg.inv(known.T @ known), design)
    # A grain of 1e-6 lets columns of X that say the same be inverted.
    np.testing.assert_allclose(mean, design @ slope, rtol=1e-4, atol=1e-4)
    covariance = np.asarray(root) @ np.swapaxes(root, 1, 2)
    np.testing.assert_allclose(covariance, (1 + leverage)[:, None, None] * scatter, rtol=1e-4, atol=1e-6)


def test_without_covariates_a_model_has_the_mean_and_scatter_of_the_others() -> None:
    psi = np.random.default_rng(5).normal(2, 0.3, (12, 1))
    mean, root = impute_losses(jnp.asarray(psi), jnp.ones((12, 1)), jnp.ones((1, 1)))
    assert float(mean[0, 0]) == pytest.approx(psi.mean(), rel=1e-5)
    assert float(root[0, 0, 0]) == pytest.approx(psi.std(ddof=1) * np.sqrt(1 + 1 / 12), rel=1e-4)


def test_covariates_that_say_the_same_and_too_few_models_have_finite_slopes() -> None:
    x = np.random.default_rng(6).normal(size=5)

    def whole(psi: jax.Array, known: jax.Array) -> jax.Array:
        mean, root = impute_losses(psi, known, known[:2])
        return jnp.sum(mean) + jnp.sum(root)

    for known in (np.c_[np.ones(5), x, x], np.c_[np.ones(2), x[:2], x[2:4], x[:2]]):
        psi = jnp.asarray(np.linspace(1, 2, 2 * len(known)).reshape(-1, 2))
        value, slope = jax.value_and_grad(whole)(psi, jnp.asarray(known))
        assert np.isfinite(value)
        assert np.isfinite(slope).all()
