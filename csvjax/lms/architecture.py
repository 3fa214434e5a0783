"""What a decoder-only language model is made of, as one frozen description that all families share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from csvjax.lms.rope import Rope

__all__ = ["Activation", "Architecture", "Layer"]

Activation = Literal["gelu", "gelu_tanh", "relu", "relu2", "silu"]


@dataclass(frozen=True)
class Layer:
    """`window`: how many tokens a token sees, itself included; None for all on its left. `rope`: None where queries
    and keys are not turned. `scale`: what attention scores are multiplied by."""

    window: int | None
    rope: Rope | None
    scale: float


@dataclass(frozen=True)
class Architecture:
    """Shapes and switches of a decoder; `csvjax.lms.transformer` is the model.

    `norms`: where a branch has norms: "before" it, "after" it, or on the "residual" sum. `norm_offset`: scale is stored
    as the difference from it. `head_norm`: norms of queries and keys, of each head with one scale for all or one for
    each, or of all heads together. `parallel`: attention and MLP read the same state, with `shared_norm` after the same
    norm. `qkv_clip`: queries, keys and values are cut off there. `slopes`: for each head, what a score loses with each
    token of distance (ALiBi, arXiv 2108.12409). `residual_scale` multiplies what a branch adds, `logit_scale` the
    logits. `embedding_width`: where it is not the width, two matrices lead in and out. `learned_positions`: rows of the
    position table, of which the first `position_offset` are not used. `context`: the longest text that the model was
    made for. Caps are c tanh(x / c).
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
        """Tokens of the longest text for which there are positions; None where rotation goes on for ever."""
        rotary = [layer.rope.longest for layer in self.layers if layer.rope and layer.rope.longest is not None]
        learned = [self.learned_positions - self.position_offset] if self.learned_positions else []
        return min(rotary + learned, default=None)

    @property
    def params(self) -> int:
        """Parameters outside the embedding and head: matrices of attention and MLP, the N of the scaling laws."""
        attention = self.width * self.head_width * 2 * (self.heads + self.kv_heads)
        return len(self.layers) * (attention + (3 if self.gated else 2) * self.width * self.hidden)

    @property
    def head_params(self) -> int:
        """Parameters of the output head."""
        return self.vocabulary * (self.embedding_width or self.width)
