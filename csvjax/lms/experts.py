"""A mixture of experts: each token goes through a few of many MLPs (arXiv 1701.06538)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from csvjax.lms.architecture import Activation, Experts
from csvjax.lms.layers import Linear, activate, empty, product

__all__ = ["Mixture"]

# Tokens that one expert reads in one step. Of 32 to 512 tokens, 64 and 128 were fastest on two cores (2,048 tokens,
# width 1,024, 8 of 64 experts of 512): 3.4 seconds. All experts for all tokens took 10.5. jax.lax.ragged_dot did not
# finish a quarter of the tokens in a minute, compilation included. On a GPU none of this has been measured.
_BLOCK = 128


class Stack(nnx.Module):
    """The matrices of all experts, [expert, input, output]."""

    def __init__(self, count: int, inputs: int, outputs: int):
        self.kernel = empty(count, inputs, outputs)


class Mixture(nnx.Module):
    """sum_i w[i] down[i](act(gate[i](x)) * up[i](x)) over the k experts with the largest router weights w.

    w = softmax(router(x)) over all experts; if `normalised`, w is divided by its sum over the k experts. A shared
    expert, which every token goes through, is added with the factor sigmoid(sharing(x)).
    """

    def __init__(self, width: int, experts: Experts, activation: Activation):
        self.experts, self.activation = experts, activation
        self.router = Linear(width, experts.count, False)
        self.gate = Stack(experts.count, width, experts.hidden)
        self.up = Stack(experts.count, width, experts.hidden)
        self.down = Stack(experts.count, experts.hidden, width)
        if experts.shared:
            self.sharing = Linear(width, 1, False)
            self.shared_gate = Linear(width, experts.shared, False)
            self.shared_up = Linear(width, experts.shared, False)
            self.shared_down = Linear(experts.shared, width, False)

    def __call__(self, x: Float[Array, "b t d"]) -> Float[Array, "b t d"]:
        rows = x.reshape(-1, x.shape[-1])
        weight, expert = jax.lax.top_k(jax.nn.softmax(self.router(rows), axis=-1), self.experts.active)
        if self.experts.normalised:
            weight = weight / jnp.sum(weight, axis=-1, keepdims=True)
        mixed = self._mixed(rows, weight, expert).reshape(x.shape)
        if not self.experts.shared:
            return mixed
        inside = activate(self.activation, self.shared_gate(x, inner=True)) * self.shared_up(x, inner=True)
        return mixed + jax.nn.sigmoid(self.sharing(x)) * self.shared_down(inside)

    def _mixed(
        self, rows: Float[Array, "n d"], weight: Float[Array, "n k"], expert: Int[Array, "n k"]
    ) -> Float[Array, "n d"]:
        """One block of tokens after the other, so that one expert and one block are in memory."""
        kernels = [part.kernel[...] for part in (self.gate, self.up, self.down)]

        def step(total: Array, block: tuple[Array, Array, Array]) -> tuple[Array, None]:
            i, token, factor = block
            gate, up, down = (kernel[i] for kernel in kernels)
            read = rows[token]
            inside = activate(self.activation, product(read, gate, inner=True).astype(jnp.float32))
            added = product(inside * product(read, up, inner=True).astype(jnp.float32), down) * factor[:, None]
            return total.at[token].add(added), None

        return jax.lax.scan(step, jnp.zeros_like(rows), _blocks(weight, expert, self.experts.count))[0]


def _blocks(
    weight: Float[Array, "n k"], expert: Int[Array, "n k"], count: int
) -> tuple[Int[Array, " block"], Int[Array, "block s"], Float[Array, "block s"]]:
    """Blocks of tokens with the same expert: the expert, the tokens and their weights, 0 where a block is not full.

    The number of blocks is the largest that is possible, because shapes do not depend on values.
    """
    n, k = expert.shape
    size = min(_BLOCK, n)
    chosen = expert.reshape(-1)
    order = jnp.argsort(chosen)  # tokens of expert 0 first
    tokens = jnp.bincount(chosen, length=count)
    begin, blocks = jnp.cumsum(tokens) - tokens, -(-tokens // size)
    end = jnp.cumsum(blocks)
    block = jnp.arange(min(n * k, -(-n * k // size) + count))
    owner = jnp.minimum(jnp.searchsorted(end, block, side="right"), count - 1)
    place = ((block - (end - blocks)[owner]) * size)[:, None] + jnp.arange(size)  # among the tokens of the expert
    held = (place < tokens[owner][:, None]) & (block < end[-1])[:, None]
    pair = order[jnp.where(held, begin[owner][:, None] + place, 0)]
    return owner, pair // k, jnp.where(held, weight.reshape(-1)[pair], 0.0)
