"""What a family reads of a configuration: the keys on its list, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from csvjax.errors import InputError
from csvjax.lms.architecture import Activation, Architecture
from csvjax.lms.rope import Rope, make_rope

__all__ = ["Family", "Keys", "activation", "layer_rope", "window"]

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
    """The configuration as one family sees it: a key that is absent, or that is not on the family's list, is None.

    Configurations are often copied from another family and hold its keys too. PyTorch's model never looks at them, so a
    reader that does would score another model than the one that was trained.
    """

    def __init__(self, config: Any, names: frozenset[str]):
        self._config, self._names = config, names

    def reads(self, name: str) -> bool:
        """Whether the key is on the family's list."""
        return name in self._names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name, None) if name in self._names else None


@dataclass(frozen=True)
class Family:
    """`make` builds the architecture from the keys that are on the list."""

    make: Callable[[Keys], Architecture]
    keys: frozenset[str]


def activation(name: str) -> Activation:
    """The activation of that name. Raises: InputError for one that csvjax does not know."""
    if name not in _ACTIVATIONS:
        raise InputError(
            f"expected an activation among {', '.join(_ACTIVATIONS)}, found {name!r} in config.json; csvjax does not "
            "know how to score this model"
        )
    return _ACTIVATIONS[name]


def window(keys: Keys, layer: int) -> int | None:
    """How many tokens a token of this layer sees, None for all on its left.

    Raises: InputError for a window without tokens, in which PyTorch's attention would see the tokens to come.
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
            "window that the model was trained with, or null where its attention has none"
        )
    return size


def layer_rope(keys: Keys, layer: int, head_width: int) -> Rope:
    """The rotation of a layer: that of its kind, where the configuration has one for each."""
    found = dict(keys.rope_parameters or {})
    kind = keys.layer_types[layer] if keys.layer_types else None
    if isinstance(found.get(kind), Mapping):
        found = dict(found[kind]) | {"truncate": found.get("truncate", True)}  # which is read beside the kinds
    elif keys.original_max_position_embeddings is not None:
        # As in transformers, the one at the top of the configuration counts.
        found["original_max_position_embeddings"] = keys.original_max_position_embeddings
    if not keys.reads("partial_rotary_factor"):
        found.pop("partial_rotary_factor", None)
    return make_rope(found, head_width, keys.max_position_embeddings)
