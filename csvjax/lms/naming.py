"""How weights are stored in a checkpoint, and how fused weights are split; `csvjax.lms.tables` has the names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from csvjax.lms.architecture import Architecture

__all__ = ["Cut", "Naming", "by_group", "gate_and_up", "in_parts"]

Cut = Callable[[np.ndarray, str, Architecture], np.ndarray]
"""From a stored tensor with outputs first, the name of a module and the architecture to the part of this module."""


@dataclass(frozen=True)
class Naming:
    """Names of the tensors of a family.

    Attributes:
        prefixes: possible prefixes of the names in `top` and `block`.
        top: name of the tensors of each module of `Transformer`, without .weight and .bias.
        block: the same for modules of `Block`, as "experts.gate" for one inside another; {} stands for the layer, and a
            second one for the expert.
        output: name of the head, without a prefix.
        fused: splits a tensor that several modules share; None if there is none.
        inputs_first: whether matrices are stored as [input, output], not [output, input].
    """

    prefixes: tuple[str, ...]
    top: Mapping[str, str]
    block: Mapping[str, str]
    output: str = "lm_head"
    fused: Cut | None = None
    inputs_first: bool = False


def in_parts(tensor: np.ndarray, module: str, architecture: Architecture) -> np.ndarray:
    """Split a tensor with all queries, keys and values, or with gate and up projection, in this order."""
    rows, kv_rows = architecture.heads * architecture.head_width, architecture.kv_heads * architecture.head_width
    match module:
        case "query":
            return tensor[:rows]
        case "key":
            return tensor[rows : rows + kv_rows]
        case "value":
            return tensor[rows + kv_rows :]
    return gate_and_up(tensor, module, architecture)


def gate_and_up(tensor: np.ndarray, module: str, architecture: Architecture) -> np.ndarray:
    """Split a tensor with gate and up projection, in this order."""
    match module:
        case "gate":
            return tensor[: architecture.hidden]
        case "up" if architecture.gated:
            return tensor[architecture.hidden :]
        case "experts.gate":  # all experts in one tensor
            return tensor[:, : tensor.shape[1] // 2]
        case "experts.up":
            return tensor[:, tensor.shape[1] // 2 :]
    return tensor


def by_group(tensor: np.ndarray, module: str, architecture: Architecture) -> np.ndarray:
    """Split a tensor by groups: the queries of the first key, this key and its value, then the second group, ..."""
    if module not in ("query", "key", "value"):
        return tensor
    each = architecture.heads // architecture.kv_heads
    groups = tensor.reshape(architecture.kv_heads, each + 2, architecture.head_width, *tensor.shape[1:])
    found = groups[:, :each] if module == "query" else groups[:, each if module == "key" else each + 1]
    return found.reshape(-1, *tensor.shape[1:])
