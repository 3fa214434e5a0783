"""A transformer whose parameters come from named tensors, cast and placed one by one."""

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
_NO_WEIGHTS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
_OTHER_MODELS = ("vision_tower.", "model.vision_tower.", "multi_modal_projector.", "model.multi_modal_projector.")
_PLAIN = ("F64", "F32", "F16", "BF16")
_PACKED = (".qweight", ".qzeros", ".g_idx", ".scales", ".weight_scale", ".weight_scale_inv")  # GPTQ, MLX, FP8
_PACKED_NF4 = (".absmax", ".quant_map", ".SCB")  # bitsandbytes

Path = tuple[Any, ...]
Place = Callable[[Path, np.ndarray], jax.Array]


def placeless(path: Path, array: np.ndarray) -> jax.Array:
    """On the default device."""
    return jnp.asarray(array)


def fill(
    shape: Architecture, tensors: Tensors, dtype: DTypeLike = jnp.float32, place: Place = placeless
) -> Transformer:
    """The model with its weights: matrices in `dtype`, vectors in float32, each put where `place` says.

    A head that is stored, though the configuration ties it to the embedding, is the model's if it differs from it.
    Raises: InputError for what `check` refuses.
    """
    check(shape, tensors)
    naming = NAMING[shape.family]
    prefix = _prefix(naming, set(tensors.names()), tensors.place)
    if shape.tied and not _same_head(naming, prefix, tensors):
        shape = replace(shape, tied=False)
    graph, parameters = _parameters(shape)
    filled = []
    # The largest first, while there is room: a tensor is held twice for the time that it is placed.
    for path, parameter in sorted(parameters, key=lambda item: -int(np.prod(item[1].shape))):
        array = _cut(naming, shape, tensors.read(_name(naming, prefix, path)), path)
        kept = array.astype(dtype if _is_matrix(path) else np.float32, copy=False)
        # A transposed matrix is laid out anew, and a map of the file does not outlive it.
        filled.append((path, parameter.replace(place(path, np.ascontiguousarray(kept)))))
    return nnx.merge(graph, nnx.from_flat_state(filled))


def check(shape: Architecture, tensors: Tensors) -> None:
    """Hold the names, shapes and types of the tensors against the model, without reading one.

    Raises: InputError for tensors that are quantised, missing, of another shape, or belong to no part of the model.
    """
    naming = NAMING[shape.family]
    known = set(tensors.names())
    packed = [name for name in sorted(known) if name.endswith((*_PACKED, *_PACKED_NF4))]
    if packed:
        raise _quantised(packed[0], tensors)
    prefix = _prefix(naming, known, tensors.place)
    used: set[str] = set()
    for path, parameter in _parameters(shape)[1]:
        name = _name(naming, prefix, path)
        used.add(name)
        if name not in known:
            raise InputError(
                f"expected the tensor {name} in {tensors.place}, found none of that name; get the checkpoint whole, or "
                "check that config.json belongs to it"
            )
        if tensors.kind(name) not in _PLAIN:
            raise _quantised(name, tensors)
        wanted, found = tuple(parameter.shape), _cut_shape(naming, shape, tensors.shape(name), path)
        if found != wanted:
            raise InputError(
                f"expected the tensor {name} of {tensors.place} to give {'.'.join(map(str, path))} of shape {wanted}, "
                f"found {found}; config.json and weights are of different models"
            )
    _check_rest(naming, shape, known - used, tensors.place)


def _parameters(shape: Architecture) -> tuple[Any, list[tuple[Path, Any]]]:
    graph, state = nnx.split(nnx.eval_shape(lambda: Transformer(shape)))
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


def _name(naming: Naming, prefix: str, path: Path) -> str:
    if path in (("output",), ("output_bias",)):
        head = f"{naming.output}.{'weight' if path == ('output',) else 'bias'}"
        return f"language_model.{head}" if prefix.startswith("language_model.") else head
    if path[0] == "blocks":
        _, layer, module, leaf = path
        return f"{prefix}{naming.block[str(module)].format(layer)}.{_SUFFIX[str(leaf)]}"
    module, leaf = path[0], path[-1] if len(path) > 1 else "kernel"
    return f"{prefix}{naming.top[str(module)]}.{_SUFFIX[str(leaf)]}"


def _same_head(naming: Naming, prefix: str, tensors: Tensors) -> bool:
    """Whether the head is the embedding: it is not stored, or stored with the same numbers."""
    head, embedding = (_name(naming, prefix, path) for path in (("output",), ("embedding",)))
    if head not in set(tensors.names()):
        return True
    return np.array_equal(tensors.read(head), tensors.read(embedding))


def _is_matrix(path: Path) -> bool:
    return path[-1] == "kernel" or path in (("embedding",), ("positions",), ("output",))


def _cut(naming: Naming, shape: Architecture, array: np.ndarray, path: Path) -> np.ndarray:
    """The part of a stored tensor that is the parameter at `path`, matrices with their inputs first."""
    matrix = path[-1] == "kernel"
    if matrix and naming.inputs_first:
        array = array.T
    if naming.fused is not None and path[0] == "blocks":
        array = naming.fused(array, str(path[-2]), shape)
    return array.T if matrix else array


def _cut_shape(naming: Naming, shape: Architecture, stored: tuple[int, ...], path: Path) -> tuple[int, ...]:
    empty = np.broadcast_to(np.int8(0), stored)  # of any shape, and of one byte
    try:
        return tuple(_cut(naming, shape, empty, path).shape)
    except ValueError:  # heads that do not divide it
        return stored


def _check_rest(naming: Naming, shape: Architecture, rest: set[str], place: str) -> None:
    """A weight that nobody asked for means a model that is not what its configuration says."""
    tied = {f"{naming.output}.weight", f"language_model.{naming.output}.weight"} if shape.tied else set()
    unknown = sorted(
        name for name in rest - tied if not name.endswith(_NO_WEIGHTS) and not name.startswith(_OTHER_MODELS)
    )
    if unknown:
        raise InputError(
            f"expected only tensors of a {shape.family} model in {place}, found {some(unknown)} too; csvjax would "
            "score another model than the one that was trained"
        )
