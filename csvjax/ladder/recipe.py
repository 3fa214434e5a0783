"""The configuration of a ladder: its text, mixtures, sizes and training schedule."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from csvjax.ladder.sources import DEBIAN, STDLIB, Source
from csvjax.lms.decoder import DecoderConfig

__all__ = ["FULL", "QUICK", "Recipe", "Run"]


@dataclass(frozen=True)
class Run:
    """One training run: a mixture and a size. Its checkpoints are language models named `mixture-size-step`."""

    mixture: str
    size: str

    @property
    def name(self) -> str:
        return f"{self.mixture}-{self.size}"


@dataclass(frozen=True)
class Recipe:
    """A ladder of language models.

    Attributes:
        sources: where the text comes from.
        mixtures: share of sequences of each domain, by mixture.
        sizes: width, layers and heads, by size.
        checkpoints: steps at which models are saved.
        batch: sequences in a batch.
        context: tokens in a sequence.
        vocabulary: number of tokens.
        learning_rate: peak learning rate of the smallest width.
        warmup: steps of warm-up.
        items: items of each task.
        train_bytes: training text of each domain, in bytes.
        excerpts: validation documents of each domain.
        excerpt_bytes: size of a validation document, in bytes.
        seed: seed of all random numbers.
        save_every: steps between saved states for resuming.
    """

    sources: tuple[Source, ...]
    mixtures: dict[str, dict[str, float]]
    sizes: dict[str, tuple[int, int, int]]
    checkpoints: tuple[int, ...]
    batch: int = 16
    context: int = 128
    vocabulary: int = 2048
    learning_rate: float = 1e-2
    warmup: int = 40
    items: int = 300
    train_bytes: int = 5_000_000
    excerpts: int = 12
    excerpt_bytes: int = 1100
    seed: int = 0
    save_every: int = 128

    @property
    def steps(self) -> int:
        return self.checkpoints[-1]

    @property
    def tokens_per_step(self) -> int:
        return self.batch * self.context

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, the smallest models first, so that results for the whole ladder come early."""
        return tuple(Run(m, s) for s in self.sizes for m in self.mixtures)

    def decoder(self, run: Run) -> DecoderConfig:
        width, layers, heads = self.sizes[run.size]
        return DecoderConfig(self.vocabulary, width, layers, heads, self.context)

    def flops(self, run: Run, step: int) -> float:
        """Training compute in FLOP: 6 (N + V d) D, or 6 operations for each token and weight, with the tied head."""
        config = self.decoder(run)
        return 6.0 * (config.params + config.vocabulary * config.width) * step * self.tokens_per_step

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _blend(domains: tuple[str, ...], *major: str, share: float = 0.84) -> dict[str, float]:
    """A mixture in which the major domains have `share` of the text in equal parts, and the others have the rest."""
    minor = [d for d in domains if d not in major]
    return {d: share / len(major) if d in major else (1 - share) / len(minor) for d in domains}


_FIVE = ("english", "code", "docs", "german", "synthetic")
_THREE = ("code", "docs", "synthetic")

# Each domain is major in two of the six mixtures, so that every ability is seen if one mixture is left out.
FULL = Recipe(
    sources=DEBIAN,
    mixtures={
        "english-code": _blend(_FIVE, "english", "code"),
        "code-docs": _blend(_FIVE, "code", "docs"),
        "docs-german": _blend(_FIVE, "docs", "german"),
        "german-synthetic": _blend(_FIVE, "german", "synthetic"),
        "synthetic-english": _blend(_FIVE, "synthetic", "english"),
        "balanced": dict.fromkeys(_FIVE, 0.2),
    },
    sizes={"30k": (36, 2, 2), "100k": (64, 2, 2), "330k": (96, 3, 3), "1M": (168, 3, 3)},
    checkpoints=(64, 128, 256, 384, 576, 768),
)

QUICK = Recipe(
    sources=STDLIB,
    mixtures={
        "code-docs": _blend(_THREE, "code", "docs"),
        "docs-synthetic": _blend(_THREE, "docs", "synthetic"),
        "synthetic-code": _blend(_THREE, "synthetic", "code"),
    },
    sizes={"5k": (16, 2, 2), "14k": (24, 2, 2)},
    checkpoints=(16, 32, 64),
    vocabulary=512,
    context=64,
    items=40,
    train_bytes=300_000,
    excerpts=6,
    excerpt_bytes=600,
    save_every=32,
)
