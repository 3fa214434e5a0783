"""Splits for methods of every kind, and the proof that no hidden score reaches a fit."""

from dataclasses import fields, replace

import hypothesis.strategies as st
import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from csvjax.baselines import METHODS, Need
from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.evaluate.questions import SEEN, Question, inner_questions, known, parse_sees, questions

EVERYTHING: frozenset[Need] = parse_sees("all")
TEXTS = (
    "cells",
    "cells:2",
    "models",
    "families",
    "families:2",
    "benchmarks",
    "compute:1e22",
    "date:2023-06-30",
    "corpus",
    "mixtures:recipe",
    "leave-one-out:family",
    "weak-to-strong:params",
)


def made(seed: int = 0) -> Dataset:
    """Five families of four sizes, four benchmarks, a tenth of the cells missing."""
    rng = np.random.default_rng(seed)
    families = np.repeat(list("abcde"), 4)
    params, tokens = np.tile([1e8, 1e9, 1e10, 1e11], 5), np.repeat([1e11, 3e11, 1e12, 2e12, 5e12], 4)
    ability = 0.5 * np.log(params / 1e9) + 0.3 * np.log(tokens / 1e12)
    score = 1 / (1 + np.exp(-ability[:, None] * [0.6, 0.9, 0.5, 0.7])) + 0.02 * rng.standard_normal((20, 4))
    score = np.where(rng.random((20, 4)) < 0.1, np.nan, np.clip(score, 0, 1))
    names = tuple(f"{f}-{n:g}" for f, n in zip(families, params, strict=True))
    lms = pd.DataFrame(
        {
            "family": families,
            "params": params,
            "tokens": tokens,
            "flops": 6 * params * tokens,
            "date": [f"2023-{1 + i % 12:02d}-15" for i in range(20)],
            "corpus": np.array(["c4", "pile", "web"])[np.arange(20) % 3],
            "recipe": np.tile(["x", "y", "y", "z"], 5),
        },
        index=list(names),
    )
    return Dataset(lms, ScoreTable(names, tuple("wxyz"), score))


def scores(dataset: Dataset) -> np.ndarray:
    assert dataset.scores is not None
    return dataset.scores.score


@pytest.mark.parametrize("sees", [SEEN, EVERYTHING, frozenset()])
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_asked_is_hidden_and_observed(text: str, sees: frozenset[Need]) -> None:
    dataset = made()
    for question in questions(text, dataset, sees):
        at = ["wxyz".index(name) for name in question.targets]
        assert question.asked.any()
        assert question.hidden[:, at][question.asked].all()
        assert np.isfinite(scores(dataset)[:, at][question.asked]).all()
        view = question.view(dataset)
        assert np.isnan(view.target[question.asked]).all()
        rows = ~view.train
        if "compute" not in question.sees:
            assert np.isnan(view.flops[rows]).all()
        if "family" not in question.sees:
            assert set(view.family[rows]) <= {""}
        if "scores" in question.sees:
            assert len(question.targets) == 1
            assert view.score.shape[1] == 3
        else:
            assert view.score.shape[1] == 0


@pytest.mark.parametrize(
    "text", ["cells", "models", "families", "families:2", "benchmarks", "corpus", "mixtures:recipe"]
)
def test_every_observed_cell_is_asked_once(text: str) -> None:
    dataset = made()
    count = np.zeros((20, 4), int)
    for question in questions(text, dataset):
        count[:, ["wxyz".index(name) for name in question.targets]] += question.asked
    np.testing.assert_array_equal(count, np.isfinite(scores(dataset)).astype(int))


def test_families_and_dates_and_compute_hold_out_what_they_say() -> None:
    dataset = made()
    for question in questions("families:2", dataset):
        asked = question.asked.any(axis=1)
        assert set(dataset.lms["family"][asked]).isdisjoint(dataset.lms["family"][~question.hidden.any(axis=1)])
    (late,) = questions("date:2023-06-30", dataset)
    assert (dataset.lms["date"][late.asked.any(axis=1)] > "2023-06-30").all()
    (large,) = questions("compute:1e22", dataset)
    assert (dataset.lms["flops"][large.asked.any(axis=1)] > 1e22).all()


def test_models_without_a_place_in_the_split_are_seen_by_nobody() -> None:
    dataset = made()
    lms = dataset.lms.assign(flops=dataset.lms["flops"].mask(dataset.lms["family"] == "c"))
    (question,) = questions("compute:1e22", Dataset(lms, dataset.scores))
    inside = (lms["family"] == "c").to_numpy()
    assert question.hidden[inside].all()
    assert not question.asked[inside].any()


@pytest.mark.parametrize("text", ["cells", "models", "families:2"])
def test_parts_do_not_depend_on_the_order_of_the_rows(text: str) -> None:
    dataset = made()
    turned = dataset.subset(list(reversed(dataset.lms.index)))
    for first, second in zip(questions(text, dataset), questions(text, turned), strict=True):
        np.testing.assert_array_equal(first.asked, second.asked[::-1])


@pytest.mark.parametrize("text", TEXTS)
def test_inner_questions_ask_only_what_the_outer_one_shows(text: str) -> None:
    dataset = made()
    outer = questions(text, dataset)[0]
    for inner in inner_questions(text, dataset, outer):
        assert (inner.hidden >= outer.hidden).all()
        at = ["wxyz".index(name) for name in inner.targets]
        assert not (inner.asked & outer.hidden[:, at]).any()
        assert inner.asked.any()
        assert set(inner.targets) <= set(outer.targets)


def changed(dataset: Dataset, question: Question, values: np.ndarray) -> Dataset:
    """The dataset with other values in the hidden cells."""
    table = dataset.scores
    assert table is not None
    return replace(
        dataset, scores=ScoreTable(table.lms, table.benchmarks, np.where(question.hidden, values, table.score))
    )


@settings(max_examples=60)
@given(
    text=st.sampled_from(TEXTS),
    sees=st.sampled_from([SEEN, EVERYTHING, frozenset()]),
    which=st.integers(0, 10**6),
    seed=st.integers(0, 10**6),
)
def test_no_hidden_score_reaches_a_view(text: str, sees: frozenset[Need], which: int, seed: int) -> None:
    dataset = made(seed % 7)
    asked = questions(text, dataset, sees)
    question = asked[which % len(asked)]
    other = changed(dataset, question, np.random.default_rng(seed).random((20, 4)))
    one, two = question.view(dataset), question.view(other)
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name), err_msg=field.name)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name.startswith("law") else ())
        for name in METHODS
        if name not in ("mean-loss", "two-step", "perplexity-correlations")
    ],
)
def test_no_hidden_score_reaches_a_fit(name: str) -> None:
    """Fits and draws are the same to the bit whatever the hidden scores are."""
    dataset, key = made(), jax.random.key(0)
    question = questions("compute:1e22", dataset, EVERYTHING)[1]
    found = []
    for seed in (0, 1):
        other = changed(dataset, question, np.random.default_rng(seed).random((20, 4)))
        view = question.view(other)
        fitted = METHODS[name]().fit(view, key)
        found.append((fitted.predict(view), fitted.draws(view, key, 3)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_blanks_stand_where_cells_are_hidden() -> None:
    dataset = made()
    hidden = np.zeros((20, 4), bool)
    hidden[3, 2] = True
    assert np.isnan(scores(known(dataset, hidden))[3, 2])
    np.testing.assert_array_equal(scores(known(dataset, hidden))[~hidden], scores(dataset)[~hidden])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cell", "nor cells, models"),
        ("models:1", "at least two parts"),
        ("families:9", "at least 9 families to divide, found 5"),
        ("mixtures", "expected a column mixture or mixtures"),
        ("date:soon", "expected a day"),
        ("compute:1e40", "models on both sides"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        questions(text, made())


def test_what_may_be_seen_is_named() -> None:
    assert parse_sees("nothing") == frozenset()
    assert parse_sees("compute, scores") == {"compute", "scores"}
    with pytest.raises(InputError, match="found 'score': the nearest is 'scores'"):
        parse_sees("score")
