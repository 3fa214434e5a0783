"""The decoder-only transformer for all architectures that csvjax reads, in Flax NNX."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from csvjax.errors import InputError
from csvjax.lms.architecture import Architecture, Layer
from csvjax.lms.attention import attend
from csvjax.lms.experts import Mixture
from csvjax.lms.layers import Linear, Norm, activate, empty, side_by_side
from csvjax.lms.rope import Rope, rotate, turns
from csvjax.lms.sinusoids import sinusoids

__all__ = ["Block", "Transformer"]


def _head_norm(architecture: Architecture, heads: int) -> Norm | None:
    match architecture.head_norm:
        case "head":
            return Norm(architecture, architecture.head_width)
        case "each":
            return Norm(architecture, heads, architecture.head_width)
        case "all":
            return Norm(architecture, heads * architecture.head_width)
    return None


class Block(nnx.Module):
    """Attention and MLP, each x + branch(x), with the norms of the architecture."""

    def __init__(self, architecture: Architecture, layer: Layer):
        self.architecture, self.layer = architecture, layer
        width, rows, kv_rows = (
            architecture.width,
            architecture.heads * architecture.head_width,
            architecture.kv_heads * architecture.head_width,
        )
        self.query = Linear(width, rows, architecture.qkv_bias)
        self.key = Linear(width, kv_rows, architecture.qkv_bias)
        self.value = Linear(width, kv_rows, architecture.qkv_bias)
        self.out = Linear(rows, width, architecture.out_bias)
        if layer.experts is not None:
            self.experts = Mixture(width, layer.experts, architecture.activation)
        else:
            self.gate = Linear(width, architecture.hidden, architecture.mlp_bias) if architecture.gated else None
            self.up = Linear(width, architecture.hidden, architecture.mlp_bias)
            self.down = Linear(architecture.hidden, width, architecture.mlp_bias)
        self.query_norm = _head_norm(architecture, architecture.heads)
        self.key_norm = _head_norm(architecture, architecture.kv_heads)
        for branch in ("attention", "mlp"):
            for place in architecture.norms:
                if not (architecture.shared_norm and (branch, place) == ("mlp", "before")):
                    setattr(self, f"{branch}_{place}", Norm(architecture, width))

    def _norm(self, branch: str, place: str, x: Array) -> Array:
        return getattr(self, f"{branch}_{place}")(x) if place in self.architecture.norms else x

    def _heads(self, x: Array, norm: Norm | None) -> Array:
        """[b, t, n * h] as [b, t, n, h], with the norm before or after the split."""
        if norm is not None and self.architecture.head_norm == "all":
            x = norm(x)
        x = x.reshape(*x.shape[:2], -1, self.architecture.head_width)
        return norm(x) if norm is not None and self.architecture.head_norm != "all" else x

    def attention(self, x: Float[Array, "b t d"], turned: tuple[Array, Array] | None, valid: Array | None) -> Array:
        query, key, value = side_by_side(x, (self.query, self.key, self.value))
        query, key = self._heads(query, self.query_norm), self._heads(key, self.key_norm)
        value = self._heads(value, None)
        if (limit := self.architecture.qkv_clip) is not None:
            query, key, value = (jnp.clip(part, -limit, limit) for part in (query, key, value))
        layer, cap = self.layer, self.architecture.attention_cap
        if turned is not None and layer.rope is not None:
            query, key = (rotate(part, *turned, layer.rope.neighbours) for part in (query, key))
        mixed = attend(query, key, value, layer.scale, layer.window, cap, valid, self.dtype, self.architecture.slopes)
        return self.out(mixed.reshape(*x.shape[:2], -1))

    def mlp(self, x: Float[Array, "b t d"]) -> Float[Array, "b t d"]:
        if self.layer.experts is not None:
            return self.experts(x)
        if self.gate is not None:
            return self.down(activate(self.architecture.activation, self.gate(x, inner=True)) * self.up(x, inner=True))
        return self.down(activate(self.architecture.activation, self.up(x, inner=True)))

    @property
    def dtype(self) -> jnp.dtype:
        return self.query.kernel[...].dtype

    def __call__(self, x: Float[Array, "b t d"], turned: tuple[Array, Array] | None, valid: Array | None) -> Array:
        normed = self._norm("attention", "before", x)
        mixed = self._norm("attention", "after", self.attention(normed, turned, valid))
        if self.architecture.parallel:
            read = normed if self.architecture.shared_norm else self._norm("mlp", "before", x)
            return x + mixed + self._norm("mlp", "after", self.mlp(read))
        x = self._norm("attention", "residual", self._add(x, mixed))
        added = self._norm("mlp", "after", self.mlp(self._norm("mlp", "before", x)))
        return self._norm("mlp", "residual", self._add(x, added))

    def _add(self, x: Array, branch: Array) -> Array:
        return x + (branch if self.architecture.residual_scale == 1 else branch * self.architecture.residual_scale)


class Transformer(nnx.Module):
    """A `LanguageModel`: logits[b, t, v] = cap(hidden_states(tokens)[b, t, d] @ head[d, v] + head_bias[v])."""

    def __init__(self, architecture: Architecture):
        self.architecture = architecture
        inner = architecture.embedding_width or architecture.width
        self.embedding = empty(architecture.vocabulary, inner)
        self.embedding_norm = Norm(architecture, inner) if architecture.embedding_norm else None
        self.positions = (
            empty(architecture.learned_positions, architecture.width) if architecture.learned_positions else None
        )
        self.project_in = Linear(inner, architecture.width, False) if inner != architecture.width else None
        self.project_out = Linear(architecture.width, inner, False) if inner != architecture.width else None
        self.blocks = nnx.List([Block(architecture, layer) for layer in architecture.layers])
        self.norm = Norm(architecture, architecture.width) if architecture.final_norm else None
        self.output = None if architecture.tied else empty(architecture.vocabulary, inner)
        self.output_bias = empty(architecture.vocabulary) if architecture.head_bias else None

    def hidden_states(
        self, tokens: Int[Array, "b t"], valid: Bool[Array, "b t"] | None = None
    ) -> Float[Array, "b t e"]:
        """The last hidden state, for the head.

        Args:
            tokens: the tokens.
            valid: False at padding, to which no token attends and which has no position. It is needed only for padding
                on the left; attention looks left, so no token sees padding on the right.

        Raises: InputError for more tokens than the model has positions for; JAX would repeat the last position.
        """
        longest = self.architecture.longest
        if longest is not None and tokens.shape[1] > longest:
            raise InputError(
                f"expected at most {longest} tokens, for which the {self.architecture.family} model has positions, "
                f"found {tokens.shape[1]}; score the text in shorter windows"
            )
        positions = jnp.arange(tokens.shape[1]) if valid is None else jnp.maximum(jnp.cumsum(valid, axis=1) - 1, 0)
        x = self.embedding[...][tokens].astype(jnp.float32) * self.architecture.embedding_scale
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        if self.project_in is not None:
            x = self.project_in(x)
        if self.positions is not None:
            x = x + self.positions[...][positions + self.architecture.position_offset]
        if self.architecture.sinusoids:
            x = x + sinusoids(positions + self.architecture.position_offset, self.architecture.width)
        turned = _all_turns([block.layer.rope for block in self.blocks], positions)
        for block in self.blocks:
            x = block(x, None if block.layer.rope is None else turned[block.layer.rope], valid)
        if self.norm is not None:
            x = self.norm(x)
        x = x if self.project_out is None else self.project_out(x)
        return x if self.architecture.logit_scale == 1 else x * self.architecture.logit_scale

    @property
    def head(self) -> Float[Array, "e v"]:
        return (self.embedding if self.output is None else self.output)[...].T

    @property
    def head_bias(self) -> Float[Array, " v"] | None:
        return None if self.output_bias is None else self.output_bias[...]

    @property
    def logit_cap(self) -> float | None:
        return self.architecture.logit_cap


def _all_turns(ropes: Sequence[Rope | None], positions: Array) -> dict[Rope, tuple[Array, Array]]:
    return {rope: turns(rope, positions) for rope in dict.fromkeys(ropes) if rope is not None}
