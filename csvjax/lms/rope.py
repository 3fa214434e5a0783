"""Rotary positions: the angle by which each pair of dimensions of a head rotates from one token to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from csvjax.errors import InputError

__all__ = ["Rope", "make_rope", "rotate", "turns"]

_WIDEST = 1 << 16


@dataclass(frozen=True)
class Rope:
    """A rotation of heads.

    Attributes:
        frequency: angle of pair i for each position, in radians. Pair i is dimensions i and i + len(frequency); further
            dimensions do not rotate.
        factor: factor of cos and sin.
        longest: number of tokens up to which this rotation is valid; None for any.
        neighbours: whether pair i is dimensions 2 i and 2 i + 1 instead.
    """

    frequency: tuple[float, ...]
    factor: float = 1.0
    longest: int | None = None
    neighbours: bool = False


def make_rope(parameters: Mapping[str, Any], head_width: int, context: int) -> Rope:
    """The rotation that the `rope_parameters` of a configuration describe.

    default: frequencies theta^(-2i / d) (RoFormer, arXiv 2104.09864). linear: divided by `factor` (arXiv 2306.15595).
    llama3: only slow ones are divided (Llama 3.1). yarn: a ramp between both (arXiv 2309.00071, eq. 23). dynamic: the
    default, valid up to the `context` of the model. longrope: each divided by its `short_factor` (arXiv 2402.13753),
    valid up to the original context.

    Raises: InputError for another `rope_type`, for a `rope_theta` that is no number above 0, and for heads that no
    model has.
    """
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    dim = int(head_width * (parameters.get("partial_rotary_factor") or 1.0))
    if dim > _WIDEST:  # there would be a frequency for every second of them
        raise InputError(
            f"expected heads of at most {_WIDEST:,} dimensions in config.json, found {dim:,}; download the file again"
        )
    given = parameters.get("rope_theta")
    if not isinstance(given, int | float) or not given > 0:
        raise InputError(
            f"expected a number above 0 as rope_theta in config.json, found {given}; write the number with which the "
            "model was trained"
        )
    theta = float(given)
    # In float32, as in training.
    plain = (1.0 / theta ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim))).astype(np.float32)
    match kind:
        case "default":
            return _rope(plain)
        case "dynamic":
            return replace(_rope(plain), longest=context)
        case "linear":
            return _rope(plain / np.float32(parameters["factor"]))
        case "llama3":
            return _rope(_llama3(plain, parameters))
        case "yarn":
            return _yarn(plain, parameters, theta, context)
        case "longrope":
            return _longrope(plain, parameters, context)
    raise InputError(
        f"expected rotary positions of the type default, linear, dynamic, llama3, yarn or longrope, found {kind!r} in "
        "config.json; csvjax does not know how to score this model"
    )


def _rope(frequency: np.ndarray, factor: float = 1.0) -> Rope:
    return Rope(tuple(frequency.astype(np.float32).tolist()), factor)


def _llama3(plain: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    factor, low, high = (float(parameters[name]) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    turns_in_context = parameters["original_max_position_embeddings"] * plain / (2 * math.pi)
    smooth = np.clip((turns_in_context - low) / (high - low), 0, 1)
    return (1 - smooth) * plain / factor + smooth * plain


def _yarn(plain: np.ndarray, parameters: Mapping[str, Any], theta: float, context: int) -> Rope:
    original = parameters["original_max_position_embeddings"]
    factor = parameters.get("factor") or context / original
    dim = 2 * len(plain)

    def boundary(rotations: float) -> float:
        """The dimension that rotates `rotations` times in the original context."""
        return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = boundary(parameters.get("beta_fast") or 32), boundary(parameters.get("beta_slow") or 1)
    if parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / (high - low or 0.001), 0, 1).astype(np.float32)
    return _rope(plain / np.float32(factor) * ramp + plain * (1 - ramp), _temperature(parameters, factor))


def _longrope(plain: np.ndarray, parameters: Mapping[str, Any], context: int) -> Rope:
    original = int(parameters["original_max_position_embeddings"])
    factor = parameters.get("factor") or context / original
    given = parameters.get("attention_factor")
    temperature = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    short = np.asarray(parameters["short_factor"], np.float32)
    found = _rope(plain / short, temperature if given is None else float(given))
    return replace(found, longest=min(original, context))


def _temperature(parameters: Mapping[str, Any], factor: float) -> float:
    given = parameters.get("attention_factor")
    if given is not None:
        return float(given)

    def scale(strength: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * strength * math.log(factor) + 1.0

    one, all_dim = parameters.get("mscale"), parameters.get("mscale_all_dim")
    return scale(one) / scale(all_dim) if one and all_dim else scale(1.0)


def turns(rope: Rope, positions: Int[Array, "*b t"]) -> tuple[Float[Array, "*b t g"], Float[Array, "*b t g"]]:
    """cos and sin of position * frequency, times the factor."""
    angle = positions[..., None].astype(jnp.float32) * jnp.asarray(rope.frequency, jnp.float32)
    return jnp.cos(angle) * rope.factor, jnp.sin(angle) * rope.factor


def rotate(
    x: Float[Array, "b t n h"], cos: Float[Array, "*b t g"], sin: Float[Array, "*b t g"], neighbours: bool = False
) -> Float[Array, "b t n h"]:
    """Rotate the pairs (i, i + g), or (2 i, 2 i + 1), of each head; dimensions from 2 g on do not change."""
    g = cos.shape[-1]
    cos, sin = cos[..., None, :], sin[..., None, :]
    if neighbours:
        first, second, rest = x[..., : 2 * g : 2], x[..., 1 : 2 * g : 2], x[..., 2 * g :]
        turned = jnp.stack([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return jnp.concatenate([turned.reshape(*x.shape[:-1], 2 * g), rest], axis=-1)
    first, second, rest = x[..., :g], x[..., g : 2 * g], x[..., 2 * g :]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin, rest], axis=-1)
