"""How weights stand in a checkpoint, and how fused ones come apart; `csvjax.lms.tables` has the names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from csvjax.lms.architecture import Architecture

__all__ = ["Cut", "Naming", "by_group", "in_parts"]

Cut = Callable[[np.ndarray, str, Architecture], np.ndarray]
"""(stored tensor with outputs first, name of a module, shape of the model) to the part that is the module's."""


@dataclass(frozen=True)
class Naming:
    """`top` and `block`: a module of `Transformer` or `Block` to the name of its tensors, without .weight and .bias.

    Names of `top` and `block` come after one of the `prefixes`, `output` does not. In a name of `block` {} is the
    layer. `fused`: how a tensor that several modules share is cut. `inputs_first`: matrices are stored as
    [input, output], not [output, input].
    """

    prefixes: tuple[str, ...]
    top: Mapping[str, str]
    block: Mapping[str, str]
    output: str = "lm_head"
    fused: Cut | None = None
    inputs_first: bool = False


def in_parts(tensor: np.ndarray, module: str, shape: Architecture) -> np.ndarray:
    """All queries, then all keys, then all values; or the gate, then what it multiplies."""
    rows, kv_rows = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    match module:
        case "query":
            return tensor[:rows]
        case "key":
            return tensor[rows : rows + kv_rows]
        case "value":
            return tensor[rows + kv_rows :]
        case "gate":
            return tensor[: shape.hidden]
        case "up" if shape.gated:
            return tensor[shape.hidden :]
    return tensor


def by_group(tensor: np.ndarray, module: str, shape: Architecture) -> np.ndarray:
    """The queries that read the first key, this key and its value, then those of the second, and so on."""
    if module not in ("query", "key", "value"):
        return tensor
    each = shape.heads // shape.kv_heads
    groups = tensor.reshape(shape.kv_heads, each + 2, shape.head_width, *tensor.shape[1:])
    found = groups[:, :each] if module == "query" else groups[:, each if module == "key" else each + 1]
    return found.reshape(-1, *tensor.shape[1:])
