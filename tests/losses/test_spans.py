"""Losses on shared spans: nothing of a document is lost, whichever way three tokenizers cut it."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from csvjax.data.loss_format import merge_empty
from csvjax.data.losses import LossTable
from csvjax.errors import InputError
from csvjax.ladder.corpus import Corpus, train_tokenizer
from csvjax.ladder.corpus import Document as LadderDocument
from csvjax.losses.spans import fixed_borders, span_losses, to_spans, word_borders
from csvjax.losses.text import Document
from csvjax.losses.units import encode_text
from tests.lms.small import TRAINING, byte_level, sentencepiece

AWKWARD = (
    "Zoë said: cafe\u0301 \U0001f469\u200d\U0001f4bb costs 12.50 €.\r\n\r\n日本語のテキスト、 x\u0338=1\t\tend "
    + b"caf\xe9 \xff\xfe!".decode(errors="replace")
)
KINDS = ["common", "words", "fixed"]


@cache
def tokenizers() -> tuple[Tokenizer, ...]:
    """Byte-level BPE; in the way of SentencePiece, with bytes for what it does not know; the ladder's."""
    documents = tuple(LadderDocument("a", str(i), text) for i, text in enumerate(TRAINING))
    return byte_level(), sentencepiece(), train_tokenizer(Corpus(documents, (), ()), 290)


def tables(texts: list[str], first_scored: bool = True, *more: Tokenizer) -> list[LossTable]:
    documents = [Document(f"d{i % 2}", f"t{i}", text) for i, text in enumerate(texts)]
    found = []
    for number, tokenizer in enumerate((*tokenizers(), *more)):
        encoded = encode_text(documents, tokenizer, first_scored)
        loss = np.random.default_rng(number).gamma(1.0, 2.0, (2, len(encoded.units))).astype(np.float32)
        merged, units = merge_empty(loss, encoded.units, encoded.texts)
        found.append(LossTable((f"m{number}", f"n{number}"), merged, units, encoded.texts))
    return found


TEXT = st.text(min_size=1, max_size=60) | st.text(
    alphabet="the Zoë\u0301 12 日本\U0001f642\r\n\t\ufffd.", min_size=1, max_size=60
)


@settings(max_examples=60)
@given(st.lists(TEXT, min_size=1, max_size=3), st.sampled_from(KINDS), st.integers(1, 20))
def test_the_loss_of_a_document_is_kept_exactly(texts: list[str], kind: str, size: int) -> None:
    """The float64 sum over spans is that over tokens, to the rounding of the sums themselves."""
    given_tables = tables(texts)
    spans = to_spans(given_tables, kind, size)  # type: ignore[arg-type]  # one of KINDS
    assert spans.lms == ("m0", "n0", "m1", "n1", "m2", "n2")
    assert spans.texts == given_tables[0].texts
    row = 0
    for table in given_tables:
        for loss in table.loss:
            for document, text in table.texts.items():
                before = loss[(table.units["document"] == document).to_numpy()]
                after = spans.loss[row][(spans.units["document"] == document).to_numpy()]
                wanted = math.fsum(before.tolist())
                assert math.fsum(after.tolist()) == pytest.approx(wanted, rel=1e-14 * (len(before) + len(after)))
                assert spans.units["bytes"][spans.units["document"] == document].sum() == len(text.encode())
            row += 1
    np.testing.assert_allclose(
        spans.mean_loss, np.concatenate([table.mean_loss for table in given_tables]), rtol=1e-12
    )  # nats per byte are those of the tokens


@pytest.mark.parametrize("kind", KINDS)
def test_awkward_text_is_kept_too(kind: str) -> None:
    """Emoji of several code points, CJK, combining marks, CRLF, and bytes that were no UTF-8."""
    given_tables = tables([AWKWARD, "plain"])
    spans = to_spans(given_tables, kind)  # type: ignore[arg-type]  # one of KINDS
    wanted = np.concatenate([table.loss.sum(axis=1, dtype=np.float64) for table in given_tables])
    np.testing.assert_allclose(spans.loss.sum(axis=1), wanted, rtol=1e-13)


def test_common_spans_divide_no_token_and_are_the_finest_that_do_not() -> None:
    given_tables = tables([AWKWARD])
    spans = to_spans(given_tables)
    borders = [set(table.units["start"]) for table in given_tables]
    assert set(spans.units["start"]) == set.intersection(*borders)
    for row, table in enumerate(given_tables):
        starts = table.units["start"].to_numpy()
        for start, size, loss in zip(spans.units["start"], spans.units["bytes"], spans.loss[2 * row], strict=True):
            inside = (starts >= start) & (starts < start + size)
            assert loss == pytest.approx(table.loss[0][inside].sum(dtype=np.float64), rel=1e-12)


def test_a_token_that_a_border_divides_is_shared_by_bytes() -> None:
    loss = np.array([[3.0, 8.0]], np.float32)
    found = span_losses(loss, np.array([0, 3]), np.array([3, 4]), np.array([0, 2, 4, 7]))
    np.testing.assert_allclose(found, [[2.0, 1.0 + 2.0, 6.0]])
    with pytest.raises(InputError, match="from byte 0 to 7"):
        span_losses(loss, np.array([0, 3]), np.array([3, 4]), np.array([0, 8]))


def test_words_take_the_space_before_them() -> None:
    text = "  the\r\nend of 日本  "
    raw, borders = text.encode(), word_borders(text)
    pieces = [raw[a:b].decode() for a, b in pairwise(borders)]
    assert pieces == ["  the", "\r\nend", " of", " 日本  "]
    assert list(word_borders("  ")) == [0, 2]
    assert list(fixed_borders("abcde", 2)) == [0, 2, 4, 5]
    assert list(fixed_borders("abcd", 2)) == [0, 2, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_model_does_not_score_is_left_out_of_all(kind: str) -> None:
    text = "the end of the theme " * 3
    given_tables = tables([text], first_scored=False)
    spans = to_spans(given_tables, kind)  # type: ignore[arg-type]  # one of KINDS
    first = max(table.units["start"].min() for table in given_tables)
    assert spans.units["start"].min() >= first
    assert (spans.units["start"] + spans.units["bytes"]).max() == len(text.encode())
    for row, table in enumerate(given_tables):
        kept = (table.units["start"] >= spans.units["start"].min()).to_numpy()
        assert spans.loss[2 * row].sum() == pytest.approx(table.loss[0][kept].sum(dtype=np.float64), rel=1e-12)


def test_tables_of_other_texts_are_refused() -> None:
    with pytest.raises(InputError, match="found different ones in table 2"):
        to_spans([tables(["the end"])[0], tables(["the enb"])[1]])
    with pytest.raises(InputError, match="each lm once"):
        to_spans([tables(["the end"])[0], tables(["the end"])[0]])
