"""Units are the bytes of a document, whichever way its tokenizer writes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from csvjax.data.loss_format import decode_units, encode_units, merge_empty
from csvjax.errors import InputError
from csvjax.losses.text import Document
from csvjax.losses.units import encode_text
from tests.lms.small import byte_level, sentencepiece
from tests.losses import plain_units

BYTE_LEVEL, SENTENCEPIECE = byte_level(), sentencepiece()
COMPOSED = byte_level()
COMPOSED.normalizer = normalizers.NFC()
TOKENIZERS = {"byte-level": BYTE_LEVEL, "sentencepiece": SENTENCEPIECE, "composed": COMPOSED}
AWKWARD = "Zoë cafe\u0301 \U0001f469\u200d\U0001f4bb 日本語\r\n\tthe  end \ufffd\ufffd "
TEXT = st.text(max_size=40) | st.text(alphabet="the Zoë\u0301 日本\U0001f642\r\n\ufffd", max_size=40)


@given(TEXT, st.sampled_from(sorted(TOKENIZERS)))
def test_units_are_the_bytes_of_the_document(text: str, name: str) -> None:
    encoded = encode_text([Document("a", "x", text)], TOKENIZERS[name])
    raw, units = text.encode(), encoded.units
    assert len(units) == len(encoded.ids[0])
    assert list(units["start"]) == list(np.cumsum([0, *units["bytes"]])[: len(units)])
    assert units["bytes"].sum() == (len(raw) if len(units) else 0)
    for token, start, size in zip(units["token"], units["start"], units["bytes"], strict=True):
        assert token == raw[start : start + size].decode(errors="replace")


BROKEN = b"caf\xe9 \xff\xfe \xf0\x9f\x98 end".decode(errors="replace")


@given(st.lists(TEXT | st.sampled_from(["", " \n", AWKWARD, BROKEN]), max_size=4), st.booleans(), st.data())
def test_units_and_their_arrays_are_those_of_the_stores_there_are(
    texts: list[str], first_scored: bool, data: st.DataObject
) -> None:
    """A store that was begun string by string is resumed: the same values under the same types and names."""
    documents = [Document("ab"[i % 2], f"d\x85{i}", text) for i, text in enumerate(texts)]
    tokenizer = TOKENIZERS[data.draw(st.sampled_from(sorted(TOKENIZERS)))]
    encoded = encode_text(documents, tokenizer, first_scored)
    plain = plain_units.units(documents, tokenizer, first_scored)
    assert encoded.units.to_dict("list") == plain.to_dict("list")
    found, named = encode_units(encoded.units, encoded.texts)
    wanted, wanted_names = plain_units.arrays(plain, encoded.texts)
    assert named == wanted_names
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].tolist()) == (array.dtype, array.tolist())
    units, known = decode_units(named, found)
    assert units.to_dict("list") == plain.to_dict("list")
    assert known == {name: encoded.texts[name] for name in named["documents"]}


@given(st.lists(TEXT, max_size=3), st.sampled_from(sorted(TOKENIZERS)))
def test_units_without_bytes_go_to_their_neighbours_and_take_their_loss_along(texts: list[str], name: str) -> None:
    documents = [Document("a", f"d{i}", text) for i, text in enumerate(texts)]
    encoded = encode_text(documents, TOKENIZERS[name])
    if not len(encoded.units):
        return
    loss = np.random.default_rng(0).integers(1, 9, (2, len(encoded.units))).astype(np.float32)
    merged, units = merge_empty(loss, encoded.units, encoded.texts)
    assert (units["bytes"] > 0).all() or not any(texts)
    for document in set(units["document"]):
        before, after = ((u["document"] == document).to_numpy() for u in (encoded.units, units))
        np.testing.assert_array_equal(loss[:, before].sum(axis=1), merged[:, after].sum(axis=1))
        assert units["bytes"][after].sum() == encoded.units["bytes"][before].sum()
        spelled = b"".join(
            encoded.texts[document].encode()[s : s + b]
            for s, b in zip(units["start"][after], units["bytes"][after], strict=True)
        )
        assert spelled == encoded.texts[document].encode()


def test_a_space_goes_with_the_word_after_it() -> None:
    units = encode_text([Document("a", "x", "the end")], SENTENCEPIECE).units
    starts = [int(start) for start, size in zip(units["start"], units["bytes"], strict=True) if size]
    assert 3 in starts  # the border is before the space
    assert 4 not in starts


def test_a_mark_that_a_normaliser_takes_goes_with_its_letter() -> None:
    for text in ("cafe\u0301 x", "\u1112\u1161\u11ab x"):  # e and its accent; three letters of Korean in one syllable
        raw, units = text.encode(), encode_text([Document("a", "x", text)], COMPOSED).units
        assert len(text) - 2 in {len(raw[:start].decode()) for start in units["start"]}  # the space begins a token
        assert units["bytes"].sum() == len(raw)


def test_without_a_beginning_the_first_token_is_no_unit() -> None:
    documents = [Document("a", "x", AWKWARD), Document("a", "y", "the end")]
    whole, rest = (encode_text(documents, BYTE_LEVEL, first) for first in (True, False))
    assert len(whole.units) == len(rest.units) + 2
    assert rest.units["start"].min() > 0


def test_a_tokenizer_that_drops_characters_is_refused() -> None:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("x", "removed")
    with pytest.raises(InputError, match="found none for 'x'"):
        encode_text([Document("a", "d", "axb")], tokenizer)


def test_two_documents_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="different names for all documents"):
        encode_text([Document("a", "x", "one"), Document("b", "x", "two")], BYTE_LEVEL)
