"""The data of the token view of the page: tokens, documents, saliences, and losses of some models."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from csvjax.report.read import Run
from csvjax.result.result import Result

__all__ = ["BUDGET", "LONGEST", "STEPS_OF_AN_OCTAVE", "chosen_models", "encode_losses", "encode_ratios", "token_data"]

BUDGET = 80_000
"""Size of the losses in the page, in bytes: one for each token and model."""

LONGEST = 60  # characters shown of a token
STEPS_OF_AN_OCTAVE = 16
LOSS_STEPS = 40.0  # a loss of x nats is stored as 40 sqrt(x), rounded, at most 255; the error at 3 nats is at most 0.04
_FEWEST, _LIMIT = 2, 12  # models


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def encode_ratios(
    ratio: Float[np.ndarray, "benchmark unit"],
) -> tuple[Int[np.ndarray, "benchmark group"], Int[np.ndarray, " unit"]]:
    """Ratios in sixteenths of an octave: a table [benchmark, group], and the group of each unit [unit].

    Tokens with the same ratios for all benchmarks form a group, so one number for each token is enough. -127 stands for
    a ratio of 2^-8 or less, and for a negative one.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        octaves = np.where(ratio > 0, np.log2(np.maximum(ratio, 1e-30)), -np.inf)
    steps = np.clip(np.round(octaves * STEPS_OF_AN_OCTAVE), -127, 127).astype(np.int8)
    table, group = np.unique(steps, axis=1, return_inverse=True)
    return table, group.reshape(-1)


def encode_losses(loss: Float[np.ndarray, "lm unit"]) -> np.ndarray:
    """Losses in nats as bytes (`LOSS_STEPS`): those of the first model, then differences from the previous model.

    Differences are modulo 256. Models find the same tokens hard, so differences are small and compress well.
    """
    steps = np.clip(np.round(LOSS_STEPS * np.sqrt(np.maximum(loss, 0.0))), 0, 255).astype(np.uint8)
    return np.diff(steps, axis=0, prepend=np.zeros_like(steps[:1]))


def chosen_models(fit: Result) -> list[int]:
    """Rows of the models whose losses are in the page: the largest of each family first, within `BUDGET`."""
    losses = fit.dataset.losses
    if losses is None:
        return []
    lms = fit.dataset.lms
    known = np.flatnonzero(~np.isnan(losses.loss).any(axis=1))
    size = lms["flops"].fillna(6 * lms["params"] * lms["tokens"]).fillna(lms["params"]).fillna(0.0).to_numpy(float)
    order = known[np.argsort(-size[known], kind="stable")]
    family = lms["family"].astype(str).to_numpy()
    place = pd.Series(family[order]).groupby(family[order]).cumcount().to_numpy()
    order = order[np.argsort(place, kind="stable")]
    count = int(np.clip(BUDGET // max(len(losses.units), 1), _FEWEST, _LIMIT))
    return [int(i) for i in order[:count]]


def token_data(run: Run) -> dict[str, Any] | None:
    """The data of the token view; None for a run without salience.

    Returns: `documents` with name, domain and number of tokens; `tokens` and `bytes` [unit]; `benchmarks`; `table`
    [benchmark, group] and `group` [unit] of `encode_ratios` in base64; `lms`, and `losses` [lm, unit] of
    `encode_losses` in base64.
    """
    if run.salience is None:
        return None
    parts = dict(list(run.salience.groupby("benchmark", sort=False)))
    first = next(iter(parts.values()))
    ratio = []
    for part in parts.values():
        share = part["share"].to_numpy(float) / part["share"].sum()
        base = part["base_weight"].to_numpy(float) / part["base_weight"].sum()
        # A unit without bytes, such as a special token, has no share of bytes.
        ratio.append(np.divide(share, base, out=np.ones_like(share), where=base > 0))
    table, group = encode_ratios(np.array(ratio))
    starts = np.flatnonzero((first["document"] != first["document"].shift()).to_numpy())
    ends = np.append(starts[1:], len(first))
    documents = [
        [str(first["document"].iloc[a]), str(first["domain"].iloc[a]), int(b - a)]
        for a, b in zip(starts, ends, strict=True)
    ]
    found = {
        "documents": documents,
        "tokens": [t if len(t) <= LONGEST else t[:LONGEST] + "…" for t in first["token"]],
        "bytes": first["bytes"].astype(int).tolist(),
        "benchmarks": list(parts),
        "groups": table.shape[1],
        "table": _base64(table),
        "group": _base64(group.astype(np.uint32 if table.shape[1] > 65535 else np.uint16)),
        "wide": bool(table.shape[1] > 65535),
        "steps": STEPS_OF_AN_OCTAVE,
        "lms": [],
    }
    if run.fit is not None and run.fit.dataset.losses is not None and len(run.fit.dataset.losses.units) == len(first):
        chosen = chosen_models(run.fit)
        loss = np.asarray(run.fit.dataset.losses.loss)[chosen]
        found |= {"lms": [str(run.fit.dataset.lms.index[i]) for i in chosen], "losses": _base64(encode_losses(loss))}
        found["loss_steps"] = LOSS_STEPS
    return found
