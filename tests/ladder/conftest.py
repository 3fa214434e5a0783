"""The quick ladder's corpus, made once: from the interpreter's own library, in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from csvjax.ladder.build import load_corpus, prepare
from csvjax.ladder.corpus import Corpus
from csvjax.ladder.recipe import QUICK


@pytest.fixture(scope="session")
def quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `prepare` leaves it: recipe, corpus, tokenizer and streams."""
    folder = tmp_path_factory.mktemp("quick")
    prepare(QUICK, folder)
    return folder


@pytest.fixture(scope="session")
def quick(quick_folder: Path) -> tuple[Corpus, Tokenizer]:
    return load_corpus(quick_folder)
