"""A transformer whose parameters come from named tensors, cast and placed one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import DTypeLike

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture
from csvjax.lms.naming import NAMING, Naming
from csvjax.lms.tensors import Tensors
from csvjax.lms.transformer import Transformer
from csvjax.names import some

__all__ = ["fill", "placeless"]

_PARTS = ("query", "key", "value")
_SUFFIX = {"kernel": "weight", "scale": "weight", "bias": "bias"}
_NO_WEIGHTS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
_OTHER_MODELS = ("vision_tower.", "model.vision_tower.", "multi_modal_projector.", "model.multi_modal_projector.")

Path = tuple[Any, ...]
Place = Callable[[Path, np.ndarray], jax.Array]


def placeless(path: Path, array: np.ndarray) -> jax.Array:
    """On the default device."""
    return jnp.asarray(array)


def fill(
    shape: Architecture, tensors: Tensors, dtype: DTypeLike = jnp.float32, place: Place = placeless
) -> Transformer:
    """The model with its weights: matrices in `dtype`, vectors in float32, each put where `place` says.

    Raises: InputError for a tensor that is missing, has another shape, or belongs to no part of the model.
    """
    graph, state = nnx.split(nnx.eval_shape(lambda: Transformer(shape)))
    naming = NAMING[shape.family]
    known = set(tensors.names())
    prefix = _prefix(naming, known, tensors.place)
    used: set[str] = set()
    filled = []
    # The largest first, while there is room: a tensor is held twice for the time that it is placed.
    for path, parameter in sorted(nnx.to_flat_state(state), key=lambda item: -int(np.prod(item[1].shape))):
        name = _name(naming, prefix, path)
        used.add(name)
        array = _array(naming, shape, tensors, known, name, path)
        wanted = tuple(parameter.shape)
        if array.shape != wanted:
            raise InputError(
                f"expected the tensor {name} of {tensors.place} to give {_dotted(path)} of shape {wanted}, found "
                f"{array.shape}; config.json and weights are of different models"
            )
        kept = array.astype(dtype if array.ndim == 2 else np.float32, copy=False)
        # A transposed matrix is laid out anew, and a map of the file does not outlive it.
        filled.append((path, parameter.replace(place(path, np.ascontiguousarray(kept)))))
    _check_rest(naming, shape, known - used, tensors.place)
    return nnx.merge(graph, nnx.from_flat_state(filled))


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _prefix(naming: Naming, known: set[str], place: str) -> str:
    for prefix in naming.prefixes:
        if f"{prefix}{naming.top['embedding']}.weight" in known:
            return prefix
    raise InputError(
        f"expected the tensor {naming.prefixes[0]}{naming.top['embedding']}.weight in {place}, found others: "
        f"{some(sorted(known))}; config.json and weights are of different models"
    )


def _name(naming: Naming, prefix: str, path: Path) -> str:
    if path == ("output",):
        head = f"{naming.output}.weight"
        return f"language_model.{head}" if prefix.startswith("language_model.") else head
    if path[0] == "blocks":
        _, layer, module, leaf = path
        return f"{prefix}{naming.block[str(module)].format(layer)}.{_SUFFIX[str(leaf)]}"
    module, leaf = path[0], path[-1] if len(path) > 1 else "kernel"
    return f"{prefix}{naming.top[str(module)]}.{_SUFFIX[str(leaf)]}"


def _array(naming: Naming, shape: Architecture, tensors: Tensors, known: set[str], name: str, path: Path) -> np.ndarray:
    if name not in known:
        raise InputError(
            f"expected the tensor {name} in {tensors.place}, found none of that name; get the checkpoint whole, or "
            "check that config.json belongs to it"
        )
    array = tensors.read(name)
    matrix = path[-1] == "kernel"
    if matrix and naming.inputs_first:
        array = array.T
    if naming.fused is not None and len(path) > 2 and path[-2] in _PARTS:
        array = naming.fused(array, _PARTS.index(str(path[-2])), shape.heads)
    return array.T if matrix else array


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
