"""The families of models that csvjax reads, and the `Architecture` of a configuration.

`config` is the result of `transformers.AutoConfig` for a `config.json`: it has defaults, and rotary positions in
`rope_parameters`, even if the file has `rope_theta` and `rope_scaling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture
from csvjax.lms.classic import CLASSIC
from csvjax.lms.keys import Family, Keys
from csvjax.lms.layered import LAYERED
from csvjax.lms.linear_biases import LINEAR_BIASES
from csvjax.lms.modern import MODERN

__all__ = ["FAMILIES", "make_architecture"]

FAMILIES: Mapping[str, Family] = {**CLASSIC, **MODERN, **LAYERED, **LINEAR_BIASES}

_MOST_LAYERS = 10_000
_SIZES = ("vocabulary", "width", "hidden", "heads", "kv_heads", "head_width", "context")


def make_architecture(config: Any) -> Architecture:
    """The architecture of a configuration.

    Raises: InputError for a family, an activation or a switch that csvjax does not know, and for values from which no
    model can be made.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise InputError(
            f"expected a model of one of the types {', '.join(sorted(FAMILIES))}, found {config.model_type!r} in "
            "config.json; csvjax does not know how to score this model"
        )
    keys = Keys(config, family.keys)
    # `is_causal` decides about attention masks for all families.
    causal = getattr(config, "is_causal", None) is not False
    if keys.use_bidirectional_attention or keys.add_cross_attention or not causal:
        raise InputError(
            "expected a model that reads from left to right, found bidirectional or cross attention in config.json; "
            "choose a causal language model"
        )
    if getattr(config, "is_heterogeneous", False):
        raise InputError(
            "expected layers of the same size, found a per_layer_config in config.json; csvjax cannot score this model"
        )
    layers = getattr(config, "num_hidden_layers", 0)
    if isinstance(layers, int) and layers > _MOST_LAYERS:  # each would be described before a tensor is missed
        raise InputError(
            f"expected at most {_MOST_LAYERS:,} layers in config.json, found {layers:,}; download the file again"
        )
    try:
        made = family.make(keys)
    except (TypeError, ValueError, KeyError, IndexError, ArithmeticError) as error:
        raise InputError(
            f"expected the values of a {config.model_type} model in config.json, found values that do not fit "
            f"({type(error).__name__}: {error}); download the file again"
        ) from None
    for name in _SIZES:
        if getattr(made, name) < 1:  # JAX would raise an error that names no file
            raise InputError(
                f"expected a positive {name.replace('_', ' ')} in config.json, found {getattr(made, name)}; download "
                "the file again"
            )
    return made
