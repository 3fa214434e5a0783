"""Fills the parameters of a transformer from named tensors, which are cast and placed one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import DTypeLike

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture
from csvjax.lms.naming import Naming
from csvjax.lms.tables import NAMING
from csvjax.lms.tensors import Tensors
from csvjax.lms.transformer import Transformer
from csvjax.names import some

__all__ = ["check", "fill", "placeless"]

_SUFFIX = {"kernel": "weight", "scale": "weight", "bias": "bias"}
_NO_WEIGHTS = (
    *(".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias"),  # masks
    *(".rotary_emb.inv_freq", ".embed_positions.weights"),  # computed from the configuration
)
_OTHER_MODELS = ("vision_tower.", "model.vision_tower.", "multi_modal_projector.", "model.multi_modal_projector.")
_PLAIN = ("F64", "F32", "F16", "BF16")
_PACKED = (".qweight", ".qzeros", ".g_idx", ".scales", ".weight_scale", ".weight_scale_inv")  # GPTQ, MLX, FP8
_PACKED_NF4 = (".absmax", ".quant_map", ".SCB")  # bitsandbytes

Path = tuple[Any, ...]
Place = Callable[[Path, np.ndarray], jax.Array]


def placeless(path: Path, array: np.ndarray) -> jax.Array:
    """Place an array on the default device."""
    return jnp.asarray(array)


def fill(
    architecture: Architecture, tensors: Tensors, dtype: DTypeLike = jnp.float32, place: Place = placeless
) -> Transformer:
    """The model with its weights.

    If the configuration ties the head to the embedding but the checkpoint has a head with other numbers, the head of
    the checkpoint is used.

    Args:
        architecture: the architecture.
        tensors: the tensors of the checkpoint.
        dtype: type of matrices; vectors are float32.
        place: puts each parameter on its devices.

    Raises: InputError for tensors that `check` refuses.
    """
    check(architecture, tensors)
    naming = NAMING[architecture.family]
    prefix = _prefix(naming, set(tensors.names()), tensors.place)
    if architecture.tied and not _same_head(naming, prefix, tensors):
        architecture = replace(architecture, tied=False)
    graph, parameters = _parameters(architecture)
    filled = []
    # The largest tensor first, while memory is free, because a tensor is in memory twice while it is placed.
    for path, parameter in sorted(parameters, key=lambda item: -int(np.prod(item[1].shape))):
        kind = jnp.dtype(dtype if _is_matrix(path) else np.float32)
        names = _names(naming, prefix, path, architecture)
        # The copy makes a transposed matrix contiguous, and does not keep the file mapped.
        kept = np.empty(parameter.shape, kind)
        for i, name in enumerate(names):
            part = _cut(naming, architecture, tensors.read(name), path)
            kept.reshape(len(names), *part.shape)[i] = part
        filled.append((path, parameter.replace(place(path, kept))))
    return nnx.merge(graph, nnx.from_flat_state(filled))


def check(architecture: Architecture, tensors: Tensors) -> None:
    """Check names, shapes and types of the tensors against the model, without reading them.

    Raises: InputError for tensors that are quantised, missing, of another shape, or belong to no part of the model.
    """
    naming = NAMING[architecture.family]
    known = set(tensors.names())
    packed = [name for name in sorted(known) if name.endswith((*_PACKED, *_PACKED_NF4))]
    if packed:
        raise _quantised(packed[0], tensors)
    prefix = _prefix(naming, known, tensors.place)
    used: set[str] = set()
    for path, parameter in _parameters(architecture)[1]:
        names = _names(naming, prefix, path, architecture)
        used.update(names)
        for name in names:
            if name not in known:
                raise InputError(
                    f"expected the tensor {name} in {tensors.place}, found none with this name; download the "
                    "checkpoint again, or check that config.json belongs to it"
                )
            if tensors.kind(name) not in _PLAIN:
                raise _quantised(name, tensors)
            wanted, found = tuple(parameter.shape), _cut_shape(naming, architecture, tensors.shape(name), path)
            if found != wanted and (len(names), *found) != wanted:
                raise InputError(
                    f"expected the tensor {name} of {tensors.place} to give {'.'.join(map(str, path))} of shape "
                    f"{wanted}, found {found}; config.json and weights are of different models"
                )
    _check_rest(naming, architecture, known - used, tensors.place)


def _parameters(architecture: Architecture) -> tuple[Any, list[tuple[Path, Any]]]:
    graph, state = nnx.split(nnx.eval_shape(lambda: Transformer(architecture)))
    return graph, list(nnx.to_flat_state(state))


def _quantised(name: str, tensors: Tensors) -> InputError:
    return InputError(
        f"expected weights of 16, 32 or 64 bits in {tensors.place}, found the quantised tensor {name} "
        f"({tensors.kind(name)}); give the checkpoint that it was made from"
    )


def _prefix(naming: Naming, known: set[str], place: str) -> str:
    for prefix in naming.prefixes:
        if f"{prefix}{naming.top['embedding']}.weight" in known:
            return prefix
    raise InputError(
        f"expected the tensor {naming.prefixes[0]}{naming.top['embedding']}.weight in {place}, found others: "
        f"{some(sorted(known))}; config.json and weights are of different models"
    )


def _names(naming: Naming, prefix: str, path: Path, architecture: Architecture) -> list[str]:
    """The tensors of the parameter at `path`: one, or one for each expert."""
    if path[0] != "blocks" or (experts := architecture.layers[path[1]].experts) is None:
        return [_name(naming, prefix, path)]
    return list(dict.fromkeys(_name(naming, prefix, path, expert) for expert in range(experts.count)))


def _name(naming: Naming, prefix: str, path: Path, expert: int = 0) -> str:
    if path in (("output",), ("output_bias",)):
        head = f"{naming.output}.{'weight' if path == ('output',) else 'bias'}"
        return f"language_model.{head}" if prefix.startswith("language_model.") else head
    if path[0] == "blocks":
        return f"{prefix}{naming.block[_module(path)].format(path[1], expert)}.{_SUFFIX[str(path[-1])]}"
    module, leaf = path[0], path[-1] if len(path) > 1 else "kernel"
    return f"{prefix}{naming.top[str(module)]}.{_SUFFIX[str(leaf)]}"


def _module(path: Path) -> str:
    """The name of a module of a block, as "query" or "experts.gate"."""
    return ".".join(map(str, path[2:-1]))


def _same_head(naming: Naming, prefix: str, tensors: Tensors) -> bool:
    """Whether the head equals the embedding: it is not stored, or it is stored with the same numbers."""
    head, embedding = (_name(naming, prefix, path) for path in (("output",), ("embedding",)))
    if head not in set(tensors.names()):
        return True
    return np.array_equal(tensors.read(head), tensors.read(embedding))


def _is_matrix(path: Path) -> bool:
    return path[-1] == "kernel" or path in (("embedding",), ("positions",), ("output",))


def _cut(naming: Naming, architecture: Architecture, array: np.ndarray, path: Path) -> np.ndarray:
    """The part of a stored tensor for the parameter at `path`; matrices have their inputs before their outputs."""
    matrix = path[-1] == "kernel" and array.ndim > 1
    if matrix and naming.inputs_first:
        array = array.swapaxes(-1, -2)
    if naming.fused is not None and path[0] == "blocks":
        array = naming.fused(array, _module(path), architecture)
    return array.swapaxes(-1, -2) if matrix else array


def _cut_shape(naming: Naming, architecture: Architecture, stored: tuple[int, ...], path: Path) -> tuple[int, ...]:
    empty = np.broadcast_to(np.int8(0), stored)  # has the stored shape but takes one byte
    try:
        return tuple(_cut(naming, architecture, empty, path).shape)
    except ValueError:  # the number of heads does not divide the tensor
        return stored


def _check_rest(naming: Naming, architecture: Architecture, rest: set[str], place: str) -> None:
    """Refuse further weights, because they mean that the configuration does not describe the model."""
    tied = {f"{naming.output}.weight", f"language_model.{naming.output}.weight"} if architecture.tied else set()
    unknown = sorted(
        name for name in rest - tied if not name.endswith(_NO_WEIGHTS) and not name.startswith(_OTHER_MODELS)
    )
    if unknown:
        raise InputError(
            f"expected only tensors of a {architecture.family} model in {place}, found {some(unknown)} too; csvjax "
            "would score another model than the one that was trained"
        )
