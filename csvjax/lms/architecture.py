"""The description of a decoder-only language model that all families share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from csvjax.lms.rope import Rope

__all__ = ["Activation", "Architecture", "Layer"]

Activation = Literal["gelu", "gelu_tanh", "relu", "relu2", "silu"]


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        window: number of tokens that a token attends to, itself included; None for all tokens to its left.
        rope: rotation of queries and keys; None for none.
        scale: factor of attention scores.
    """

    window: int | None
    rope: Rope | None
    scale: float


@dataclass(frozen=True)
class Architecture:
    """Sizes and switches of a decoder; `csvjax.lms.transformer` is the model.

    Attributes:
        context: number of tokens for which the model was made.
        norm_offset: scales are stored as differences from this number.
        norms: where a branch has norms: "before" it, "after" it, or on the "residual" sum.
        head_norm: norms of queries and keys: of each "head" with one scale for all heads, of "each" head with a scale
            of its own, or of "all" heads together.
        parallel: attention and MLP read the same state; with `shared_norm` after the same norm.
        qkv_clip: limit of the absolute values of queries, keys and values.
        slopes: by how much a score falls with each token of distance, for each head (ALiBi, arXiv 2108.12409).
        learned_positions: rows of the position table, of which the first `position_offset` are not used.
        sinusoids: whether the position table is computed, see `csvjax.lms.sinusoids`.
        embedding_width: width of the embedding; if it differs from `width`, there are two projections.
        residual_scale: factor of what a branch adds.
        logit_scale: factor of the logits.
        attention_cap, logit_cap: c of a soft cap c tanh(x / c) on scores or logits.
    """

    family: str
    vocabulary: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    head_width: int
    context: int
    layers: tuple[Layer, ...]
    norm: Literal["layer", "rms"]
    norm_eps: float
    activation: Activation
    norm_offset: float = 0.0
    norm_affine: bool = True
    norm_bias: bool = True
    norms: tuple[Literal["before", "after", "residual"], ...] = ("before",)
    final_norm: bool = True
    head_norm: Literal["head", "each", "all"] | None = None
    embedding_norm: bool = False
    parallel: bool = False
    shared_norm: bool = False
    gated: bool = True
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    qkv_clip: float | None = None
    slopes: tuple[float, ...] | None = None
    learned_positions: int = 0
    sinusoids: bool = False
    position_offset: int = 0
    embedding_width: int | None = None
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    tied: bool = False
    attention_cap: float | None = None
    logit_cap: float | None = None

    @property
    def longest(self) -> int | None:
        """Number of tokens for which there are positions; None if there is no limit."""
        rotary = [layer.rope.longest for layer in self.layers if layer.rope and layer.rope.longest is not None]
        learned = [self.learned_positions - self.position_offset] if self.learned_positions else []
        return min(rotary + learned, default=None)

    @property
    def params(self) -> int:
        """Parameters of attention and MLP matrices, without embedding and head: the N of scaling laws."""
        attention = self.width * self.head_width * 2 * (self.heads + self.kv_heads)
        return len(self.layers) * (attention + (3 if self.gated else 2) * self.width * self.hidden)

    @property
    def head_params(self) -> int:
        """Parameters of the output head."""
        return self.vocabulary * (self.embedding_width or self.width)
