"""What an extraction has to do: options, and the windows of each model over the tokens of the text."""

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

__all__ = ["Options", "Task", "bytes_needed", "check", "plan"]

LONGEST = 4096  # tokens of a context, where none is asked for


@dataclass(frozen=True)
class Options:
    """How losses are extracted. `context`: tokens that a window holds; None: what the model was made for, 4096 at most.

    `stride`: tokens from one window to the next; None: half the context. `first`: "bos" to score the first token of a
    document after the tokenizer's beginning of text, "unscored" to leave it out. `dtype`: of the weights. `batch`:
    tokens of a batch, on each device along the data axis; None: chosen for the device, within `memory` bytes of it
    (None: what it has). `chunk`: tokens of a chunk of a new store. `model`: devices that each model is spread over.
    `part`: (i, n) to compute the chunks of the i-th of n stretches of the text, for side by side work.
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
class Task:
    """A model and the windows that it reads. `first`: the token before each document, None where none is."""

    lm: Checkpoint
    context: int
    stride: int
    first: int | None
    windows: np.ndarray

    def settings(self, dtype: str) -> dict[str, Any]:
        """What the losses depend on, for the store."""
        return {
            "family": self.lm.shape.family,
            "params": self.lm.shape.params,
            "weights": self.lm.fingerprint,
            "dtype": dtype,
            "context": self.context,
            "stride": self.stride,
            "first": self.first,
        }


def check(lms: Sequence[Checkpoint], options: Options) -> None:
    """Refuse what can be refused before the text is read.

    Raises: InputError for models with different tokenizers, a context that a model does not have, a tokenizer that has
    no token to begin with, and less memory than a window needs.
    """
    if options.first not in ("bos", "unscored"):
        raise InputError(f"expected the first token to be 'bos' or 'unscored', found {options.first!r}; choose one")
    if options.batch is not None and options.memory is not None:
        raise InputError("expected a batch or a memory to choose it for, found both; leave out --batch or --memory")
    definition = lms[0].tokenizer.to_str()
    for lm in lms[1:]:
        if lm.tokenizer.to_str() != definition:
            raise InputError(
                f"expected models with one tokenizer in a store, found another in {lm.name!r} than in {lms[0].name!r}; "
                "give each tokenizer a store, and bring the stores together with csvjax losses join"
            )
    for lm in lms:
        context = context_of(lm, options)
        if options.memory is not None:
            fit_memory(context, context, options.memory, partial(bytes_needed, lm, options))
        if options.first == "bos" and lm.first is None:
            raise InputError(
                f"expected a token that begins or ends a text in the tokenizer of {lm.name!r}, found none; "
                "choose --first unscored"
            )


def plan(
    lms: Sequence[Checkpoint], documents: Sequence[TextDocument], options: Options
) -> tuple[EncodedText, tuple[Task, ...]]:
    """The text as tokens, and what each model has to do.

    Raises: InputError for what `check` refuses, a tokenizer with more tokens than its model, and text without tokens.
    """
    check(lms, options)
    text = encode_text(documents, lms[0].tokenizer, options.first == "bos")
    if not len(text.units):
        raise InputError("expected text with tokens to score, found none; give files with more text")
    return text, tuple(_task(lm, text, options) for lm in lms)


def bytes_needed(lm: Checkpoint, options: Options, batch: int) -> int:
    """Memory on each device for batches of so many tokens."""
    return device_memory(lm.shape, batch, context_of(lm, options), options.dtype) // options.model


def context_of(lm: Checkpoint, options: Options) -> int:
    """Tokens of a window. Raises: InputError for more than the model has."""
    longest = lm.shape.context
    context = min(longest, LONGEST) if options.context is None else options.context
    if not 1 <= context <= longest:
        raise InputError(
            f"expected a context from 1 to the {longest} tokens that {lm.name!r} was made for, found {context}; "
            "choose a shorter one"
        )
    return context


def _task(lm: Checkpoint, text: EncodedText, options: Options) -> Task:
    context = context_of(lm, options)
    largest = max([int(ids.max(initial=0)) for ids in text.ids] + [lm.first or 0])
    if largest >= lm.shape.vocabulary:  # else JAX would read another token's embedding
        raise InputError(
            f"expected tokens below {lm.shape.vocabulary}, the vocabulary of {lm.name!r}, found {largest}; its "
            "tokenizer is of another model"
        )
    stride = max(1, context // 2) if options.stride is None else options.stride
    windows, _ = list_windows([len(ids) for ids in text.ids], context, stride, options.first == "bos")
    return Task(lm, context, stride, lm.first if options.first == "bos" else None, windows)
