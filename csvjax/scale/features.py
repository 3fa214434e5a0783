"""Features of a token besides its loss on each model, on which a salience may depend.

bucket     a number below `BUCKETS`, a hash of the token's text (CRC-32), the same in every text
domain     index of the token's domain among those of the fit; the next index for a domain that the fit did not have
number     log frequency in this text, log position in the document, log bytes, mean loss over models, and the
           spread of losses over models (nats per byte), each standardised as in the fit
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from csvjax.errors import InputError
from csvjax.names import some
from csvjax.scale.corpus import Chunk, Corpus
from csvjax.scale.kernels import LANES, TILES
from csvjax.types import AnyArray

__all__ = ["BUCKETS", "NUMBERS", "Features", "Scaling", "features_of", "raw_numbers", "scaling_of"]

BUCKETS = 4096
NUMBERS = ("log frequency", "log position", "log bytes", "mean loss", "spread of losses")


class Features(NamedTuple):
    """One row for each unit; see the module."""

    bucket: Int[AnyArray, " unit"]
    domain: Int[AnyArray, " unit"]
    number: Float[AnyArray, "unit number"]


class Scaling(NamedTuple):
    """The scales that make features of two texts comparable. lms: models whose losses are averaged. domains: of the
    fit, in order. mean, deviation [number]: of the fit's text.
    """

    lms: tuple[str, ...]
    domains: tuple[str, ...]
    mean: Float[np.ndarray, " number"]
    deviation: Float[np.ndarray, " number"]


@jax.jit
def _moments(chunk: Chunk, at: jax.Array) -> tuple[jax.Array, jax.Array]:
    if chunk.loss.ndim == 2:
        loss = jnp.take(chunk.loss, at, axis=0)
    else:
        kept = jnp.take(chunk.loss, at, axis=2).astype(jnp.float32)
        loss = jnp.moveaxis(kept, 2, 0).reshape(len(at), chunk.loss.shape[0] * TILES * LANES)
    per_byte = loss * chunk.per_byte
    return jnp.mean(per_byte, axis=0), jnp.std(per_byte, axis=0)


def raw_numbers(corpus: Corpus, units: pd.DataFrame, lms: tuple[str, ...]) -> Float[np.ndarray, "unit number"]:
    """The numbers before they are standardised, in one pass over the losses.

    Raises: InputError for models that the corpus does not have.
    """
    if lost := [lm for lm in lms if lm not in corpus.lms]:
        raise InputError(
            f"expected losses of the models of the fit, found none of {some(lost)}; compute their losses on this text"
        )
    at = jnp.array([corpus.lms.index(lm) for lm in lms])
    codes, _ = pd.factorize(units["token"])
    frequency = np.bincount(codes)[codes] / len(codes)
    found = np.empty((len(units), len(NUMBERS)), np.float32)
    found[:, 0] = np.log(frequency)
    found[:, 1] = np.log1p(units["start"].to_numpy(float))
    found[:, 2] = np.log(units["bytes"].to_numpy(float))
    for chunk, here in corpus.chunks():
        mean, spread = jax.device_get(_moments(chunk, at))
        count = here.stop - here.start
        found[here, 3], found[here, 4] = mean[:count], spread[:count]
    return found


def scaling_of(numbers: Float[np.ndarray, "unit number"], units: pd.DataFrame, lms: tuple[str, ...]) -> Scaling:
    """The scales of a text, for a fit on this text."""
    domains = tuple(map(str, dict.fromkeys(units["domain"])))
    deviation = np.maximum(numbers.std(axis=0, dtype=float), 1e-6)
    return Scaling(tuple(lms), domains, numbers.mean(axis=0, dtype=float), deviation)


def features_of(numbers: Float[np.ndarray, "unit number"], units: pd.DataFrame, scaling: Scaling) -> Features:
    """The features of a text on the scales of the fit."""
    codes, tokens = pd.factorize(units["token"])
    buckets = np.array([zlib.crc32(str(token).encode()) % BUCKETS for token in tokens], np.int32)
    place = pd.Index(scaling.domains).get_indexer(pd.Index(units["domain"]))
    domain = np.where(place < 0, len(scaling.domains), place).astype(np.int32)
    number = ((numbers - scaling.mean) / scaling.deviation).astype(np.float32)
    return Features(buckets[codes], domain, number)
