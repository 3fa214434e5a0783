"""Computes the negative log-likelihood of tokens without an array over all positions and the whole vocabulary."""

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
_COLUMNS = 4096  # entries of the vocabulary at a time, if it is several times larger
_ROWS = 2048  # tokens at a time in that case; with the columns, 32 MB of logits
_GPU_SHARE = (
    1 / 32
)  # share of the GPU memory for logits; products of a few hundred rows would leave most of the GPU idle
_GPU_TILE = 128  # rows and columns of the tiles of a product on a GPU


@runtime_checkable
class LanguageModel(Protocol):
    """A Flax NNX module with logits[b, t, v] = hidden_states(tokens)[b, t, d] @ head[d, v] for the token after t.

    A `head_bias` is added to the logits, and with a `logit_cap` c each logit x becomes c tanh(x / c).
    """

    def hidden_states(self, tokens: Int[Array, "b t"]) -> Float[Array, "b t d"]: ...

    @property
    def head(self) -> Float[Array, "d v"]: ...


def _capped(logits: Array, cap: float | None) -> Array:
    return logits if cap is None else cap * jnp.tanh(logits / cap)


def _products(states: Array, rows: Array, bias: Array | None, cap: float | None) -> Array:
    """Logits of these rows of the vocabulary, summed in float32."""
    product = partial(jnp.matmul, preferred_element_type=jnp.float32, precision="highest")
    logits = product(states.astype(rows.dtype), rows.T)
    return _capped(logits if bias is None else logits + bias, cap)


def _whole(states: Array, target: Array, rows: Array, bias: Array | None, cap: float | None) -> Array:
    logits = _products(states, rows, bias, cap)
    chosen = jnp.take_along_axis(logits, target[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def _by_columns(
    states: Array, target: Array, rows: Array, bias: Array | None, cap: float | None, columns: int
) -> Array:
    """The log of the sum is accumulated over blocks of the vocabulary (online softmax, arXiv 1805.02867)."""
    blocks = len(rows) // columns

    def add(carry: tuple[Array, Array], logits: Array) -> tuple[Array, Array]:
        largest, total = carry
        higher = jnp.maximum(largest, logits.max(axis=-1))
        return higher, total * jnp.exp(largest - higher) + jnp.exp(logits - higher[:, None]).sum(axis=-1)

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
    largest, total = carry
    chosen = jnp.einsum(
        "pd,pd->p",
        states.astype(rows.dtype),
        rows[target],
        preferred_element_type=jnp.float32,
        precision="highest",
    )
    chosen = chosen if bias is None else chosen + bias[target]
    return largest + jnp.log(total) - _capped(chosen, cap)


def _gpu_block(count: int, vocabulary: int) -> int:
    """The number of positions at a time on a GPU, with logits of the whole vocabulary: few blocks of equal size."""
    stats = jax.local_devices()[0].memory_stats() or {}
    limit = stats.get("bytes_limit", 1 << 34) * _GPU_SHARE
    blocks = -(-4 * count * vocabulary // int(limit))
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
    """-log softmax(cap(hidden @ head + bias))[target] in nats, in float32, over blocks of positions.

    For a vocabulary of up to 4 `columns` entries the largest array is [block, v]. A larger vocabulary is processed in
    blocks too, and the largest array is [max(block, 2048), columns] for every v. The defaults are 512 and 4096. On a
    GPU without given `block` and `columns`, the largest array has the whole vocabulary and takes up to 1/32 of the
    memory.

    Args:
        hidden: hidden states.
        head: the head.
        targets: ids of the tokens whose loss is computed.
        block: positions at a time.
        cap: soft cap of the logits.
        columns: entries of the vocabulary at a time.
        bias: bias of the head.

    Source: levanter, `models/loss.py`.
    """
    count, width = hidden.shape
    rows = head.T
    if block is None and columns is None and jax.default_backend() == "gpu" and len(rows) >= _GPU_TILE:
        # Full tiles first: a product with 50,257 columns is far slower than two with 50,176 and 81 columns.
        by_columns, columns, block = True, len(rows) // _GPU_TILE * _GPU_TILE, min(_gpu_block(count, len(rows)), count)
    else:
        block, columns = block or _BLOCK, columns or _COLUMNS
        by_columns = len(rows) > 4 * columns
        block = min(max(block, _ROWS) if by_columns else block, count)
    padding = -count % block

    def one(part: tuple[Array, Array]) -> Array:
        return _by_columns(*part, rows, bias, cap, columns) if by_columns else _whole(*part, rows, bias, cap)

    # Block j has the positions j, j + blocks, ..., so that a block is split over devices if positions are.
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
    """`token_nll` of one model as a function of (tokens, targets), which splits the model only once."""
    graph, params = nnx.split(model)
    return lambda tokens, targets: _token_nll(graph, params, tokens, targets, block)


def token_nll(
    model: LanguageModel,
    tokens: Int[Array | np.ndarray, "b t"],
    targets: Int[Array | np.ndarray, "b t"],
    block: int | None = None,
) -> Float[Array, "b t"]:
    """Loss in nats of each target given the tokens up to its position, compiled once per shape and architecture."""
    return scorer(model, block)(tokens, targets)


def document_nll(
    model: LanguageModel, windows: Windows, batch: int = 16, block: int | None = None
) -> Float[np.ndarray, " unit"]:
    """Loss in nats of every scored token of the windows, in the order of the documents; `batch` windows at a time."""
    losses = np.full(windows.count, np.nan, np.float32)
    for start in range(0, len(windows.tokens), batch):
        part = slice(start, start + batch)
        # The last batch is padded with unused windows, so that there is one shape to compile.
        tokens, targets = (
            np.pad(x[part], ((0, batch - len(x[part])), (0, 0))) for x in (windows.tokens, windows.targets)
        )
        found = np.asarray(token_nll(model, tokens, targets, block))[: len(windows.unit[part])]
        losses[windows.unit[part][windows.scored[part]]] = found[windows.scored[part]]
    return losses
