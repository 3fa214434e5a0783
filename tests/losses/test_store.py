"""Units cover every byte once, and a killed extraction goes on where it was or refuses what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from csvjax.errors import InputError
from csvjax.lms.decoder import Decoder, DecoderConfig
from csvjax.losses.nll import document_nll
from csvjax.losses.read import read_losses
from csvjax.losses.store import extract, finished, open_store, write_row
from csvjax.losses.units import encode_text
from csvjax.losses.windows import plan_windows


@dataclass(frozen=True)
class Text:
    domain: str
    name: str
    text: str


def byte_level(vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["the theme of them: schön, schöner, 日本"], trainer)
    return tokenizer


TOKENIZER = byte_level(270)
DOCUMENTS = (Text("a", "one", "the theme\n of schöner Kür"), Text("b", "two", "日本 them\t\x00 the 🙂 end " * 3))
CONFIG = DecoderConfig(vocabulary=270, width=8, layers=1, heads=2, context=16)


def decoder(seed: int) -> Callable[[], Decoder]:
    return lambda: Decoder(CONFIG, nnx.Rngs(seed))


def unused() -> Decoder:
    raise AssertionError("a finished row was computed again")


@given(st.text(max_size=60), st.sampled_from([257, 270]))
def test_units_are_the_bytes_of_the_document(text: str, vocabulary: int) -> None:
    """Also where a token holds part of a character."""
    encoded = encode_text([Text("a", "x", text)], byte_level(vocabulary))
    raw, units = text.encode(), encoded.units
    assert list(units["start"]) == list(np.cumsum([0, *units["bytes"]])[: len(units)])
    assert units["bytes"].sum() == len(raw)
    for token, start, size in zip(units["token"], units["start"], units["bytes"], strict=True):
        assert token == raw[start : start + size].decode(errors="replace")


def test_without_a_beginning_the_first_token_is_no_unit() -> None:
    whole, rest = (encode_text(DOCUMENTS, TOKENIZER, first) for first in (True, False))
    assert len(whole.units) == len(rest.units) + len(DOCUMENTS)
    assert rest.units["start"].min() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: setattr(t, "normalizer", normalizers.Lowercase()), "byte by byte"),
        (lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.Whitespace()), "byte"),
    ],
)
def test_a_tokenizer_that_loses_bytes_is_refused(change: Callable[[Tokenizer], None], message: str) -> None:
    tokenizer = byte_level(270)
    change(tokenizer)
    with pytest.raises(InputError, match=message):
        encode_text([Text("a", "x", "A tab")], tokenizer)


def test_losses_in_the_store_are_those_of_the_models(tmp_path: Path) -> None:
    path = tmp_path / "losses.zarr"
    extract({"m0": decoder(0), "m1": decoder(1)}, DOCUMENTS, TOKENIZER, path, context=16, bos=1)
    table = read_losses(path)
    assert table.lms == ("m0", "m1")
    text = encode_text(DOCUMENTS, TOKENIZER)
    for seed, row in enumerate(table.loss):
        expected = document_nll(decoder(seed)(), plan_windows(text.ids, 16, bos=1))
        np.testing.assert_array_equal(row, expected)
    assert dict(table.texts) == {d.name: d.text for d in DOCUMENTS}
    assert list(table.units["domain"].unique()) == ["a", "b"]


def test_a_second_call_computes_what_is_missing_only(tmp_path: Path) -> None:
    path = tmp_path / "losses.zarr"

    def killed() -> Decoder:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract({"m0": decoder(0), "m1": killed}, DOCUMENTS, TOKENIZER, path, context=16, bos=1)
    extract({"m0": unused, "m1": decoder(1), "m2": decoder(2)}, DOCUMENTS, TOKENIZER, path, context=16, bos=1)
    once = tmp_path / "once.zarr"
    extract({f"m{i}": decoder(i) for i in range(3)}, DOCUMENTS, TOKENIZER, once, context=16, bos=1)
    np.testing.assert_array_equal(read_losses(path).loss, read_losses(once).loss)
    extract(dict.fromkeys(["m0", "m1", "m2"], unused), DOCUMENTS, TOKENIZER, path, context=16, bos=1)


def test_a_row_without_its_mark_is_not_finished(tmp_path: Path) -> None:
    text = encode_text(DOCUMENTS, TOKENIZER)
    store = open_store(tmp_path / "losses.zarr", ["m0", "m1"], text, "some windows")
    write_row(store, "m1", np.ones(len(text.units), np.float32), text)
    assert finished(store) == ("m1",)
    with pytest.raises(InputError, match="finite"):
        read_losses(tmp_path / "losses.zarr")


@pytest.mark.parametrize(
    ("documents", "vocabulary", "context", "named"),
    [(DOCUMENTS[:1], 270, 16, "corpus"), (DOCUMENTS, 262, 16, "tokenizer"), (DOCUMENTS, 270, 8, "scoring")],
)
def test_a_store_of_something_else_is_refused(
    tmp_path: Path, documents: tuple[Text, ...], vocabulary: int, context: int, named: str
) -> None:
    path = tmp_path / "losses.zarr"
    open_store(path, ["m0"], encode_text(DOCUMENTS, TOKENIZER), "context 16, stride 8, first token after 1")
    with pytest.raises(InputError, match=f"store of the same {named}"):
        extract({"m0": unused}, documents, byte_level(vocabulary), path, context=context, bos=1)


def test_a_loss_that_is_not_finite_is_named(tmp_path: Path) -> None:
    text = encode_text(DOCUMENTS, TOKENIZER)
    store = open_store(tmp_path / "losses.zarr", ["m0"], text, "some windows")
    loss = np.ones(len(text.units), np.float32)
    loss[3] = np.nan
    token = re.escape(repr(text.units["token"][3]))
    with pytest.raises(InputError, match=rf"nan for lm 'm0' at token {token}.*document 'one'"):
        write_row(store, "m0", loss, text)
    assert finished(store) == ()
