"""The description of a decoder-only language model that all families share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from csvjax.lms.rope import Rope

__all__ = ["Activation", "Architecture", "Experts", "Layer"]

Activation = Literal["gelu", "gelu_tanh", "relu", "relu2", "silu"]


@dataclass(frozen=True)
class Experts:
    """The experts of a layer, in place of its MLP.

    Attributes:
        count: number of experts.
        active: number of experts that a token goes through.
        hidden: width of the hidden layer of each expert.
        normalised: whether the weights of the active experts sum to 1.
        shared: width of the hidden layer of a further expert, which every token goes through; 0 for none.
    """

    count: int
    active: int
    hidden: int
    normalised: bool = True
    shared: int = 0


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        window: number of tokens that a token attends to, itself included; None for all tokens to its left.
        rope: rotation of queries and keys; None for none.
        scale: factor of attention scores.
        experts: None for an MLP.
    """

    window: int | None
    rope: Rope | None
    scale: float
    experts: Experts | None = None


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
        qkv_clip: limit of the absolute values of queries, keys and values, after their norms.
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
        """Parameters of attention, MLP and expert matrices, without embedding and head: the N of scaling laws."""
        return self._matrices(active=False)

    @property
    def active_params(self) -> int:
        """Those of `params` that one token goes through: all, unless there are experts."""
        return self._matrices(active=True)

    def _matrices(self, active: bool) -> int:
        mixtures = [layer.experts for layer in self.layers if layer.experts is not None]
        mlps = (len(self.layers) - len(mixtures)) * (3 if self.gated else 2) * self.hidden
        for experts in mixtures:
            read = experts.active if active else experts.count
            mlps += 3 * (read * experts.hidden + experts.shared) + experts.count
        return self.width * (len(self.layers) * self.head_width * 2 * (self.heads + self.kv_heads) + mlps)

    @property
    def head_params(self) -> int:
        """Parameters of the output head."""
        return self.vocabulary * (self.embedding_width or self.width)
