"""What the user says of models in a TOML file, and what a checkpoint says; what nobody says is missing."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csvjax import names
from csvjax.data.checkpoint_size import read_size
from csvjax.data.user_files import checked_aliases, is_number, load_tables
from csvjax.errors import InputError

__all__ = ["Model", "read_models", "with_models"]

_AMOUNTS = ("params", "active_params", "tokens", "flops")
_SAME = 1e-3


@dataclass(frozen=True)
class Model:
    """`params`, `active_params` (those of a mixture of experts that one token uses), `tokens`, `flops`: above 0.

    `released`: a day. `checkpoint`: a folder with safetensors, whose headers give the sizes that are not told.
    """

    name: str
    aliases: tuple[str, ...] = ()
    family: str | None = None
    params: float | None = None
    active_params: float | None = None
    tokens: float | None = None
    flops: float | None = None
    released: str | None = None
    checkpoint: str | None = None


def read_models(path: str | os.PathLike[str]) -> tuple[Model, ...]:
    """The models of a TOML file: a table for each, with the fields of `Model` as keys.

    Raises: InputError for a file that cannot be read, an unknown key, a value of another kind, a name that two models
    have, and a checkpoint whose size cannot be read.
    """
    place = Path(path)
    keys = [field.name for field in fields(Model) if field.name != "name"]
    loaded = load_tables(place, "model", keys)
    found = tuple(_with_size(place, _model(path, name, told)) for name, told in loaded.items())
    taken: dict[str, str] = {}
    for model in found:
        for name in (model.name, *model.aliases):
            if name in taken:
                raise InputError(
                    f"{path}: expected each name of a model once, found {name!r} for {taken[name]!r} and for "
                    f"{model.name!r}; leave one out"
                )
            taken[name] = model.name
    return found


def _model(path: str | os.PathLike[str], name: str, told: Mapping[str, Any]) -> Model:
    where = f"{path}, model {name!r}"
    values = dict(told)
    for key in _AMOUNTS:
        value = told.get(key, 1)
        if not (is_number(value) and 0 < value < float("inf")):
            raise InputError(f"{where}: expected {key} to be a number above 0, found {value!r}; give it in units of 1")
        if key in told:
            values[key] = float(value)
    if isinstance(told.get("released"), datetime.date):
        values["released"] = told["released"].isoformat()
    for key in ("family", "released", "checkpoint"):
        if key in values and not (isinstance(values[key], str) and values[key].strip()):
            raise InputError(f"{where}: expected {key} to be text, found {told[key]!r}; correct it")
    return Model(name, **{**values, "aliases": checked_aliases(where, told)})


def _with_size(place: Path, model: Model) -> Model:
    if model.checkpoint is None or (model.params is not None and model.active_params is not None):
        return model
    size = read_size(place.parent / Path(model.checkpoint).expanduser())
    params = model.params or float(size.params)
    return replace(model, params=params, active_params=model.active_params or size.share * params)


def with_models(lms: pd.DataFrame, models: Sequence[Model]) -> tuple[pd.DataFrame, list[str]]:
    """What tables say of models (index `lm`), with what the user says in its place; and sentences on that.

    FLOPs that nobody measured are 6 N D (Kaplan et al. 2020, arXiv 2001.08361), with the parameters that a token uses.
    Where a day of release is told of any model there is a column `release date`.
    """
    by_name = {name: model for model in models for name in (model.name, *model.aliases)}
    told = [by_name.get(str(name)) for name in lms.index]
    frame = lms.copy()
    computed = np.isclose(frame["flops"], 6 * frame["params"] * frame["tokens"], rtol=_SAME)
    for role in ("params", "tokens"):
        frame[role] = [
            value if model is None or getattr(model, role) is None else getattr(model, role)
            for value, model in zip(frame[role], told, strict=True)
        ]
    frame["family"] = [
        family if model is None or model.family is None else model.family
        for family, model in zip(frame["family"], told, strict=True)
    ]
    flops = frame["flops"].to_numpy(float).copy()
    for row, model in enumerate(told):
        if model is None:
            continue
        if model.flops is not None:
            flops[row] = model.flops
        elif np.isnan(flops[row]) or computed[row]:
            flops[row] = 6 * (model.active_params or frame["params"].iloc[row]) * frame["tokens"].iloc[row]
    frame["flops"] = flops
    if any(model is not None and model.released for model in told):
        frame["release date"] = [None if model is None else model.released for model in told]
    said = []
    if unused := [model.name for model in models if model not in told]:
        said.append(f"no table has scores of {names.some(unused)}, which the file of models names")
    return frame, said
