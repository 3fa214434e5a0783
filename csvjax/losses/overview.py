"""Summarises a store of losses: means of each model by domain, and missing chunks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from csvjax.data.loss_format import FORMAT, decode_units
from csvjax.errors import InputError
from csvjax.losses import store as stores
from csvjax.objects import zarr_place

__all__ = ["ALL", "Overview", "look"]

ALL = "all"


@dataclass(frozen=True, eq=False)
class Overview:
    """The contents of a store.

    Attributes:
        means: a row for each model and domain (and for `ALL`), with nats per token, bits per byte, and the share of
            tokens that is done; means are over these tokens.
        models: settings of each model.
        tokens: number of tokens of the text.
        missing: number of missing chunks of each model.
        damaged: files or objects of damaged chunks of each model.
    """

    means: pd.DataFrame
    models: dict[str, dict[str, object]]
    tokens: int
    missing: dict[str, int]
    damaged: dict[str, tuple[str, ...]]


def look(path: Path) -> Overview:
    """Summarise a store, finished or not.

    Raises: InputError if there is no store of csvjax losses.
    """
    try:
        group = zarr.open_group(zarr_place(path), mode="r")
        attributes = dict(group.attrs)
        if attributes.get("format") != FORMAT or "models" not in attributes:
            raise ValueError
        units, _ = decode_units(attributes, {name: np.asarray(a[...]) for name, a in group.arrays() if name != "loss"})
    except Exception as error:  # errors of Zarr, the file system and codecs
        raise InputError(
            f"expected a store that csvjax losses wrote at {path}, found something that cannot be read; "
            "check the path, or run the same csvjax losses command again"
        ) from error
    states, bounds = stores.chunk_states(group), stores.chunk_bounds(group)
    lms = stores.attribute(group, "lms")
    rows = []
    for row, lm in enumerate(lms):
        loss = np.full(len(units), np.nan)
        for chunk in np.flatnonzero(states[row] == stores.WHOLE):
            loss[bounds[chunk] : bounds[chunk + 1]] = group["loss"][row, bounds[chunk] : bounds[chunk + 1]]  # type: ignore[index]  # an array
        done = np.isfinite(loss)
        for domain in (*dict.fromkeys(units["domain"]), ALL):
            here = (units["domain"] == domain).to_numpy() if domain != ALL else np.ones(len(units), bool)
            kept = here & done
            nats = loss[kept].sum()
            size = units["bytes"].to_numpy()[kept].sum()
            rows.append(
                {
                    "lm": lm,
                    "domain": domain,
                    "tokens": int(here.sum()),
                    "done": kept.sum() / here.sum(),
                    "nats": nats / kept.sum() if kept.any() else np.nan,
                    "bits": nats / np.log(2) / size if size else np.nan,
                }
            )
    missing = {lm: int((states[row] == stores.ABSENT).sum()) for row, lm in enumerate(lms)}
    damaged = {
        lm: tuple(
            f"{stores.place_of(group)}/{stores.chunk_name(row, int(c))}"
            for c in np.flatnonzero(states[row] == stores.DAMAGED)
        )
        for row, lm in enumerate(lms)
    }
    columns = ["lm", "domain", "tokens", "done", "nats", "bits"]
    return Overview(
        pd.DataFrame(rows, columns=columns), stores.attribute(group, "models"), len(units), missing, damaged
    )
