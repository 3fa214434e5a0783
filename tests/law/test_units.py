import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvjax.data.losses import LossTable
from csvjax.law.units import features_of, group_units, pool
from tests import simulated

TRAIN = simulated.hold_out(simulated.lms(), "f4", "f5").train


@pytest.fixture(scope="module")
def table() -> LossTable:
    return simulated.losses(np.random.default_rng(3), simulated.lms())


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_pooling_keeps_every_mean_loss(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    loss, base = rng.uniform(0, 4, (3, 20)), rng.dirichlet(np.ones(20))
    label = rng.integers(0, count, 20)
    pooled, weight = pool(loss, base, label, count + 1)  # the last group is empty
    np.testing.assert_allclose(pooled @ weight, loss @ base, rtol=1e-13)
    assert weight.sum() == pytest.approx(1, abs=1e-14)
    assert weight[count] == 0
    assert np.all(pooled[:, count] == 0)
    for g in np.unique(label):
        np.testing.assert_allclose(pooled[:, g], np.average(loss[:, label == g], axis=1, weights=base[label == g]))


def test_pooling_keeps_every_salient_loss_that_is_constant_within_groups(table: LossTable) -> None:
    units = group_units(table, TRAIN, per_domain=4)
    z = np.random.default_rng(4).normal(size=(1, len(units.weight)))
    share = units.weight * np.exp(z[0])
    by_token = simulated.salient_loss(table, z[:, units.label])[0]
    np.testing.assert_allclose(units.loss @ (share / share.sum()), by_token, rtol=1e-13)


def test_groups_keep_the_mean_loss_and_the_domains(table: LossTable) -> None:
    units = group_units(table, TRAIN, per_domain=4)
    np.testing.assert_allclose(units.loss @ units.weight, table.mean_loss, rtol=1e-13)
    assert len(units.weight) == 3 * 4
    for group in range(12):
        assert len(set(table.units["domain"][units.label == group])) <= 1


def test_a_domain_of_few_tokens_keeps_each_of_them(table: LossTable) -> None:
    units = group_units(table, TRAIN, per_domain=12)
    assert sorted(units.label) == list(range(36))
    per_byte = table.loss / table.units["bytes"].to_numpy()
    np.testing.assert_allclose(units.loss[:, units.label], per_byte, rtol=1e-13)


def test_tokens_that_vary_alike_share_a_group() -> None:
    rng = np.random.default_rng(5)
    models = simulated.lms()
    table = simulated.losses(rng, models)
    # Within each domain the losses of even and of odd tokens move with two unrelated traits of the models.
    trait = rng.normal(size=(len(models), 2))[:, np.arange(36) % 2]
    size = table.units["bytes"].to_numpy()
    alike = LossTable(table.lms, (3 + 0.5 * trait + rng.normal(0, 0.02, trait.shape)) * size, table.units)
    units = group_units(alike, TRAIN, per_domain=2)
    for domain in range(3):
        label = units.label[12 * domain : 12 * (domain + 1)]
        assert len(set(label[::2])) == len(set(label[1::2])) == 1
        assert label[0] != label[1]


def test_groups_and_features_do_not_depend_on_losses_of_held_out_models(table: LossTable) -> None:
    other = np.where(TRAIN[:, None], table.loss, table.loss[::-1] + 1)
    one, two = (group_units(t, TRAIN, per_domain=4) for t in (table, LossTable(table.lms, other, table.units)))
    np.testing.assert_array_equal(one.label, two.label)
    np.testing.assert_array_equal(one.weight, two.weight)
    np.testing.assert_array_equal(one.loss[TRAIN], two.loss[TRAIN])
    assert np.all(one.loss[~TRAIN] != two.loss[~TRAIN])


@pytest.mark.parametrize(("models", "most", "found"), [(16, 4, 4), (4, 6, 3)])
def test_features_are_centred_and_orthonormal_under_the_weight(models: int, most: int, found: int) -> None:
    # Four models differ in three directions, so that the other features are zero.
    rng = np.random.default_rng(6)
    loss, weight = rng.uniform(0, 4, (models, 10)), rng.dirichlet(np.ones(10))
    if found < most:
        loss[-1] = loss[:-1].mean(axis=0)
    x = features_of(loss, weight, most)
    assert x.shape == (10, most)
    np.testing.assert_allclose(weight @ x, 0, atol=1e-12)
    np.testing.assert_allclose((x * weight[:, None]).T @ x, np.diag(np.arange(most) < found), atol=1e-12)


def test_a_unit_without_weight_has_no_features_and_changes_none() -> None:
    rng = np.random.default_rng(7)
    loss, weight = rng.uniform(0, 4, (8, 6)), rng.dirichlet(np.ones(6))
    x = features_of(loss, weight, 3)
    wider = features_of(np.c_[loss, rng.uniform(0, 4, 8)], np.r_[weight, 0.0], 3)
    np.testing.assert_array_equal(wider[-1], 0)
    np.testing.assert_allclose(np.abs(wider[:-1]), np.abs(x), rtol=1e-9)  # singular vectors have no sign


def test_features_move_the_salient_loss_in_unrelated_directions_of_falling_size() -> None:
    # psi[m] = sum softmax(log w + X b) loss: d psi / d b at b = 0 is D diag(w) X = P S, orthogonal columns.
    rng = np.random.default_rng(8)
    loss, weight = rng.uniform(0, 4, (20, 12)), rng.dirichlet(np.ones(12))
    slope = (loss - loss @ weight[:, None]) @ (weight[:, None] * features_of(loss, weight, 5))
    inner = slope.T @ slope
    size = np.diag(inner)
    np.testing.assert_allclose(inner, np.diag(size), atol=1e-12 * size[0])
    assert np.all(np.diff(size) < 0)
