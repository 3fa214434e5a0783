"""Negative log-likelihood of tokens under a language model, without ever holding an array over the whole vocabulary."""

from __future__ import annotations

from functools import partial
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from csvjax.losses.windows import Windows

__all__ = ["LanguageModel", "blocked_nll", "document_nll", "token_nll"]


@runtime_checkable
class LanguageModel(Protocol):
    """A Flax NNX module with logits[b, t, v] = hidden_states(tokens)[b, t, d] @ head[d, v], for the token after t."""

    def hidden_states(self, tokens: Int[Array, "b t"]) -> Float[Array, "b t d"]: ...

    @property
    def head(self) -> Float[Array, "d v"]: ...


def blocked_nll(
    hidden: Float[Array, "p d"], head: Float[Array, "d v"], targets: Int[Array, " p"], block: int = 512
) -> Float[Array, " p"]:
    """-log softmax(hidden @ head)[target] in nats, in float32, over blocks of `block` positions one after the other.

    The largest array is [block, v]. Method: levanter, `models/loss.py`.
    """
    count, width = hidden.shape
    block = min(block, count)
    padding = -count % block

    def one(part: tuple[Array, Array]) -> Array:
        states, target = part
        logits = jnp.matmul(states, head, preferred_element_type=jnp.float32)
        chosen = jnp.take_along_axis(logits, target[:, None], axis=-1)[:, 0]
        return jax.nn.logsumexp(logits, axis=-1) - chosen

    states = jnp.pad(hidden, ((0, padding), (0, 0))).reshape(-1, block, width)
    return jax.lax.map(one, (states, jnp.pad(targets, (0, padding)).reshape(-1, block))).reshape(-1)[:count]


@partial(jax.jit, static_argnames=("graph", "block"))
def _token_nll(graph: nnx.GraphDef, params: nnx.State, tokens: Array, targets: Array, block: int) -> Array:
    model = nnx.merge(graph, params)
    hidden = model.hidden_states(tokens)
    return blocked_nll(hidden.reshape(-1, hidden.shape[-1]), model.head, targets.reshape(-1), block).reshape(
        targets.shape
    )


def token_nll(
    model: LanguageModel,
    tokens: Int[Array | np.ndarray, "b t"],
    targets: Int[Array | np.ndarray, "b t"],
    block: int = 512,
) -> Float[Array, "b t"]:
    """Loss in nats of each target given the tokens up to its position; compiled once per shape and architecture."""
    return _token_nll(*nnx.split(model), tokens, targets, block)


def document_nll(
    model: LanguageModel, windows: Windows, batch: int = 16, block: int = 512
) -> Float[np.ndarray, " unit"]:
    """Loss in nats of every scored token of the windows' documents, in their order; `batch` windows at a time."""
    losses = np.full(windows.count, np.nan, np.float32)
    for start in range(0, len(windows.tokens), batch):
        part = slice(start, start + batch)
        # The last batch is filled up with windows that nobody looks at: one shape, one compilation.
        tokens, targets = (
            np.pad(x[part], ((0, batch - len(x[part])), (0, 0))) for x in (windows.tokens, windows.targets)
        )
        found = np.asarray(token_nll(model, tokens, targets, block))[: len(windows.unit[part])]
        losses[windows.unit[part][windows.scored[part]]] = found[windows.scored[part]]
    return losses
