"""Scores against one choice at a time, and results that a killed scoring keeps."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tokenizers import Tokenizer

from csvjax.errors import InputError
from csvjax.ladder.build import Progress, train_all
from csvjax.ladder.collect import collect, score_all
from csvjax.ladder.corpus import END_OF_TEXT, Corpus
from csvjax.ladder.recipe import QUICK, Run
from csvjax.ladder.score import encode_tasks, score_tasks
from csvjax.ladder.tasks import Item, Task, make_tasks
from csvjax.lms.decoder import Decoder

SMALL = replace(QUICK, items=6, mixtures={"code-docs": QUICK.mixtures["code-docs"]}, checkpoints=(16, 32))


class Notes(Progress):
    def __init__(self) -> None:
        self.total, self.done, self.notes = 0.0, 0.0, list[str]()

    def start(self, label: str, total: float) -> None:
        self.total = total

    def advance(self, amount: float, note: str = "") -> None:
        self.done += amount
        self.notes.append(note)


@pytest.fixture(scope="module")
def model() -> Decoder:
    return Decoder(QUICK.decoder(Run("code-docs", "5k")), nnx.Rngs(0))


@pytest.fixture(scope="module")
def trained(quick_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ladder, trained."""
    folder = tmp_path_factory.mktemp("ladder")
    for name in ("corpus.json", "tokenizer.json", "streams.npz"):
        (folder / name).symlink_to(quick_folder / name)
    train_all(SMALL, folder, jobs=1)
    return folder


@nnx.jit
def states(model: Decoder, tokens: jax.Array) -> jax.Array:
    return model.hidden_states(tokens)


def log_likelihood(model: Decoder, tokens: list[int], first: int) -> float:
    """Sum of log p of the tokens from `first` on, in float64."""
    inputs = np.array([tokens[:-1]], np.int32)
    inputs = np.pad(inputs, ((0, 0), (0, QUICK.context - inputs.shape[1])))  # one shape to compile
    logits = np.asarray(states(model, jnp.asarray(inputs))[0], np.float64) @ np.asarray(model.head, np.float64)
    logits -= logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return sum(log_p[t - 1, tokens[t]] for t in range(first, len(tokens)))


def test_scores_are_those_of_one_choice_at_a_time(model: Decoder, quick: tuple[Corpus, Tokenizer]) -> None:
    corpus, tokenizer = quick
    tasks = make_tasks(corpus, SMALL)
    found = score_tasks(model, encode_tasks(tasks, tokenizer, SMALL.context))
    start = tokenizer.encode(END_OF_TEXT).ids
    for task in tasks:
        right = []
        for item in task.items:
            endings = [tokenizer.encode(choice).ids for choice in item.choices]
            before = tokenizer.encode(item.context).ids[-(SMALL.context - max(map(len, endings))) :]
            head = start + (before if item.context else [])
            values = [log_likelihood(model, head + ending, len(head)) for ending in endings]
            right.append(int(np.argmax(values)) == item.answer)
        assert found[task.name] == pytest.approx(np.mean(right)), task.name


def test_batches_do_not_change_scores(model: Decoder, quick: tuple[Corpus, Tokenizer]) -> None:
    """A task scores the same alone and with tasks of other lengths."""
    corpus, tokenizer = quick
    tasks = make_tasks(corpus, SMALL)
    together = score_tasks(model, encode_tasks(tasks, tokenizer, QUICK.context))
    for task in tasks[:2]:
        assert score_tasks(model, encode_tasks([task], tokenizer, QUICK.context)) == {task.name: together[task.name]}


def test_a_choice_longer_than_the_context_is_refused(quick: tuple[Corpus, Tokenizer]) -> None:
    task = Task("long", 0.5, (Item("", ("a", "1" * 65), 0),))
    with pytest.raises(InputError, match="at most 64 tokens in task long, found 65"):
        encode_tasks([task], quick[1], 64)


def test_scoring_goes_on_where_it_was(trained: Path) -> None:
    with pytest.raises(InputError, match="found no current one for 'code-docs-5k-00016'"):
        collect(SMALL, trained)
    first = Notes()
    score_all(SMALL, trained, 1, first)
    assert first.done == first.total > 0
    assert len(first.notes) == 4
    whole = collect(SMALL, trained)

    gone = trained / "results" / "code-docs-14k-00016.npz"
    gone.unlink()
    second = Notes()
    score_all(SMALL, trained, 1, second)
    assert [bool(re.match("code-docs-14k step 16", note)) for note in second.notes] == [True]
    again = collect(SMALL, trained)
    assert again.scores is not None
    assert whole.scores is not None
    np.testing.assert_array_equal(again.scores.score, whole.scores.score)

    other_tasks = replace(SMALL, items=5)
    with pytest.raises(InputError, match="no current one"):
        collect(other_tasks, trained)


def test_the_dataset_says_what_each_model_is(trained: Path) -> None:
    score_all(SMALL, trained, 1)
    data = collect(SMALL, trained)
    assert list(data.lms.index) == [f"code-docs-{s}-{t:05d}" for s in ("5k", "14k") for t in (16, 32)]
    row = data.lms.loc["code-docs-14k-00032"]
    assert row["family"] == "code-docs"
    assert row["tokens"] == 32 * SMALL.batch * SMALL.context
    assert row["flops"] == SMALL.flops(Run("code-docs", "14k"), 32)
    assert data.scores is not None
    assert data.losses is not None
    assert set(data.scores.n_items) == {6.0}
    assert data.losses.mean_loss[1] < data.losses.mean_loss[0]
    corpus_bytes = sum(len(text.encode()) for text in data.losses.texts.values())
    assert data.losses.units["bytes"].sum() == corpus_bytes
