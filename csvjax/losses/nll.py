"""Negative log-likelihood of tokens under a language model, without ever holding an array over the whole vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from csvjax.losses.windows import Windows
from csvjax.types import AnyArray

__all__ = ["LanguageModel", "blocked_nll", "document_nll", "scorer", "token_nll"]

_BLOCK = 512  # tokens at a time
_COLUMNS = 4096  # of the vocabulary at a time, where it is several times larger
_ROWS = 2048  # tokens at a time there: with the columns, 32 MB of logits
_GPU_SHARE = 1 / 32  # of a GPU's memory for logits: products of a few hundred rows would leave most of it idle
_GPU_TILE = 128  # rows and columns of the tiles that a GPU's products are made of


@runtime_checkable
class LanguageModel(Protocol):
    """A Flax NNX module with logits[b, t, v] = hidden_states(tokens)[b, t, d] @ head[d, v], for the token after t.

    One that has a `head_bias` adds it to them, and one that has a `logit_cap` c puts c tanh(x / c) in place of each x.
    """

    def hidden_states(self, tokens: Int[Array, "b t"]) -> Float[Array, "b t d"]: ...

    @property
    def head(self) -> Float[Array, "d v"]: ...


def _capped(logits: Array, cap: float | None) -> Array:
    return logits if cap is None else cap * jnp.tanh(logits / cap)


def _products(states: Array, rows: Array, bias: Array | None, cap: float | None) -> Array:
    """Logits of the vocabulary's `rows`, summed in float32."""
    product = partial(jnp.matmul, preferred_element_type=jnp.float32, precision="highest")
    logits = product(states.astype(rows.dtype), rows.T)
    return _capped(logits if bias is None else logits + bias, cap)


def _narrow(states: Array, target: Array, rows: Array, bias: Array | None, cap: float | None) -> Array:
    logits = _products(states, rows, bias, cap)
    chosen = jnp.take_along_axis(logits, target[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def _wide(states: Array, target: Array, rows: Array, bias: Array | None, cap: float | None, columns: int) -> Array:
    """The log of the sum is gathered block by block of the vocabulary (online softmax, arXiv 1805.02867)."""
    blocks = len(rows) // columns

    def add(carry: tuple[Array, Array], logits: Array) -> tuple[Array, Array]:
        most, total = carry
        higher = jnp.maximum(most, logits.max(axis=-1))
        return higher, total * jnp.exp(most - higher) + jnp.exp(logits - higher[:, None]).sum(axis=-1)

    def step(carry: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
        part = jax.lax.dynamic_slice_in_dim(rows, i * columns, columns)
        shift = None if bias is None else jax.lax.dynamic_slice_in_dim(bias, i * columns, columns)
        return add(carry, _products(states, part, shift, cap)), None

    carry = jnp.full(len(states), -jnp.inf), jnp.zeros(len(states))
    if blocks == 1:
        carry = add(carry, _products(states, rows[:columns], None if bias is None else bias[:columns], cap))
    else:
        carry, _ = jax.lax.scan(step, carry, jnp.arange(blocks))
    if blocks * columns < len(rows):
        last = slice(blocks * columns, None)
        carry = add(carry, _products(states, rows[last], None if bias is None else bias[last], cap))
    most, total = carry
    chosen = jnp.einsum(
        "pd,pd->p",
        states.astype(rows.dtype),
        rows[target],
        preferred_element_type=jnp.float32,
        precision="highest",
    )
    chosen = chosen if bias is None else chosen + bias[target]
    return most + jnp.log(total) - _capped(chosen, cap)


def _gpu_block(count: int, vocabulary: int) -> int:
    """Positions at a time on a GPU, with the logits of all of the vocabulary: few blocks, all of one size."""
    stats = jax.local_devices()[0].memory_stats() or {}
    room = stats.get("bytes_limit", 1 << 34) * _GPU_SHARE
    blocks = -(-4 * count * vocabulary // int(room))
    return -(-count // blocks // _GPU_TILE) * _GPU_TILE


def blocked_nll(
    hidden: Float[Array, "p d"],
    head: Float[Array, "d v"],
    targets: Int[Array, " p"],
    block: int | None = None,
    cap: float | None = None,
    columns: int | None = None,
    bias: Float[Array, " v"] | None = None,
) -> Float[Array, " p"]:
    """-log softmax(cap(hidden @ head + bias))[target] in nats, in float32, over blocks of positions in turn.

    Up to 4 `columns` of vocabulary, the largest array is [block, v]; beyond, the vocabulary goes by in blocks too, and
    the largest is [max(block, 2048), columns], whatever v is. Without `block` and `columns` they are 512 and 4096; on a
    GPU the largest array then has all of the vocabulary and takes up to a 32nd of the memory. Method: levanter,
    `models/loss.py`.
    """
    count, width = hidden.shape
    rows = head.T
    if block is None and columns is None and jax.default_backend() == "gpu" and len(rows) >= _GPU_TILE:
        # Whole tiles first: a product with 50,257 columns is far slower than one with 50,176 and one with 81.
        wide, columns, block = True, len(rows) // _GPU_TILE * _GPU_TILE, min(_gpu_block(count, len(rows)), count)
    else:
        block, columns = block or _BLOCK, columns or _COLUMNS
        wide = len(rows) > 4 * columns
        block = min(max(block, _ROWS) if wide else block, count)
    padding = -count % block

    def one(part: tuple[Array, Array]) -> Array:
        return _wide(*part, rows, bias, cap, columns) if wide else _narrow(*part, rows, bias, cap)

    # Block j holds the positions j, j + blocks, ...: where positions are spread over devices, so is every block.
    states = jnp.pad(hidden, ((0, padding), (0, 0))).reshape(block, -1, width).swapaxes(0, 1)
    target = jnp.pad(targets, (0, padding)).reshape(block, -1).T
    return jax.lax.map(one, (states, target)).T.reshape(-1)[:count]


@partial(jax.jit, static_argnames=("graph", "block"))
def _token_nll(graph: nnx.GraphDef, params: nnx.State, tokens: Array, targets: Array, block: int | None) -> Array:
    model = nnx.merge(graph, params)
    hidden = model.hidden_states(tokens)
    flat = hidden.reshape(-1, hidden.shape[-1])
    cap = getattr(model, "logit_cap", None)
    bias = getattr(model, "head_bias", None)
    return blocked_nll(flat, model.head, targets.reshape(-1), block, cap, bias=bias).reshape(targets.shape)


def scorer(model: LanguageModel, block: int | None = None) -> Callable[[AnyArray, AnyArray], Array]:
    """`token_nll` of one model: a function of (tokens, targets) that does not take the model apart at every call."""
    graph, params = nnx.split(model)
    return lambda tokens, targets: _token_nll(graph, params, tokens, targets, block)


def token_nll(
    model: LanguageModel,
    tokens: Int[Array | np.ndarray, "b t"],
    targets: Int[Array | np.ndarray, "b t"],
    block: int | None = None,
) -> Float[Array, "b t"]:
    """Loss in nats of each target given the tokens up to its position; compiled once per shape and architecture."""
    return scorer(model, block)(tokens, targets)


def document_nll(
    model: LanguageModel, windows: Windows, batch: int = 16, block: int | None = None
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
