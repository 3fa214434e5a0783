"""Saving and loading need no fit: a made-up one has the same arrays."""

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from csvjax.data.dataset import Dataset, align
from csvjax.data.losses import LossTable
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.law.units import group_units
from csvjax.laws.evidence import evidence, group_names
from csvjax.laws.fit_optimise import Mode
from csvjax.laws.fit_salience import SalienceFit, Settings
from csvjax.laws.posterior import load_fit, save_fit, to_tree
from csvjax.laws.salience_law import Priors
from csvjax.laws.unseen import predict_new, unseen_cells

LMS = tuple(f"m{i}" for i in range(6))
FEATURES, DRAWS = 2, 50


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    lms = pd.DataFrame({"family": ["a", "a", "b", "b", "c", "c"], "flops": np.arange(1.0, 7)}, list(LMS))
    units = pd.DataFrame({"token": list("pqrst"), "document": "d", "domain": ["x", "x", "x", "y", "y"]})
    score = rng.uniform(0.3, 0.9, (6, 2))
    score[1, 0] = np.nan
    return align(
        lms.assign(params=np.nan, tokens=np.nan, run=["0", "0", "1", "2", "3", "4"]),
        ScoreTable(LMS, ("é", "t"), score, np.array([100, np.nan]), np.array([0.25, 0.0])),
        LossTable(LMS, rng.uniform(1, 4, (6, 5)).astype(np.float32), units.assign(start=range(5), bytes=1)),
    )


@pytest.fixture(scope="module")
def fit(dataset: Dataset) -> SalienceFit:
    """The last model is held out."""
    train = np.arange(6) < 5
    units = group_units(dataset.measured()[1], train, 10)
    groups = group_names(dataset)
    one = evidence(dataset, units, groups.nested(dataset), train, FEATURES)._replace(strength=np.ones(2))
    size = FEATURES + 7
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        zero = np.zeros(4)  # two strengths by two benchmarks
        mode = Mode(np.zeros((4, size)), zero, zero, np.ones(4, bool), np.ones((4, 3), int), np.zeros((4, 3)))
        x = rng.normal(0, 0.3, (2, DRAWS, size))
    settings = Settings(strengths=(0.0, 0.2), features=FEATURES, draws=DRAWS, priors=Priors(slope_sd=0.5))
    return SalienceFit(
        ("é", "t"), settings, np.array([[0.25, 0.5], [0.75, 0.5]]), np.zeros((2, 2)), mode, x, one, units, groups
    )


def test_draws_are_labelled_and_within_their_bounds(fit: SalienceFit, dataset: Dataset) -> None:
    tree = to_tree(fit, dataset)
    posterior = tree["posterior"]
    assert posterior["slope"].dims == ("chain", "draw", "benchmark")
    assert dict(posterior.sizes) == {"chain": 1, "draw": DRAWS, "benchmark": 2, "feature": FEATURES}
    assert posterior["weight"].dtype == np.float64
    for name in ("slope", "family_spread", "run_spread", "spread", "items"):
        assert (posterior[name] > 0).all()
    floor = tree["constant_data"]["floor"]
    xr.testing.assert_allclose(posterior["ceiling"], posterior["room"] * (1 - floor) + floor)
    # Weights are normal and so unconstrained already: they are among the numbers that the fit holds, as they are.
    assert np.isin(posterior["weight"].sel(benchmark="é").values, fit.x[0]).all()
    score = tree["observed_data"]["score"]
    assert score.sel(benchmark="é", lm=["m1", "m5"]).isnull().all()
    assert float(score.sel(benchmark="t", lm="m1")) == dataset.measured()[0].score[1, 1]
    assert not tree["constant_data"]["seen"].sel(lm="m5").any()


def test_what_is_saved_is_loaded(fit: SalienceFit, dataset: Dataset, tmp_path: Path) -> None:
    save_fit(fit, dataset, tmp_path)
    found, data = load_fit(tmp_path)
    assert jax.tree.structure(found._replace(groups=0, settings=0)) == jax.tree.structure(
        fit._replace(groups=0, settings=0)
    )
    assert found.strength == fit.strength == pytest.approx(0.125)
    arrays = jax.tree.leaves((found.mode, found.x, found.evidence, found.units, found.inner_score, found.weights))
    for one, other in zip(
        arrays, jax.tree.leaves((fit.mode, fit.x, fit.evidence, fit.units, fit.inner_score, fit.weights)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert (found.benchmarks, found.settings, found.groups) == (fit.benchmarks, fit.settings, fit.groups)
    assert found.status == fit.status
    pd.testing.assert_frame_equal(data.lms, dataset.lms, check_like=True)
    with xr.open_datatree(tmp_path / "posterior.zarr", engine="zarr") as tree:
        assert list(tree["posterior"]["benchmark"].values) == ["é", "t"]
        np.testing.assert_array_equal(tree["posterior"]["slope"], to_tree(fit, dataset)["posterior"]["slope"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("fit.json", None, "found no fit.json"),
        ("fit.json", "{}", "to say 'csvjax fit 1', found None"),
        ("fit.json", "[", "cannot be read as one"),
        ("fit.npz", "x", "cannot be read as one"),
        ("fit.npz", None, "cannot be read as one"),
        ("data/lms.csv", None, "found no lms.csv"),
    ],
)
def test_damage_is_told(
    fit: SalienceFit, dataset: Dataset, tmp_path: Path, name: str, content: str | None, says: str
) -> None:
    save_fit(fit, dataset, tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says):
        load_fit(tmp_path)


def test_a_new_model_with_the_losses_of_an_old_one_is_predicted_as_it(fit: SalienceFit, dataset: Dataset) -> None:
    old = unseen_cells(fit, dataset)
    assert list(zip(old["benchmark"], old["lm"], strict=True)) == [("é", "m1"), ("é", "m5"), ("t", "m5")]
    losses = dataset.measured()[1]
    new = LossTable(("n",), losses.loss[5:], losses.units)
    lms = pd.DataFrame({"family": ["c"], "params": np.nan, "tokens": np.nan, "flops": np.nan}, ["n"])
    found = predict_new(fit, dataset, new, lms)
    same = old[old["lm"] == "m5"]
    assert list(found["lm"]) == ["n", "n"]
    np.testing.assert_allclose(found["salient_loss"], same["salient_loss"])
    np.testing.assert_allclose(found["mean_loss"], same["mean_loss"])
    spread = (same["upper90"] - same["lower90"]).to_numpy()
    assert (np.abs(found["mean"].to_numpy() - same["mean"].to_numpy()) < spread * 4 / np.sqrt(DRAWS)).all()
    assert found["observed"].isna().all()


def test_losses_must_be_of_the_same_units(fit: SalienceFit, dataset: Dataset) -> None:
    losses = dataset.measured()[1]
    other = losses.units.assign(token=["p", "q", "z", "s", "t"])
    for units, loss, says in (
        (other, losses.loss[:1], r"found unit 2 to be 'z' at byte 2 of 'd', not 'r' at byte 2 of 'd'"),
        (losses.units[:4], losses.loss[:1, :4], "the 5 units of the fit, found 4"),
    ):
        with pytest.raises(InputError, match=says):
            predict_new(fit, dataset, LossTable(("n",), loss, units))
    with pytest.raises(InputError, match="found 'm5'; leave them out"):
        predict_new(fit, dataset, losses.select(["m5"]))
