"""A fit of the joint law in a folder: labelled draws for any reader of Zarr, and arrays that csvjax goes on from."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import xarray as xr

from csvjax.data.files import load_dataset, save_dataset
from csvjax.errors import InputError
from csvjax.infer.result import Status
from csvjax.joint.posterior import JointDraws, convergence, to_tree
from csvjax.law.units import Units
from csvjax.laws.fit_joint import FittedJoint, JointSettings
from csvjax.laws.joint_model import JointEvidence, JointPriors
from csvjax.plain import plain, write_json

__all__ = ["load_convergence", "load_fit", "load_status", "load_tree", "save_fit"]

_FORMAT = "csvjax joint fit 2"
_INFINITE = "Infinity"  # JSON has no word for it


def save_fit(fit: FittedJoint, draws: JointDraws, folder: str | os.PathLike[str]) -> None:
    """Write a fit, its draws and its dataset into `folder`, for `load_fit`.

    `posterior.zarr`: `csvjax.joint.posterior.to_tree`, for `xarray.open_datatree(path, engine="zarr")` and ArviZ.
    `convergence.csv`: whether the chains agree. `joint.npz`, `joint.json`: arrays; settings and status. `data`: the
    dataset, its losses as float32. Nothing is pickled.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # Consolidated metadata is not part of Zarr 3's specification; without it, readers warn that opening is slow.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        to_tree(fit, draws).to_zarr(place / "posterior.zarr", mode="w", zarr_format=3, consolidated=True)
    convergence(fit, draws).to_csv(place / "convergence.csv", index=False, lineterminator="\n")
    arrays = {
        "x": fit.x,
        "left_out": fit.left_out,
        **_named("evidence", fit.evidence._asdict()),
        **_named("units", {} if fit.units is None else fit.units._asdict()),
        **_named("diagnostics", fit.diagnostics),
    }
    np.savez(place / "joint.npz", allow_pickle=False, **arrays)
    priors = {k: _INFINITE if np.isinf(v) else v for k, v in fit.settings.priors._asdict().items()}
    settings = fit.settings._asdict() | {"priors": priors}
    known = {"format": _FORMAT, "settings": settings, "method": fit.method, "status": fit.status}
    write_json(plain(known), place / "joint.json")
    save_dataset(fit.dataset, place / "data")


def _named(prefix: str, fields: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": np.asarray(value) for name, value in fields.items()}


def _check(folder: Path) -> None:
    """Raises: InputError if there is no fit of the joint law in `folder`."""
    if not (folder / "joint.json").is_file():
        raise InputError(
            f"expected the folder of a fit of the joint law, found no joint.json in {folder}; "
            f"make one with csvjax fit --law joint"
        )


def load_fit(folder: str | os.PathLike[str]) -> FittedJoint:
    """The fit that `save_fit` wrote.

    Raises: InputError for a folder without a fit of the joint law, and for files that are damaged.
    """
    place = Path(folder)
    known = _known(place)
    try:
        with (place / "joint.npz").open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = dict(found)
        parts = _status(known), _settings(known["settings"]), _evidence(arrays), _units(arrays)
        x, left_out = arrays["x"], arrays["left_out"]
    except (OSError, BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"expected a fit that csvjax wrote in {place}, found files that cannot be read as one; fit again"
        ) from error
    status, settings, evidence, units = parts
    dataset = load_dataset(place / "data", losses=units is not None)
    method, diagnostics = str(known["method"]), _fields(arrays, "diagnostics")
    return FittedJoint(settings, dataset, evidence, units, method, x, status, diagnostics, left_out)


def load_tree(folder: Path) -> xr.DataTree:
    """The labelled draws of the fit in `folder`.

    Raises: InputError if they are not there, or damaged.
    """
    _check(folder)
    try:
        return xr.open_datatree(folder / "posterior.zarr", engine="zarr")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"expected draws in {folder / 'posterior.zarr'}, found none to be read; fit again") from error


def load_convergence(folder: Path) -> pd.DataFrame:
    """The table of `csvjax.joint.posterior.convergence`. Raises: InputError as `load_tree` does."""
    _check(folder)
    try:
        return pd.read_csv(folder / "convergence.csv")
    except (OSError, ValueError) as error:
        raise InputError(f"expected the table convergence.csv in {folder}, found none to be read; fit again") from error


def load_status(folder: Path) -> Status:
    """How the fit in `folder` ended. Raises: InputError as `load_fit` does."""
    return _status(_known(folder))


def _known(place: Path) -> dict[str, Any]:
    """What joint.json says."""
    _check(place)
    try:
        known = json.loads((place / "joint.json").read_text(encoding="utf-8"))
        found = known.get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"expected settings in {place / 'joint.json'}, found none to be read; fit again") from error
    if found != _FORMAT:
        raise InputError(f"expected {place / 'joint.json'} to say {_FORMAT!r}, found {found!r}; fit again")
    return dict(known)


def _fields(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith(f"{prefix}.")}


def _status(known: Mapping[str, Any]) -> Status:
    return Status(**known["status"])


def _settings(known: dict[str, Any]) -> JointSettings:
    priors = {name: float("inf") if value == _INFINITE else value for name, value in known["priors"].items()}
    return JointSettings(**known | {"covariates": tuple(known["covariates"]), "priors": JointPriors(**priors)})


def _evidence(arrays: Mapping[str, np.ndarray]) -> JointEvidence:
    return JointEvidence(**_fields(arrays, "evidence"))


def _units(arrays: Mapping[str, np.ndarray]) -> Units | None:
    found = _fields(arrays, "units")
    return Units(**found) if found else None
