"""The corpus of the quick recipe: its sides share no 50 bytes, and it comes out the same every time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from csvjax.errors import InputError
from csvjax.ladder.build import prepare
from csvjax.ladder.corpus import END_OF_TEXT, Corpus, Document, build, token_streams
from csvjax.ladder.recipe import QUICK

Quick = tuple[Corpus, Tokenizer]


def windows(documents: Iterable[Document]) -> Iterable[bytes]:
    for document in documents:
        data = document.text.encode()
        yield from (data[i : i + 50] for i in range(len(data) - 49))


def test_held_out_text_shares_no_50_bytes_with_training_text(quick: Quick) -> None:
    corpus, _ = quick
    trained_on = set(windows(corpus.train))
    assert len(trained_on) > 500_000
    for side in (corpus.validation, corpus.tasks):
        assert not [w for w in windows(side) if w in trained_on]


def test_every_side_has_its_domains(quick: Quick) -> None:
    corpus, _ = quick
    assert corpus.domains == ("code", "docs", "synthetic")
    assert {d.domain for d in corpus.validation} == {"code", "docs", "synthetic"}
    assert {d.domain for d in corpus.tasks} == {"code", "docs"}  # tasks on generated text generate their own
    names = [d.name for side in (corpus.train, corpus.validation, corpus.tasks) for d in side]
    assert len(set(names)) == len(names)


def test_sizes_are_those_of_the_recipe(quick: Quick) -> None:
    corpus, _ = quick
    for domain in ("code", "docs"):
        excerpts = [d.text for d in corpus.validation if d.domain == domain]
        assert 0 < len(excerpts) <= QUICK.excerpts
        assert all(len(text.encode()) >= QUICK.excerpt_bytes // 2 for text in excerpts)
        texts = [d.text for d in corpus.train if d.domain == domain]
        assert sum(map(len, texts[:-1])) < QUICK.train_bytes  # the last one may go beyond
        assert sum(map(len, texts)) > QUICK.train_bytes / 2


def test_a_second_build_is_the_same(quick: Quick, tmp_path: Path) -> None:
    corpus, tokenizer = quick
    again = build(QUICK.sources, tmp_path, QUICK.excerpts, QUICK.excerpt_bytes, QUICK.train_bytes)
    assert again == corpus
    streams, repeated = token_streams(corpus, tokenizer), token_streams(again, tokenizer)
    assert list(streams) == list(repeated)
    for domain, stream in streams.items():
        np.testing.assert_array_equal(stream, repeated[domain])


def digests(folder: Path) -> dict[str, str]:
    files = ("recipe.json", "corpus.json", "tokenizer.json", "streams.npz")
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    with np.load(folder / "streams.npz") as streams:  # a zip file, which holds the time it was written
        found["streams.npz"] = hashlib.sha256(b"".join(streams[d].tobytes() for d in streams.files)).hexdigest()
    return found


def test_another_process_makes_the_same_files(quick_folder: Path, tmp_path: Path) -> None:
    """Tokenizer included, and whatever the seed of Python's string hashes."""
    script = (
        "import sys, pathlib; from csvjax.ladder import build, recipe;"
        "build.prepare(recipe.QUICK, pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert digests(tmp_path) == digests(quick_folder)


def test_streams_hold_the_documents(quick: Quick, quick_folder: Path) -> None:
    corpus, tokenizer = quick
    end = tokenizer.token_to_id(END_OF_TEXT)
    with np.load(quick_folder / "streams.npz") as streams:
        for domain in corpus.domains:
            stream = streams[domain]
            assert stream.dtype == np.uint16
            assert stream.max() < tokenizer.get_vocab_size() == QUICK.vocabulary
            parts = np.split(stream, np.flatnonzero(stream == end))
            texts = [tokenizer.decode(part[1:].tolist()) for part in parts[1:]]
            assert sorted(texts) == sorted(d.text for d in corpus.train if d.domain == domain)


def test_every_digit_is_a_token(quick: Quick) -> None:
    _, tokenizer = quick
    assert [t.lstrip("Ġ") for t in tokenizer.encode("407 + 12").tokens if t != "Ġ"] == list("407+12")


def test_prepare_keeps_what_is_there_and_refuses_another_recipe(quick_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in quick_folder.iterdir()}
    prepare(QUICK, quick_folder)
    assert {path: path.stat().st_mtime_ns for path in quick_folder.iterdir()} == before
    with pytest.raises(InputError, match="other settings"):
        prepare(replace(QUICK, seed=1), quick_folder)
