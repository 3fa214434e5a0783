"""Plans an extraction: its options, and the windows of each model over the tokens of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from csvjax.errors import InputError
from csvjax.lms.checkpoint import Checkpoint
from csvjax.losses import store as stores
from csvjax.losses.batch_size import device_memory, fit_memory
from csvjax.losses.units import EncodedText, TextDocument, encode_text
from csvjax.losses.windows import list_windows

__all__ = ["Job", "LossOptions", "bytes_needed", "check", "plan"]

LONGEST = 4096  # limit of the context in tokens, unless one is given


@dataclass(frozen=True)
class LossOptions:
    """How losses are computed.

    Attributes:
        context: tokens in a window; None for the context of the model, at most 4096.
        stride: tokens from one window to the next; None for half of the context.
        first: "bos" scores the first token of a document after the beginning of text, "unscored" leaves it out.
        dtype: type of the weights.
        batch: tokens in a batch on each device along the data axis; None to choose it for the device.
        chunk: tokens in a chunk of a new store.
        model: number of devices that share a model.
        part: (i, n) to compute only part i of n parts of the text, with i from 0.
        memory: bytes on each device to use; None for all that it has.
    """

    context: int | None = None
    stride: int | None = None
    first: str = "bos"
    dtype: str = "float32"
    batch: int | None = None
    chunk: int = stores.CHUNK
    model: int = 1
    part: tuple[int, int] = (0, 1)
    memory: int | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """A model with the windows that it reads. `first` is the token before each document, or None."""

    lm: Checkpoint
    context: int
    stride: int
    first: int | None
    windows: np.ndarray

    def settings(self, dtype: str) -> dict[str, Any]:
        """The settings on which losses depend, for the store; and of which training run the model is a checkpoint."""
        revision = self.lm.revision
        run = {} if revision is None else {"run": revision.run, "step": revision.step}
        return run | {
            "family": self.lm.architecture.family,
            "params": self.lm.architecture.params,
            "weights": self.lm.fingerprint,
            "dtype": dtype,
            "context": self.context,
            "stride": self.stride,
            "first": self.first,
        }


def check(lms: Sequence[Checkpoint], options: LossOptions) -> None:
    """Check options and models before the text is read.

    Raises: InputError for models with one name or with different tokenizers, a context that a model does not have, a
    tokenizer without a token for the beginning of a text, and less memory than a window needs.
    """
    if options.first not in ("bos", "unscored"):
        raise InputError(f"expected --first to be 'bos' or 'unscored', found {options.first!r}; choose one")
    if options.batch is not None and options.memory is not None:
        raise InputError("--batch cannot be used with --memory, for which a batch is chosen; leave out one of them")
    names = [lm.name for lm in lms]
    if len(set(names)) < len(names):
        raise InputError(f"expected different names for the models, found {names}; name them with --lm NAME=PATH")
    definition = lms[0].tokenizer.to_str()
    for lm in lms[1:]:
        if lm.tokenizer.to_str() != definition:
            raise InputError(
                f"expected models with the same tokenizer in a store, found different ones in {lms[0].name!r} and "
                f"{lm.name!r}; use a store for each tokenizer, and join them with csvjax losses join"
            )
    for lm in lms:
        context = context_of(lm, options)
        if options.memory is not None:
            fit_memory(context, context, options.memory, partial(bytes_needed, lm, options))
        if options.first == "bos" and lm.first is None:
            raise InputError(
                f"expected a token that begins or ends a text in the tokenizer of {lm.name!r}, found none; "
                "use --first unscored"
            )


def plan(
    lms: Sequence[Checkpoint], documents: Sequence[TextDocument], options: LossOptions
) -> tuple[EncodedText, tuple[Job, ...]]:
    """The text as tokens, and the windows of each model.

    Raises: InputError for what `check` refuses, for a tokenizer with more tokens than its model, and for text without
    tokens.
    """
    check(lms, options)
    text = encode_text(documents, lms[0].tokenizer, options.first == "bos")
    if not len(text.units):
        raise InputError("expected text with tokens to score, found none; give files with more text")
    return text, tuple(_job(lm, text, options) for lm in lms)


def bytes_needed(lm: Checkpoint, options: LossOptions, batch: int) -> int:
    """Bytes on each device for batches of `batch` tokens."""
    return device_memory(lm.architecture, batch, context_of(lm, options), options.dtype) // options.model


def context_of(lm: Checkpoint, options: LossOptions) -> int:
    """The number of tokens in a window.

    Raises: InputError for more tokens than the model was made for.
    """
    longest = lm.architecture.context
    context = min(longest, LONGEST) if options.context is None else options.context
    if not 1 <= context <= longest:
        raise InputError(
            f"expected --context from 1 to {longest} tokens, the context of {lm.name!r}, found {context}; choose a "
            "shorter one"
        )
    return context


def _job(lm: Checkpoint, text: EncodedText, options: LossOptions) -> Job:
    context = context_of(lm, options)
    largest = max([int(ids.max(initial=0)) for ids in text.ids] + [lm.first or 0])
    if largest >= lm.architecture.vocabulary:  # otherwise JAX would read the embedding of another token
        raise InputError(
            f"expected tokens below {lm.architecture.vocabulary}, the vocabulary of {lm.name!r}, found {largest}; its "
            "tokenizer belongs to another model"
        )
    stride = max(1, context // 2) if options.stride is None else options.stride
    windows, _ = list_windows([len(ids) for ids in text.ids], context, stride, options.first == "bos")
    return Job(lm, context, stride, lm.first if options.first == "bos" else None, windows)
