"""What is saved is loaded; what is damaged or another law's is told."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from csvjax.errors import InputError
from csvjax.joint.files import load_fit, load_tree, save_fit
from csvjax.joint.posterior import joint_draws
from csvjax.joint.predict import draw_fitted
from csvjax.laws.fit_joint import FittedJoint
from csvjax.laws.joint_model import JointPriors


@pytest.fixture(scope="module")
def saved(fit: FittedJoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    save_fit(fit, joint_draws(fit), folder)
    return folder


def test_what_is_saved_is_loaded(saved: Path, fit: FittedJoint) -> None:
    found = load_fit(saved)
    assert {field.name for field in fields(found)} == {field.name for field in fields(fit)}
    assert found.settings == fit.settings
    assert found.density is fit.density
    assert (found.method, found.status, found.units) == (fit.method, fit.status, None)
    pd.testing.assert_frame_equal(found.dataset.lms, fit.dataset.lms)
    jax.tree.map(np.testing.assert_array_equal, found.evidence, fit.evidence)
    np.testing.assert_array_equal(found.x, fit.x)
    np.testing.assert_array_equal(found.left_out, fit.left_out)
    np.testing.assert_array_equal(found.diagnostics["potential"], 1.0)
    np.testing.assert_array_equal(draw_fitted(found).score, draw_fitted(fit).score)


def test_priors_that_are_infinite_survive(fit: FittedJoint, tmp_path: Path) -> None:
    priors = JointPriors(gain_sd=0.5, ceiling=float("inf"))
    changed = replace(fit, settings=fit.settings._replace(priors=priors, covariates=("flops",)))
    save_fit(changed, joint_draws(fit), tmp_path)
    assert load_fit(tmp_path).settings == changed.settings


def test_the_draws_need_no_csvjax(saved: Path) -> None:
    tree = xr.open_datatree(saved / "posterior.zarr", engine="zarr")
    assert tree["posterior"].attrs["law"] == "joint"
    xr.testing.assert_identical(load_tree(saved).load(), tree.load())


def test_other_folders_are_told(saved: Path, tmp_path: Path) -> None:
    for read in (load_fit, load_tree):
        with pytest.raises(InputError, match=r"found no joint\.json"):
            read(tmp_path)
    (tmp_path / "joint.json").write_text('{"format": "csvjax joint fit 0"}')
    with pytest.raises(InputError, match="found 'csvjax joint fit 0'; fit again"):
        load_fit(tmp_path)
    (tmp_path / "joint.json").write_bytes((saved / "joint.json").read_bytes())
    with pytest.raises(InputError, match="cannot be read as one"):
        load_fit(tmp_path)
    with pytest.raises(InputError, match="found none to be read"):
        load_tree(tmp_path)
    (tmp_path / "joint.npz").write_bytes((saved / "joint.npz").read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read as one"):
        load_fit(tmp_path)
