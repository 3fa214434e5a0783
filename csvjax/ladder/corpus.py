"""The corpus of the ladder: training, validation and task text by domain, which share no 50 bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from csvjax.ladder import overlap, sources, synthetic

__all__ = ["END_OF_TEXT", "Corpus", "Document", "build", "token_streams", "train_tokenizer"]

END_OF_TEXT = "<|endoftext|>"
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Document:
    domain: str
    name: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Documents for training, for validation (losses) and for tasks, which share no text."""

    train: tuple[Document, ...]
    validation: tuple[Document, ...]
    tasks: tuple[Document, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d.domain for d in self.train))


def _split_of(name: str) -> str:
    """The set of a document, by a hash of its name: 8 % validation, 12 % tasks, the rest training."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    return "validation" if share < 0.08 else "tasks" if share < 0.20 else "train"


def _excerpt(text: str, size: int) -> str:
    """About `size` characters from one fifth of the text on, in whole lines."""
    start = text.find("\n", len(text) // 5) + 1
    end = text.find("\n", start + size)
    return text[start : end + 1 if end > 0 else None].lstrip("\n")


def build(origin: Sequence[sources.Source], folder: Path, excerpts: int, excerpt_bytes: int, largest: int) -> Corpus:
    """Read the sources, drop repeated paragraphs, split, and remove held-out text from the training text.

    Each domain has `excerpts` validation documents of about `excerpt_bytes` characters, and whole training documents up
    to `largest` characters in total.
    """
    train: list[Document] = []
    validation: list[Document] = []
    tasks: list[Document] = []
    for domain in dict.fromkeys(s.domain for s in origin):
        found = [item for s in origin if s.domain == domain for item in sources.read(s, folder)]
        order = np.random.default_rng(0).permutation(len(found))
        names = [found[i][0] for i in order]
        texts = overlap.drop_repeats(found[i][1] for i in order)
        sides: dict[str, list[Document]] = {"train": [], "validation": [], "tasks": []}
        for name, text in zip(names, texts, strict=True):
            if len(text) >= 400:
                sides[_split_of(name)].append(Document(domain, name, text))
        chosen = [Document(domain, d.name, _excerpt(d.text, excerpt_bytes)) for d in sides["validation"]]
        validation += [d for d in chosen if len(d.text.encode()) >= excerpt_bytes // 2][:excerpts]
        tasks += sides["tasks"]
        used = 0
        for document in sides["train"]:
            if used < largest:
                train.append(document)
                used += len(document.text)
    count = max(
        1, excerpts * excerpt_bytes // 1600
    )  # a generated document has about 800 bytes, but more tokens for each byte
    validation += [Document(SYNTHETIC, f"generated/{i}", synthetic.document(i)) for i in range(count)]
    made = largest // 800
    train += [Document(SYNTHETIC, f"generated/{i}", synthetic.document(i)) for i in range(count, count + made)]
    return Corpus(tuple(_without(train, [*validation, *tasks])), tuple(validation), tuple(tasks))


def _without(train: list[Document], held_out: list[Document]) -> list[Document]:
    # Generated lines differ where it matters (reserved sums), so 50 equal bytes are chance, not leakage. They are
    # removed anyway, so that one rule holds for the whole corpus.
    hashes = np.unique(np.concatenate([overlap.window_hashes(d.text) for d in held_out]))
    cleaned = (Document(d.domain, d.name, overlap.remove_overlap(d.text, hashes)) for d in train)
    return [d for d in cleaned if len(d.text) >= 200]


def train_tokenizer(corpus: Corpus, vocabulary: int, sample: int = 1_500_000) -> Tokenizer:
    """Train byte-level BPE on the same number of bytes of each domain; every digit is a token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    texts: list[str] = []
    for domain in corpus.domains:
        left = sample
        for document in corpus.train:
            if document.domain == domain and left > 0:
                texts.append(document.text[:left])
                left -= len(texts[-1])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_streams(corpus: Corpus, tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Training tokens of each domain, uint16 [token]: documents in a fixed random order, each after an end-of-text."""
    end = tokenizer.token_to_id(END_OF_TEXT)
    streams = {}
    for domain in corpus.domains:
        texts = [d.text for d in corpus.train if d.domain == domain]
        order = np.random.default_rng(1).permutation(len(texts))
        encoded = tokenizer.encode_batch([texts[i] for i in order])
        streams[domain] = np.concatenate([np.asarray([end, *e.ids], np.uint16) for e in encoded])
    return streams
