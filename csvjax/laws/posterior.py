"""Fits in files: labelled draws that any reader of Zarr understands, and the arrays from which csvjax goes on."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np
import xarray as xr
from jaxtyping import Array

from csvjax.data.dataset import Dataset
from csvjax.data.files import load_dataset, save_dataset
from csvjax.errors import InputError
from csvjax.law.density import Density
from csvjax.law.units import Units
from csvjax.laws.evidence import GroupNames
from csvjax.laws.fit_optimise import Mode
from csvjax.laws.fit_salience import AXES, SalienceFit, Settings, density_of
from csvjax.laws.nested_noise import Nested
from csvjax.laws.salience_law import Evidence, Priors
from csvjax.plain import plain, write_json
from csvjax.precision import float64

__all__ = ["load_fit", "save_fit", "to_tree"]

_FORMAT = "csvjax fit 1"
_SITES = (
    "slope",
    "intercept",
    "room",
    "ceiling",
    "family_spread",
    "run_spread",
    "spread",
    "items",
    "weight",
)


@partial(jax.jit, static_argnames=("density",))
def _constrain(density: Density, stacked: Evidence, x: Array) -> dict[str, Array]:
    def one(e: Evidence, x: Array) -> dict[str, Array]:
        return jax.vmap(lambda draw: {name: density.constrain(draw, e)[name] for name in _SITES})(x)

    return jax.vmap(one, (AXES, 0))(stacked, x)


@float64
def _sites(fit: SalienceFit) -> dict[str, np.ndarray]:
    return jax.device_get(_constrain(density_of(fit.settings), fit.evidence, fit.x))


def to_tree(fit: SalienceFit, dataset: Dataset) -> xr.DataTree:
    """The fit as labelled arrays, in the groups that ArviZ expects.

    `posterior` [chain, draw, benchmark], one chain: the parameters of the law as its docstring names them; `weight` is
    multiplied by the prior strength and has [feature] too. `observed_data`: score [benchmark, lm], NaN where the fit
    did not see it. `constant_data`: n_items and floor [benchmark], seen [benchmark, lm].
    """
    benchmark = np.array(fit.benchmarks, object)
    lm = np.array(list(dataset.lms.index), object)
    e = fit.evidence
    coords: dict[str, Any] = {"benchmark": benchmark}
    posterior = {
        name: (("chain", "draw", "benchmark", "feature")[: value.ndim + 1], np.moveaxis(value, 0, 1)[None])
        for name, value in _sites(fit).items()
    }
    draws = {"chain": [0], "draw": np.arange(fit.x.shape[1]), **coords, "feature": np.arange(e.features.shape[1])}
    cells = {**coords, "lm": lm}
    observed = {"score": (("benchmark", "lm"), np.where(e.seen, e.score, np.nan))}
    constant = {
        "n_items": ("benchmark", np.asarray(e.n_items)[:, 0]),
        "floor": ("benchmark", np.asarray(e.floor)),
        "seen": (("benchmark", "lm"), np.asarray(e.seen)),
    }
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior, draws, {"strength": fit.strength, "status": fit.status}),
            "observed_data": xr.Dataset(observed, cells),
            "constant_data": xr.Dataset(constant, cells),
        }
    )


def save_fit(fit: SalienceFit, dataset: Dataset, folder: str | os.PathLike[str]) -> None:
    """Write a fit and the dataset that it was fitted to into `folder`, for `load_fit`.

    `posterior.zarr`: what `to_tree` gives, for `xarray.open_datatree(path, engine="zarr")`. `fit.npz`, `fit.json`:
    arrays, names and settings. `data`: the dataset, its losses as float32. Nothing is pickled.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # Consolidated metadata is not part of Zarr 3's specification; without it, readers warn that opening is slow.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        to_tree(fit, dataset).to_zarr(place / "posterior.zarr", mode="w", zarr_format=3, consolidated=True)
    groups = fit.evidence.groups
    arrays = {
        "x": fit.x,
        "inner_score": fit.inner_score,
        "weights": fit.weights,
        **_named("mode", fit.mode._asdict()),
        **_named("units", fit.units._asdict()),
        **_named("groups", groups._asdict()),
        **_named("evidence", {k: v for k, v in fit.evidence._asdict().items() if k != "groups"}),
    }
    np.savez(place / "fit.npz", allow_pickle=False, **arrays)
    settings = {"benchmarks": fit.benchmarks, "settings": fit.settings, "groups": fit.groups}
    write_json(plain({"format": _FORMAT, **settings}), place / "fit.json")
    save_dataset(dataset, place / "data")


def _named(prefix: str, fields: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": np.asarray(value) for name, value in fields.items()}


def load_fit(folder: str | os.PathLike[str]) -> tuple[SalienceFit, Dataset]:
    """The fit that `save_fit` wrote, and its dataset.

    Raises: InputError for a folder without a fit, and for files that are damaged.
    """
    place = Path(folder)
    if not (place / "fit.json").is_file():
        raise InputError(f"expected the folder of a fit, found no fit.json in {place}; make one with csvjax fit")
    try:
        known = json.loads((place / "fit.json").read_text(encoding="utf-8"))
        if known.get("format") != _FORMAT:
            raise InputError(
                f"expected {place / 'fit.json'} to say {_FORMAT!r}, found {known.get('format')!r}; fit again"
            )
        with np.load(place / "fit.npz", allow_pickle=False) as found:
            fit = _decoded(known, dict(found))
    except InputError:
        raise
    except (OSError, BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"expected a fit that csvjax wrote in {place}, found files that cannot be read as one; fit again"
        ) from error
    return fit, load_dataset(place / "data")


def _decoded(known: dict[str, Any], arrays: dict[str, np.ndarray]) -> SalienceFit:
    def fields(prefix: str) -> dict[str, Any]:
        return {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith(f"{prefix}.")}

    settings = dict(known["settings"])
    settings |= {"strengths": tuple(settings["strengths"]), "priors": Priors(**settings["priors"])}
    return SalienceFit(
        benchmarks=tuple(known["benchmarks"]),
        settings=Settings(**settings),
        weights=arrays["weights"],
        inner_score=arrays["inner_score"],
        mode=Mode(**fields("mode")),
        x=arrays["x"],
        evidence=Evidence(**fields("evidence"), groups=Nested(**fields("groups"))),
        units=Units(**fields("units")),
        groups=GroupNames(**{name: tuple(value) for name, value in known["groups"].items()}),
    )
