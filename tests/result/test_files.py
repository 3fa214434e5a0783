"""What is saved is loaded; what is damaged or another version's is told."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from csvjax.errors import InputError
from csvjax.law.model import Priors
from csvjax.prediction import draw_fitted
from csvjax.result.files import load, load_convergence, load_status, load_tree
from csvjax.result.result import Result


@pytest.fixture(scope="module")
def saved(fit: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    fit.save(folder)
    return folder


def test_what_is_saved_is_loaded(saved: Path, fit: Result) -> None:
    found = load(saved)
    assert {field.name for field in fields(found)} == {field.name for field in fields(fit)}
    assert found.law == fit.law
    assert found.density is fit.density
    assert (found.method, found.status, found.seed, found.assumed) == (fit.method, fit.status, 0, fit.assumed)
    assert found.known.units is None
    pd.testing.assert_frame_equal(found.dataset.lms, fit.dataset.lms)
    jax.tree.map(np.testing.assert_array_equal, found.evidence, fit.evidence)
    np.testing.assert_array_equal(found.x, fit.x)
    np.testing.assert_array_equal(found.left_out, fit.left_out)
    np.testing.assert_array_equal(found.diagnostics["potential"], 1.0)
    np.testing.assert_array_equal(draw_fitted(found).score, draw_fitted(fit).score)
    assert load_status(saved) == fit.status
    assert load_convergence(saved).empty


def test_every_setting_of_the_law_survives(fit: Result, tmp_path: Path) -> None:
    priors = Priors(gain_sd=0.5, ceiling=float("inf"))
    changed = replace(fit, law=replace(fit.law, priors=priors, covariates=("flops",), tail=0.25, outliers=0.0))
    changed.__dict__["labelled"] = fit.labelled  # draws of another law; they are not what is tested
    changed.save(tmp_path)
    assert load(tmp_path).law == changed.law


def test_the_draws_need_no_csvjax(saved: Path, fit: Result) -> None:
    tree = xr.open_datatree(saved / "posterior.zarr", engine="zarr")
    assert tree["posterior"].attrs["status"] == str(fit.status)
    xr.testing.assert_identical(load_tree(saved).load(), tree.load())


def test_other_folders_are_told(saved: Path, tmp_path: Path) -> None:
    for read in (load, load_tree, load_status, load_convergence):
        with pytest.raises(InputError, match=r"found no fit\.json"):
            read(tmp_path)
    (tmp_path / "fit.json").write_text('{"format": "csvjax fit 0"}')
    with pytest.raises(InputError, match="found 'csvjax fit 0'; run the fit again"):
        load(tmp_path)
    (tmp_path / "fit.json").write_text("[1")
    with pytest.raises(InputError, match="found none that can be read"):
        load(tmp_path)
    (tmp_path / "fit.json").write_bytes((saved / "fit.json").read_bytes())
    with pytest.raises(InputError, match="found some that cannot be read"):
        load(tmp_path)
    for read in (load_tree, load_convergence):
        with pytest.raises(InputError, match="found none that can be read"):
            read(tmp_path)
    (tmp_path / "fit.npz").write_bytes((saved / "fit.npz").read_bytes()[:1000])
    with pytest.raises(InputError, match="found some that cannot be read"):
        load(tmp_path)
