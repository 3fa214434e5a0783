"""Facts about models from a TOML file of the user and from checkpoints."""

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
    """Facts about a model; None where unknown.

    Attributes:
        name: the name.
        aliases: other names.
        family: the model family.
        params: number of parameters.
        active_params: number of parameters that one token uses, for a mixture of experts.
        tokens: number of training tokens.
        flops: training compute in FLOP.
        released: day of release, such as 2025-01-31.
        checkpoint: folder with safetensors, from whose headers sizes are read that are not given.
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
    """Read a TOML file with a table for each model; its keys are the attributes of `Model`.

    Raises: InputError for a file that cannot be read, an unknown key, a wrong value, a name that two models have, and a
    checkpoint whose size cannot be read.
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
            raise InputError(f"{where}: expected {key} to be text, found {told[key]!r}; write it in quotes")
    return Model(name, **{**values, "aliases": checked_aliases(where, told)})


def _with_size(place: Path, model: Model) -> Model:
    if model.checkpoint is None or (model.params is not None and model.active_params is not None):
        return model
    size = read_size(place.parent / Path(model.checkpoint).expanduser())
    params = model.params or float(size.params)
    return replace(model, params=params, active_params=model.active_params or size.share * params)


def with_models(lms: pd.DataFrame, models: Sequence[Model]) -> tuple[pd.DataFrame, list[str]]:
    """Override the covariates from tables with the user's facts about models.

    Unknown FLOPs are 6 N D, with N the parameters that one token uses and D the training tokens (Kaplan et al. 2020,
    arXiv 2001.08361). If the user gives a day of release for any model, there is a column `release date`.

    Args:
        lms: covariates from tables, index `lm`.
        models: facts of the user.

    Returns: the covariates, and sentences for the user.
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
        said.append(f"no table has scores of {names.some(unused)} from the file of models")
    return frame, said
