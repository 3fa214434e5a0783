"""Items are well formed, fair to a model that knows nothing, and of text that no training document has."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer

from csvjax.ladder import synthetic
from csvjax.ladder.corpus import SYNTHETIC, Corpus, Document
from csvjax.ladder.overlap import window_hashes
from csvjax.ladder.recipe import QUICK
from csvjax.ladder.tasks import Task, make_tasks

SENTENCES = {
    "english": "The {} was not known to the many people who lived near the old river of {}. ",
    "german": "Der {} war den vielen Menschen am alten Fluss nicht bekannt und nahe bei {}. ",
}
LETTERS = str.maketrans("0123456789", "abcdefghij")


def prose(language: str, first: int) -> str:
    """Sentences of a template, each with words of its own."""
    return "".join(
        SENTENCES[language].format(*(str(10_000 + 2 * i + j).translate(LETTERS) for j in (0, 1)))
        for i in range(first, first + 60)
    )


@pytest.fixture(scope="module")
def tasks(quick: tuple[Corpus, Tokenizer]) -> dict[str, Task]:
    """Those of the quick corpus, and those of the languages from made-up sentences."""
    corpus, _ = quick
    added = [[Document(d, f"{d}/{s}", prose(d, s)) for d in SENTENCES] for s in (0, 100)]
    both = Corpus((*corpus.train, *added[0]), corpus.validation, (*corpus.tasks, *added[1]))
    return {task.name: task for task in make_tasks(both, replace(QUICK, context=128))}


def test_domains_decide_which_tasks_there_are(quick: tuple[Corpus, Tokenizer], tasks: dict[str, Task]) -> None:
    generated = {"sum_2digit", "sum_3digit", "count", "copy"}
    of_code = {"cloze_code", "cloze_docs", "bracket", "indent"}
    assert {task.name for task in make_tasks(quick[0], QUICK)} == generated | of_code
    languages = {"cloze_english", "cloze_german", "agreement", "word_order_english", "word_order_german"}
    assert set(tasks) == generated | of_code | languages


def test_items_are_well_formed(tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        assert len(task.items) == QUICK.items, task.name
        assert len({(item.context, item.choices) for item in task.items}) == len(task.items)
        for item in task.items:
            assert len(set(item.choices)) == len(item.choices) == round(1 / task.floor)
            assert 0 <= item.answer < len(item.choices)
            assert all(item.choices)


def test_right_choices_stand_at_each_position_equally_often(tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        counts = np.bincount([item.answer for item in task.items], minlength=round(1 / task.floor))
        assert counts.max() - counts.min() <= 1


def test_a_task_does_not_depend_on_the_others(quick: tuple[Corpus, Tokenizer], tasks: dict[str, Task]) -> None:
    corpus, _ = quick
    alone = Corpus(tuple(d for d in corpus.train if d.domain == SYNTHETIC), (), ())
    for task in make_tasks(alone, QUICK):
        assert task == tasks[task.name]


def test_no_text_of_an_item_is_in_the_training_text(quick: tuple[Corpus, Tokenizer]) -> None:
    corpus, _ = quick
    train = np.unique(np.concatenate([window_hashes(d.text) for d in corpus.train]))
    seen = 0
    for task in make_tasks(corpus, replace(QUICK, context=128)):
        for item in task.items:
            hashes = window_hashes(item.context + item.choices[item.answer])
            seen += len(hashes)
            assert (train[np.searchsorted(train, hashes) % len(train)] != hashes).all(), (task.name, item)
    assert seen > 5_000


def test_choices_are_cut_where_the_tokenizer_cuts(quick: tuple[Corpus, Tokenizer], tasks: dict[str, Task]) -> None:
    _, tokenizer = quick
    for task in tasks.values():
        for item in task.items:
            for choice in item.choices:
                parts = tokenizer.encode(item.context).ids + tokenizer.encode(choice).ids
                assert parts == tokenizer.encode(item.context + choice).ids, (task.name, item.context, choice)


@pytest.mark.parametrize("name", ["sum_2digit", "sum_3digit"])
def test_sums_are_reserved_and_right(tasks: dict[str, Task], name: str) -> None:
    for item in tasks[name].items:
        example, question = item.context.splitlines()
        for line in (example, question + item.choices[item.answer]):
            a, b, total = map(int, re.findall(r"\d+", line))
            assert a + b == total
            assert synthetic.reserved(a, b)
        assert len({len(choice) for choice in item.choices}) == 1


def test_counts_go_on_in_equal_steps(tasks: dict[str, Task]) -> None:
    for item in tasks["count"].items:
        numbers = [int(x) for x in (item.context + item.choices[item.answer]).split()[1:]]
        assert len(set(np.diff(numbers))) == 1


def test_copies_go_on_with_the_next_letter(tasks: dict[str, Task]) -> None:
    for item in tasks["copy"].items:
        left, right = (item.context + item.choices[item.answer]).removeprefix("copy ").split(" ->")
        assert f" {left}".startswith(right)
        assert sum(choice.strip() in left for choice in item.choices) >= 3


def test_the_right_brackets_close_the_line(tasks: dict[str, Task]) -> None:
    """Pairs match from the inside out; no wrong choice does."""
    pair = {")": "(", "]": "[", "}": "{"}
    for item in tasks["bracket"].items:
        line = item.context.splitlines()[-1]
        for i, choice in enumerate(item.choices):
            stack = []
            for c in line:
                if c in "([{":
                    stack.append(c)
                elif c in pair:
                    stack.pop()
            fits = all(stack and stack.pop() == pair[c] for c in choice.rstrip(":,"))
            assert fits == (i == item.answer), (line, choice)


def test_the_right_indentation_is_the_one_that_python_takes(tasks: dict[str, Task]) -> None:
    for item in tasks["indent"].items:
        header = item.context.splitlines()[-1]
        outer = len(header) - len(header.lstrip())
        inner = [len(choice) - 1 - len(choice[1:].lstrip()) for choice in item.choices]
        assert inner[item.answer] == outer + 4
        ast.parse("if 1:\n" + " " * inner[item.answer] + "pass")


@pytest.mark.parametrize("name", ["word_order_english", "word_order_german"])
def test_two_neighbours_change_places(tasks: dict[str, Task], name: str) -> None:
    for item in tasks[name].items:
        right, wrong = item.choices[item.answer].split(), item.choices[1 - item.answer].split()
        changed = [i for i, (a, b) in enumerate(zip(right, wrong, strict=True)) if a != b]
        assert len(changed) == 2
        assert changed[1] == changed[0] + 1
        assert right[changed[0]] == wrong[changed[1]]


def test_subjects_are_as_often_one_as_many(tasks: dict[str, Task]) -> None:
    singular = [item.choices[item.answer] in (" is", " was", " has") for item in tasks["agreement"].items]
    assert np.mean(singular) == 0.5
