from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.law.units import group_units
from csvjax.laws.evidence import evidence, group_names
from csvjax.laws.salience_law import Evidence
from tests import simulated

MODELS = simulated.lms()
FOLD = simulated.hold_out(MODELS, "f1", "f4")


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(9)
    table = simulated.losses(rng, MODELS)
    return simulated.dataset(rng, MODELS, table, simulated.planted_on_domains(table, 2.0), FOLD.train)


def seen_by_a_fit(data: Dataset) -> Evidence:
    units = group_units(data.measured()[1], FOLD.train, 4)
    return evidence(data, units, group_names(data).nested(data), FOLD.train, 4)


def test_evidence_holds_the_training_cells_and_zeros(data: Dataset) -> None:
    score = data.measured()[0].score.copy()
    score[2, 1] = np.nan
    found = seen_by_a_fit(simulated.with_scores(data, score))
    expected = np.repeat(FOLD.train[None], 3, axis=0)
    expected[1, 2] = False
    np.testing.assert_array_equal(found.seen, expected)
    np.testing.assert_array_equal(found.score, np.where(expected, score.T, 0.0))
    np.testing.assert_array_equal(found.n_items, np.full((3, len(MODELS)), 400))
    np.testing.assert_array_equal(found.floor, np.full(3, 0.25))
    scores = data.measured()[0]
    unknown = replace(data, scores=replace(scores, floor=np.array([0.25, np.nan, 0.5])))
    np.testing.assert_array_equal(seen_by_a_fit(unknown).floor, [0.25, 0, 0.5])


def test_centre_and_scale_are_those_of_the_training_models_mean_loss(data: Dataset) -> None:
    mean = data.measured()[1].mean_loss[FOLD.train]
    found = seen_by_a_fit(data)
    assert found.centre == pytest.approx(mean.mean(), rel=1e-13)
    assert found.scale == pytest.approx(mean.std(), rel=1e-11)


def test_held_out_scores_and_losses_are_not_in_what_a_fit_learns_from(data: Dataset) -> None:
    scores, losses = data.measured()
    other_scores = simulated.with_scores(data, np.where(FOLD.train[:, None], scores.score, 1 - scores.score))
    for name, one, two in zip(Evidence._fields, seen_by_a_fit(data), seen_by_a_fit(other_scores), strict=True):
        assert (
            all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
            if name == "groups"
            else (np.array_equal(one, two))
        ), name
    one = seen_by_a_fit(data)
    two = seen_by_a_fit(simulated.with_losses(data, np.where(FOLD.train[:, None], losses.loss, losses.loss + 1)))
    for name in ("log_base", "features", "centre", "scale"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    np.testing.assert_array_equal(one.loss[FOLD.train], two.loss[FOLD.train])


def test_groups_are_families_and_runs_and_one_more_of_each_for_the_unknown(data: Dataset) -> None:
    names = group_names(data)
    groups = names.nested(data)
    assert names.families == tuple(f"f{f}" for f in range(6))
    np.testing.assert_array_equal(groups.family, np.repeat(np.arange(6), 4))
    np.testing.assert_array_equal(groups.run, np.repeat(np.arange(12), 2))
    np.testing.assert_array_equal(groups.family_of_run, [*np.repeat(np.arange(6), 2), 6])
    assert len(groups.families) == 7

    stranger = data.lms.assign(family=["new", *data.lms["family"][1:]], run=["other", *data.lms["run"][1:]])
    found = names.nested(Dataset(stranger, *data.measured()))
    assert (found.family[0], found.run[0]) == (6, 12)
    np.testing.assert_array_equal(found.family[1:], groups.family[1:])


def test_a_model_without_the_name_of_a_run_is_a_run_of_its_own(data: Dataset) -> None:
    run = data.lms["run"].astype(object).copy()
    run.iloc[[0, 5]] = np.nan
    groups = group_names(some := Dataset(data.lms.assign(run=run), *data.measured())).nested(some)
    assert len(set(groups.run)) == 12 + 2
    assert [sum(groups.run == groups.run[m]) for m in (0, 5, 1, 4)] == [1, 1, 1, 1]
    without = Dataset(data.lms.drop(columns="run"), *data.measured())
    np.testing.assert_array_equal(group_names(without).nested(without).run, np.arange(24))


def test_a_run_in_two_families_is_an_error(data: Dataset) -> None:
    frame = data.lms.assign(run=pd.Series("same", data.lms.index))
    with pytest.raises(InputError, match="found run 'same' in 'f0' and 'f1'"):
        group_names(Dataset(frame, *data.measured()))
