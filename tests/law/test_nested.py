"""Inverses in closed form against whole matrices, with runs inside families and slots without a model."""

import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.law.nested import Nested, in_run, nested

FAMILIES, SLOTS, COLUMNS = 5, 6, 3


class Case:
    """Random runs in each family; slots without a model, and cells that nobody saw, have weight 0."""

    def __init__(self, seed: int, run: float, family: float) -> None:
        rng = np.random.default_rng(seed)
        number = rng.integers(0, 3, (FAMILIES, SLOTS))
        self.same = number[:, :, None] == number[:, None, :]
        weight = rng.lognormal(0, 2, (FAMILIES, SLOTS, COLUMNS)) * (rng.random((FAMILIES, SLOTS, COLUMNS)) < 0.8)
        weight[:, -1] = 0.0
        weight[0] = 0.0
        self.weight = weight
        self.run, self.family = run * rng.uniform(0.5, 2, COLUMNS), family * rng.uniform(0.5, 2, COLUMNS)
        self.rng = rng

    @property
    def found(self) -> Nested:
        return nested(*map(jnp.asarray, (self.same, self.weight, self.run, self.family)))

    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """N^-1 [family, slot, slot, column] = W (I + K W)^-1 and log det (I + K W), K = run R + family 1 1'."""
        inverse, log_det = np.zeros((FAMILIES, SLOTS, SLOTS, COLUMNS)), np.zeros(FAMILIES)
        for f in range(FAMILIES):
            for c in range(COLUMNS):
                w = np.diag(self.weight[f, :, c])
                whole = np.eye(SLOTS) + (self.run[c] * self.same[f] + self.family[c]) @ w
                inverse[f, :, :, c] = w @ np.linalg.inv(whole)
                log_det[f] += np.linalg.slogdet(whole)[1]
        return inverse, log_det


@pytest.mark.parametrize(("run", "family"), [(0.7, 1.3), (0.0, 1.3), (0.7, 0.0), (0.0, 0.0), (40.0, 900.0)])
@pytest.mark.parametrize("seed", range(3))
def test_everything_is_that_of_whole_matrices(seed: int, run: float, family: float) -> None:
    case = Case(seed, run, family)
    found, (inverse, log_det) = case.found, case.dense()
    close = {"rtol": 1e-9, "atol": 1e-9 * case.weight.max()}
    np.testing.assert_allclose(found.matrix(), inverse, **close)
    np.testing.assert_allclose(found.log_det, log_det, rtol=1e-10, atol=1e-10)
    d = case.rng.standard_normal((FAMILIES, SLOTS, COLUMNS))
    applied = found.apply(jnp.asarray(case.weight * d))
    np.testing.assert_allclose(applied, np.einsum("fmnc,fnc->fmc", inverse, d), **close)
    own = case.rng.standard_normal((FAMILIES, SLOTS, COLUMNS, 2))
    expected = np.einsum("fmck,fmnc,fncl->fmknl", own, inverse, own)
    np.testing.assert_allclose(found.between(jnp.asarray(own)), expected, rtol=1e-9, atol=1e-8 * case.weight.max())


def test_a_slot_without_weight_says_nothing_and_hears_nothing() -> None:
    case = Case(3, 0.7, 1.3)
    matrix = np.asarray(case.found.matrix())
    assert not matrix[0].any()
    assert not matrix[:, -1].any()
    assert not matrix[:, :, -1].any()
    assert case.found.log_det[0] == 0


def test_sums_over_a_run_are_those_of_its_models() -> None:
    number = np.array([[0, 1, 0, 2]])
    x = np.arange(4.0)[None, :, None]
    found = in_run(jnp.asarray(number[:, :, None] == number[:, None, :]), jnp.asarray(x))
    np.testing.assert_array_equal(np.asarray(found)[0, :, 0], [2, 1, 2, 3])
