"""A feature salience in a folder, and the weights that it assigns to a text.

feature_fit.json    format, benchmark, network, scales, and the status of the fit
feature_fit.npz     parameters of the network and of the law; nothing is pickled
"""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from flax import traverse_util

from csvjax.errors import InputError
from csvjax.plain import plain, write_json
from csvjax.scale.corpus import Corpus
from csvjax.scale.feature_fit import FeatureFit, z_of
from csvjax.scale.features import Scaling, features_of, raw_numbers
from csvjax.scale.network import NetworkConfig

__all__ = ["by_document", "load_features", "save_features", "token_weights", "weigh"]

_FORMAT = "csvjax feature salience 1"


def save_features(fit: FeatureFit, benchmark: str, folder: Path) -> None:
    """Write a fit into `folder`, which must exist."""
    arrays = {"/".join(map(str, k)): v for k, v in traverse_util.flatten_dict(fit.parameters).items()}
    own = {"x": fit.x, "psi": fit.psi, "potentials": fit.potentials}
    scales = {"mean": fit.scaling.mean, "deviation": fit.scaling.deviation}
    named = {f"network/{name}": value for name, value in arrays.items()} | own | scales
    np.savez(folder / "feature_fit.npz", allow_pickle=False, **named)
    known = {"format": _FORMAT, "benchmark": benchmark, "network": fit.config}
    write_json(plain(known | {"lms": fit.scaling.lms, "domains": fit.scaling.domains}), folder / "feature_fit.json")


def load_features(folder: Path) -> tuple[FeatureFit, str]:
    """The fit that `save_features` wrote, and its benchmark.

    Raises: InputError if there is none, or it is damaged.
    """
    try:
        known = json.loads((folder / "feature_fit.json").read_text(encoding="utf-8"))
        if known["format"] != _FORMAT:
            raise ValueError
        with (folder / "feature_fit.npz").open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = dict(found)
        network = {tuple(k.split("/")[1:]): v for k, v in arrays.items() if k.startswith("network/")}
        scaling = Scaling(tuple(known["lms"]), tuple(known["domains"]), arrays["mean"], arrays["deviation"])
        config = NetworkConfig(**known["network"])
        parameters = traverse_util.unflatten_dict(network)
        fit = FeatureFit(config, parameters, scaling, arrays["x"], arrays["psi"], arrays["potentials"])
        return fit, str(known["benchmark"])
    except (OSError, BadZipFile, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"expected a feature salience in {folder}, found none that can be read; make one with csvjax salience fit"
        ) from error


def token_weights(units: pd.DataFrame, z: np.ndarray) -> pd.DataFrame:
    """One row for each unit: its position, base_weight (share of the bytes), weight (salience; sums to 1), and factor,
    which is weight / base_weight.
    """
    base = units["bytes"].to_numpy(float) / units["bytes"].sum()
    logit = np.log(base) + z.astype(float)
    weight = np.exp(logit - logit.max())
    weight /= weight.sum()
    places = units[["token", "document", "domain", "start", "bytes"]]
    return places.assign(base_weight=base, weight=weight, factor=weight / base)


def by_document(tokens: pd.DataFrame) -> pd.DataFrame:
    """One row for each document: tokens, bytes, base_weight, weight, factor (above 1: counts more than its bytes)."""
    grouped = tokens.groupby("document", sort=False)
    found = grouped.agg(
        domain=("domain", "first"),
        tokens=("token", "size"),
        bytes=("bytes", "sum"),
        base_weight=("base_weight", "sum"),
        weight=("weight", "sum"),
    ).reset_index()
    return found.assign(factor=found["weight"] / found["base_weight"])


def weigh(fit: FeatureFit, corpus: Corpus, units: pd.DataFrame) -> pd.DataFrame:
    """`token_weights` of any text, also one that the fit has not seen.

    Raises: InputError if the text has no losses of a model of the fit.
    """
    numbers = raw_numbers(corpus, units, fit.scaling.lms)
    return token_weights(units, z_of(fit.config, fit.parameters, features_of(numbers, units, fit.scaling)))
