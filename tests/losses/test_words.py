"""Word by word a tokenizer gives the tokens that it gives to the whole text, or says that it does not."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from csvjax.losses.words import _BORDER, _GPT4, _LETTER, _QWEN, _words, encode_words, has_words
from tests.lms.small import TRAINING, byte_level, sentencepiece

MORE = ["if x_1 == 42:\n\treturn \"it's\", (a.b)  # don't\r\n\n    pass ... !?;\n", "1234567 ABC's 日本 schön…\n"] * 3


def trained(split: pre_tokenizers.PreTokenizer, normaliser: normalizers.Normalizer | None = None) -> Tokenizer:
    """With merges over all that its pattern keeps together."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split
    if normaliser is not None:
        tokenizer.normalizer = normaliser
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator([*TRAINING, *MORE], trainer)
    return tokenizer


def split_by(pattern: str) -> pre_tokenizers.PreTokenizer:
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level])


PLAIN = pre_tokenizers.ByteLevel(add_prefix_space=False)
TOKENIZERS = {
    "gpt2": trained(PLAIN),
    "neox": trained(PLAIN, normalizers.NFC()),
    "llama3": trained(split_by(_GPT4)),
    "qwen": trained(split_by(_QWEN), normalizers.NFC()),
    "smollm": trained(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), PLAIN])),
}
TOKENIZERS["neox"].add_tokens([AddedToken("  ", normalized=True), AddedToken("<|end|>", lstrip=True)])
PARTS = [
    "the",
    "it's",
    "'ll",
    "'",
    "s",
    "12",
    "x_",
    "_",
    ".",
    "...",
    ".\n",
    ",",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\u00a0",
    "\u0301",
]
MORE_PARTS = ["e\u0301", "ß", "\u2009", "日本", "🙂", "\x1c", "((", "\x85", "<|end|>"]
TEXT = st.lists(st.sampled_from(PARTS + MORE_PARTS) | st.just(" ") | st.text(max_size=3), max_size=40).map("".join)


@settings(max_examples=400)
@given(st.lists(TEXT, max_size=3), st.sampled_from(sorted(TOKENIZERS)))
@example(["it's\n\n  x .\n y", " lead", "tail \n"], "llama3")
def test_tokens_are_those_of_the_whole_text(texts: list[str], name: str) -> None:
    tokenizer = TOKENIZERS[name]
    definition = json.loads(tokenizer.to_str())
    assert has_words(definition)
    for text, found in zip(texts, encode_words(texts, tokenizer, definition), strict=True):
        if found is not None:
            whole = tokenizer.encode(text, add_special_tokens=False)
            assert found[0].tolist() == whole.ids
            assert found[1].sum() == len(text.encode())


@settings(max_examples=200)
@given(TEXT)
def test_words_are_the_text_cut_where_a_word_may_end(text: str) -> None:
    found = _words(text)
    assert "".join(found) == text
    letter, border = re.compile(f"[{_LETTER}]"), re.compile(_BORDER)
    wanted = [bool((letter.match(a) and border.match(b)) or (not a.isspace() and b == " ")) for a, b in pairwise(text)]
    assert np.cumsum([len(word) for word in found[:-1]]).tolist() == [i + 1 for i, ends in enumerate(wanted) if ends]


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_ordinary_text_goes_word_by_word(name: str) -> None:
    texts = [" ".join([*TRAINING, "schön"]).replace("  ", " "), MORE[1]]
    assert None not in encode_words(texts, TOKENIZERS[name], json.loads(TOKENIZERS[name].to_str()))


def test_text_that_may_be_read_otherwise_does_not() -> None:
    definition = json.loads(TOKENIZERS["neox"].to_str())
    texts = ["two  spaces", "the <|end|> of it", "e\u0301"]
    assert encode_words(texts, TOKENIZERS["neox"], definition) == [None] * 3


@pytest.mark.parametrize(
    "tokenizer",
    [
        sentencepiece(),
        trained(pre_tokenizers.ByteLevel(add_prefix_space=True)),
        trained(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
        trained(split_by(r".{1,7}")),
        trained(PLAIN, normalizers.Lowercase()),
    ],
)
def test_a_tokenizer_that_may_join_words_is_known(tokenizer: Tokenizer) -> None:
    assert not has_words(json.loads(tokenizer.to_str()))
    assert has_words(json.loads(byte_level().to_str()))
