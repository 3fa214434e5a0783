"""Saves a fit in a folder and loads it: labelled draws for any reader of Zarr, and the arrays that csvjax needs."""

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

from csvjax.data.bounds import Bounds
from csvjax.data.files import load_dataset, save_dataset
from csvjax.errors import InputError
from csvjax.infer.result import Status
from csvjax.law.covariates import find_columns
from csvjax.law.evidence import Known, evidence_of
from csvjax.law.links import Standard
from csvjax.law.model import Law, Priors
from csvjax.law.units import Units
from csvjax.object_runs import local_run
from csvjax.plain import plain, write_json
from csvjax.result.draws import convergence, to_tree
from csvjax.result.result import Result

__all__ = ["load", "load_convergence", "load_status", "load_tree", "save_fit"]

_FORMAT = "csvjax fit 5"
_KNOWN = ("features", "scale", "reference_loss", "reference_design")
_INFINITE = "Infinity"  # JSON has no number for it


def save_fit(fit: Result, folder: str | os.PathLike[str]) -> None:
    """Write a fit, its draws and its dataset into `folder`, for `load`.

    posterior.zarr       labelled draws (`csvjax.result.draws.to_tree`), for `xarray.open_datatree` and ArviZ
    convergence.csv      r-hat and effective sample sizes of the chains
    salience.parquet     `Result.salience`, if there are losses
    fit.npz, fit.json    the arrays; the law and the status
    data                 the dataset

    Nothing is pickled.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    draws = fit.labelled
    with warnings.catch_warnings():
        # Consolidated metadata is not part of Zarr 3's specification; without it, readers warn that opening is slow.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        to_tree(fit, draws).to_zarr(place / "posterior.zarr", mode="w", zarr_format=3, consolidated=True)
    convergence(fit, draws).to_csv(place / "convergence.csv", index=False, lineterminator="\n")
    if fit.known.units is not None:
        fit.salience().to_parquet(place / "salience.parquet")
    own = {name: getattr(fit.known, name) for name in _KNOWN}
    bounds = {name: value for name, value in fit.known.bounds._asdict().items() if name != "told"}
    arrays = {
        "x": fit.x,
        "left_out": fit.left_out,
        "seen": fit.evidence.seen,
        **_named("known", own),
        **_named("bounds", bounds),
        **_named("standard", fit.known.standard._asdict()),
        **_named("units", {} if fit.known.units is None else fit.known.units._asdict()),
        **_named("diagnostics", fit.diagnostics),
    }
    np.savez(place / "fit.npz", allow_pickle=False, **arrays)
    law = plain(fit.law) | {"priors": {k: _INFINITE if np.isinf(v) else v for k, v in fit.law.priors._asdict().items()}}
    known = {"format": _FORMAT, "law": law, "method": fit.method, "status": fit.status, "seed": fit.seed}
    write_json(plain(known | {"assumed": fit.assumed}), place / "fit.json")
    save_dataset(fit.dataset, place / "data", "float64")


def _named(prefix: str, fields: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": np.asarray(value) for name, value in fields.items()}


def _check(folder: Path) -> None:
    """Raises: InputError if `folder` has no fit of csvjax."""
    if not (folder / "fit.json").is_file():
        raise InputError(f"expected the folder of a fit, found no fit.json in {folder}; make one with csvjax fit")


def load(folder: str | os.PathLike[str]) -> Result:
    """Load a fit that `Result.save` or `csvjax fit` wrote.

    Args:
        folder: the folder of the fit or of the run, or the address of a run (s3://bucket/run).

    Returns: the fit, as a `Result`.

    Raises: InputError for a folder without a fit, and for damaged files.
    """
    with local_run(Path(folder)) as place:
        return _load(place)


def _load(place: Path) -> Result:
    known = _known(place)
    try:
        with (place / "fit.npz").open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = dict(found)
        law, status, units = _law(known["law"]), _status(known), _units(arrays)
        bounds = Bounds(**_fields(arrays, "bounds"), told=tuple(known["assumed"]))
        standard = Standard(**_fields(arrays, "standard"))
        own, x, left_out, seen = _fields(arrays, "known"), arrays["x"], arrays["left_out"], arrays["seen"]
        shapes = own["features"], float(own["scale"])
        reference = own["reference_loss"], own["reference_design"]
    except (OSError, BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"expected the files of a fit in {place}, found some that cannot be read; run the fit again"
        ) from error
    dataset = load_dataset(place / "data", losses=units is not None)
    columns = find_columns(dataset.lms, law.covariates)
    scaled = Known(columns, units, bounds, standard, *shapes, *reference)
    evidence = evidence_of(dataset, seen, law, scaled)
    method, diagnostics = str(known["method"]), _fields(arrays, "diagnostics")
    return Result(law, dataset, evidence, scaled, method, x, status, diagnostics, left_out, int(known["seed"]))


def load_tree(folder: Path) -> xr.DataTree:
    """The labelled draws of the fit in `folder`.

    Raises: InputError if the draws are missing or damaged.
    """
    _check(folder)
    try:
        return xr.open_datatree(folder / "posterior.zarr", engine="zarr")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"expected draws in {folder / 'posterior.zarr'}, found none that can be read; run the fit again"
        ) from error


def load_convergence(folder: Path) -> pd.DataFrame:
    """The table of `csvjax.result.draws.convergence`. Raises: InputError as `load_tree` does."""
    _check(folder)
    try:
        return pd.read_csv(folder / "convergence.csv")
    except (OSError, ValueError) as error:
        raise InputError(
            f"expected the table convergence.csv in {folder}, found none that can be read; run the fit again"
        ) from error


def load_status(folder: Path) -> Status:
    """How the fit in `folder` ended. Raises: InputError as `load` does."""
    return _status(_known(folder))


def _known(place: Path) -> dict[str, Any]:
    """The contents of fit.json, after a check of its format."""
    _check(place)
    try:
        known = json.loads((place / "fit.json").read_text(encoding="utf-8"))
        found = known.get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"expected settings in {place / 'fit.json'}, found none that can be read; run the fit again"
        ) from error
    if found != _FORMAT:
        raise InputError(f"expected the format {_FORMAT!r} in {place / 'fit.json'}, found {found!r}; run the fit again")
    return dict(known)


def _fields(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith(f"{prefix}.")}


def _status(known: Mapping[str, Any]) -> Status:
    return Status(**known["status"])


def _law(known: dict[str, Any]) -> Law:
    priors = {name: float("inf") if value == _INFINITE else value for name, value in known["priors"].items()}
    lists = {name: tuple(known[name]) for name in ("covariates", "effects")}
    return Law(**known | lists | {"priors": Priors(**priors)})


def _units(arrays: Mapping[str, np.ndarray]) -> Units | None:
    found = _fields(arrays, "units")
    return Units(**found) if found else None
