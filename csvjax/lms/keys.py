"""The keys of a configuration that a family reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from csvjax.errors import InputError
from csvjax.lms.architecture import Activation, Architecture
from csvjax.lms.rope import Rope, make_rope

__all__ = ["Family", "Keys", "activation", "layer_rope", "window", "with_neighbours"]

_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "silu",
    "swish": "silu",
}


class Keys:
    """The configuration as a family sees it. A key that is missing, or that the family does not list, is None.

    Configurations are often copied from another family and have its keys too. The model in PyTorch ignores them, so
    using them here would score another model than the trained one.
    """

    def __init__(self, config: Any, names: frozenset[str]):
        self._config, self._names = config, names

    def reads(self, name: str) -> bool:
        """Whether the family lists this key."""
        return name in self._names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name, None) if name in self._names else None


@dataclass(frozen=True)
class Family:
    """A family: `make` builds the architecture from the listed `keys`."""

    make: Callable[[Keys], Architecture]
    keys: frozenset[str]


def activation(name: str) -> Activation:
    """The activation with this name.

    Raises: InputError for an activation that csvjax does not know.
    """
    if name not in _ACTIVATIONS:
        raise InputError(
            f"expected an activation among {', '.join(_ACTIVATIONS)}, found {name!r} in config.json; csvjax does not "
            "know how to score this model"
        )
    return _ACTIVATIONS[name]


def window(keys: Keys, layer: int) -> int | None:
    """The number of tokens that a token of this layer attends to; None for all tokens to its left.

    Raises: InputError for a window without tokens, with which attention in PyTorch would see later tokens.
    """
    kinds = keys.layer_types
    if kinds and kinds[layer] != "sliding_attention":
        if kinds[layer] != "full_attention":
            raise InputError(
                f"expected layer_types of full_attention and sliding_attention, found {kinds[layer]!r} in config.json; "
                "csvjax does not know how to score this model"
            )
        return None
    size = keys.sliding_window
    if size is None and not kinds:
        return None
    if not isinstance(size, int) or size < 1:
        raise InputError(
            f"expected a sliding_window of at least 1 token for layer {layer}, found {size} in config.json; write the "
            "window with which the model was trained, or null for none"
        )
    return size


def layer_rope(keys: Keys, layer: int, head_width: int) -> Rope:
    """The rotation of a layer. A configuration may have one for each kind of layer."""
    found = dict(keys.rope_parameters or {})
    kind = keys.layer_types[layer] if keys.layer_types else None
    if isinstance(found.get(kind), Mapping):
        found = dict(found[kind]) | {"truncate": found.get("truncate", True)}  # which is not repeated for each kind
    elif keys.original_max_position_embeddings is not None:
        # As in transformers, the value at the top of the configuration counts.
        found["original_max_position_embeddings"] = keys.original_max_position_embeddings
    if not keys.reads("partial_rotary_factor"):
        found.pop("partial_rotary_factor", None)
    return make_rope(found, head_width, keys.max_position_embeddings)


def with_neighbours(architecture: Architecture) -> Architecture:
    """The same architecture, with rotations of the pairs (2 i, 2 i + 1)."""
    layers = tuple(
        replace(layer, rope=None if layer.rope is None else replace(layer.rope, neighbours=True))
        for layer in architecture.layers
    )
    return replace(architecture, layers=layers)
