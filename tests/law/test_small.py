"""Small matrices against LAPACK."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.law.small import inverse, lower_root


@pytest.fixture(params=[1, 2, 5, 20])
def matrices(request: pytest.FixtureRequest) -> np.ndarray:
    rng = np.random.default_rng(request.param)
    x = rng.standard_normal((7, request.param, request.param)) * 10.0 ** rng.uniform(-2, 2, (7, 1, 1))
    return np.eye(request.param) + x @ np.swapaxes(x, 1, 2)


def test_inverse_and_determinant(matrices: np.ndarray) -> None:
    found, log_det = inverse(jnp.asarray(matrices))
    # The error of an inverse is its condition number times the machine's rounding.
    scale = np.linalg.cond(matrices) * 1e-14
    error = np.abs(found @ matrices - np.eye(matrices.shape[1])).max(axis=(1, 2))
    assert (error <= scale + 1e-13).all()
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrices)[1], rtol=1e-10, atol=1e-10)


def test_derivatives_are_those_of_linear_algebra(matrices: np.ndarray) -> None:
    change = np.random.default_rng(0).standard_normal(matrices.shape)
    _, (slope, log_slope) = jax.jvp(inverse, (jnp.asarray(matrices),), (jnp.asarray(change),))
    known = np.linalg.inv(matrices)
    np.testing.assert_allclose(slope, -known @ change @ known, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(log_slope, np.trace(known @ change, axis1=1, axis2=2), rtol=1e-6, atol=1e-6)
    gradient = jax.grad(lambda a: jnp.sum(inverse(a)[1]))(jnp.asarray(matrices))
    np.testing.assert_allclose(gradient, known, rtol=1e-6, atol=1e-6)


def test_root(matrices: np.ndarray) -> None:
    found = np.asarray(lower_root(jnp.asarray(matrices)))
    np.testing.assert_allclose(found @ np.swapaxes(found, 1, 2), matrices, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(found, np.tril(found))
