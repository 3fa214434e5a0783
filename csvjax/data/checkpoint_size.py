"""Reads the number of parameters of a checkpoint from the headers of its safetensors, without reading the tensors."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from csvjax.errors import InputError

__all__ = ["Size", "read_size"]

_HEADER_LIMIT = 100_000_000  # bytes; the limit of the format
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_BUFFERS = re.compile(r"(attn\.(masked_)?bias|rotary_emb\.inv_freq|position_ids|attention\.(masked_)?bias)$")
_EXPERT = re.compile(r"\.experts\.|\.block_sparse_moe\.(in|out)put_linear\.")  # the latter of GraniteMoe, for all
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


class Size(NamedTuple):
    """The size of a model.

    Attributes:
        params: number of all parameters.
        share: share of the parameters that one token uses; 1 for a model without experts.
    """

    params: int
    share: float


def read_size(folder: Path) -> Size:
    """The number of parameters of the checkpoint in a folder: the elements of all tensors that are not buffers.

    In a mixture of experts one token uses k of n experts; `config.json` has both numbers.

    Raises: InputError for a folder without safetensors, a damaged header, quantised weights, and a mixture of experts
    whose `config.json` does not say how many experts one token uses.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(
            f"expected the folder of a checkpoint with safetensors, found none in {folder}; give params instead"
        )
    config = _config(folder)
    total = experts = 0
    for path in files:
        for name, count in _counts(path):
            total += count
            experts += count if _EXPERT.search(name) else 0
    if not experts:
        return Size(total, 1.0)
    chosen, among = (next((config[key] for key in keys if isinstance(config.get(key), int)), None)
                     for keys in (_CHOSEN, _EXPERTS))  # fmt: skip
    if not chosen or not among or chosen > among:
        raise InputError(
            f"{folder / 'config.json'}: expected the number of experts per token ({_CHOSEN[0]} of {_EXPERTS[0]}), "
            f"found {chosen} of {among}; give active_params"
        )
    return Size(total, (total - experts * (1 - chosen / among)) / total)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, found something else ({error}); download it again") from None
    config = found if isinstance(found, dict) else {}
    if quantised := [key for key in ("quantization_config", "quantization", "compression_config") if config.get(key)]:
        raise InputError(f"{path}: expected weights that are not quantised, found {quantised[0]}; give params instead")
    inner = config.get("text_config")
    return {**inner, **config} if isinstance(inner, dict) else config


def _counts(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of parameters of each tensor of a file."""
    damaged = f"{path}: expected a whole safetensors file, found"
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= _HEADER_LIMIT:
            raise InputError(f"{damaged} a header of {length} bytes; download it again")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise InputError(f"{damaged} a header that is no JSON; download it again") from None
    for name, tensor in header.items() if isinstance(header, dict) else ():
        if name == "__metadata__" or _BUFFERS.search(name):
            continue
        shape = tensor.get("shape") if isinstance(tensor, dict) else None
        if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise InputError(f"{damaged} the tensor {name!r} without a shape; download it again")
        if tensor.get("dtype") not in _FLOATS:
            raise InputError(
                f"{path}, tensor {name!r}: expected weights that are not quantised, found {tensor.get('dtype')}; give "
                f"params instead"
            )
        yield name, math.prod(shape)
