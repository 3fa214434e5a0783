"""Questions to a method: which scores are hidden, which of them it must predict, and what else it may see.

A split is a text that names questions. It hides, in turn,

    cells[:K]               one K-th of the scores (K = 5 unless given)
    models[:K]              one K-th of the models (K = 5 unless given)
    families[:K]            one K-th of the families (each family unless K is given)
    benchmarks[:K]          each benchmark for one K-th of the families (K = 2 unless given); other benchmarks are seen
    compute:NUMBER          models with more training FLOP than NUMBER
    date:DATE[:COLUMN]      models released after DATE
    corpus[:COLUMN], mixtures[:COLUMN]   each training corpus, or each mixture of training text
    and what the splits of `csvjax.evaluate.splits.parse_split` hide

Parts are chosen by a hash of the names, so they depend neither on a seed nor on the order of the rows. Of a model whose
scores it predicts, a method may see what `sees` names: its other scores, losses, compute, family. If it may see scores,
each benchmark is a question of its own; otherwise one question asks for all benchmarks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool

from csvjax.baselines.view import Need, View, hide
from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.evaluate import splits
from csvjax.evaluate.splits import Fold, Mask
from csvjax.names import hint, positions

__all__ = ["COLUMNS", "SEEN", "Question", "inner_questions", "known", "parse_sees", "questions", "split_column"]

SEEN: frozenset[Need] = frozenset({"compute", "family", "losses"})
_NEEDS: tuple[Need, ...] = ("scores", "compute", "family", "losses")
_PARTS = {"cells": 5, "models": 5, "families": 0, "benchmarks": 2}  # 0: one part for each label
COLUMNS = {"corpus": ("corpus", "dataset"), "mixtures": ("mixture", "mixtures"), "date": ("date", "release date")}
_PART = re.compile(r"(cells|models|families|benchmarks)(?::(\d+))?")
_COMPUTE = re.compile(r"compute:([^:]+)")
_DATE = re.compile(r"date:([^:]+)(?::([^:]+))?")
_BY_COLUMN = re.compile(r"(corpus|mixtures)(?::([^:]+))?")


@dataclass(frozen=True, eq=False)
class Question:
    """One question to a method.

    Attributes:
        split: the text of the split.
        name: which of its folds.
        targets: benchmarks to predict.
        hidden: scores that the method does not see [lm, benchmark].
        asked: hidden scores to predict [lm, target].
        sees: what the method may see of the models to predict.
    """

    split: str
    name: str
    targets: tuple[str, ...]
    hidden: Bool[np.ndarray, "lm benchmark"]
    asked: Bool[np.ndarray, "lm target"]
    sees: frozenset[Need]

    def view(self, dataset: Dataset) -> View:
        """The data that a method is given.

        Raises: InputError for a target without a score that may be seen.
        """
        blank = known(dataset, self.hidden)
        return hide(blank, np.ones((len(dataset.lms), len(self.targets)), bool), self.targets).only(self.sees)


def known(dataset: Dataset, hidden: Bool[np.ndarray, "lm benchmark"]) -> Dataset:
    """The dataset with NaN in place of the hidden scores."""
    table = _scores(dataset)
    score = np.where(hidden, np.nan, table.score)
    return replace(dataset, scores=replace(table, score=score))


def parse_sees(text: str) -> frozenset[Need]:
    """Parse what a method may see of a model to predict: "nothing", "all", or words such as "compute,family".

    Raises: InputError for an unknown word.
    """
    words = [word.strip() for word in text.split(",")]
    if words in (["nothing"], ["all"]):
        return frozenset(_NEEDS) if words == ["all"] else frozenset()
    found: set[Need] = {need for need in _NEEDS if need in words}
    for word in words:
        if word not in _NEEDS:
            raise InputError(
                f"expected nothing, all, or some of {', '.join(_NEEDS)}, found {word!r}: {hint(word, _NEEDS)}"
            )
    return frozenset(found)


def split_column(text: str) -> str | None:
    """The column that a split names and that csvjax may have to read from the table; None if it names none."""
    if match := _BY_COLUMN.fullmatch(text):
        return match[2]
    if match := _DATE.fullmatch(text):
        return match[2]
    if match := re.fullmatch(r"(?:leave-one-out|weak-to-strong):([^:>]+)(?::\d+)?|([^:>]+)>[^:>]+", text):
        return (match[1] or match[2]).strip()
    return None


def questions(text: str, dataset: Dataset, sees: frozenset[Need] = SEEN) -> tuple[Question, ...]:
    """The questions of a split.

    Raises: InputError for a text that is not a split, a column that does not exist, and a split with an empty side.
    """
    return _questions(text, dataset, sees, np.ones(len(dataset.lms), bool), None)


def inner_questions(text: str, dataset: Dataset, outer: Question) -> tuple[Question, ...]:
    """Questions of a split within the scores that `outer` shows, for choices that must not see its hidden scores.

    The scores that `outer` hides are hidden in all of these questions and are never asked.
    """
    blank = known(dataset, outer.hidden)
    targets = positions(outer.targets, _scores(dataset).benchmarks, "benchmark")
    train = ~np.isnan(_scores(blank).score[:, targets]).all(axis=1)
    found = _questions(text, blank, outer.sees, train, outer.targets)
    return tuple(replace(q, hidden=q.hidden | outer.hidden) for q in found)


def _questions(
    text: str, dataset: Dataset, sees: frozenset[Need], rows: Mask, targets: tuple[str, ...] | None
) -> tuple[Question, ...]:
    """Questions about the models `rows`; within another question if `targets` names the benchmarks that it asks for."""
    if match := _PART.fullmatch(text):
        kind, count = match[1], int(match[2] or _PARTS[match[1]])
        if match[2] is not None and count < 2:
            raise InputError(f"expected at least two parts, found {text!r}; write {kind}:2 or more")
        if kind == "cells":
            return _cells(text, dataset, sees, rows, targets, count)
        if kind == "benchmarks":
            return _rows(text, dataset, sees | {"scores"}, _folds(dataset, rows, "families", count), targets)
        return _rows(text, dataset, sees, _folds(dataset, rows, kind, count), targets)
    return _rows(text, dataset, sees, _named_folds(text, dataset.lms, rows, targets is not None), targets)


def _named_folds(text: str, lms: pd.DataFrame, rows: Mask, inside: bool) -> tuple[Fold, ...]:
    if match := _COMPUTE.fullmatch(text):
        text = f"flops>{match[1]}"
    elif match := _BY_COLUMN.fullmatch(text):
        text = f"leave-one-out:{_column(lms, match[1], match[2])}"
    elif match := _DATE.fullmatch(text):
        column = _column(lms, "date", match[2])
        days = pd.to_datetime(lms[column], errors="coerce")
        limit = pd.to_datetime(match[1], errors="coerce")
        if pd.isna(limit):
            raise InputError(f"expected a day such as 2024-01-31 in {text!r}, found {match[1]!r}; write year-month-day")
        seconds = (days - pd.Timestamp(0)).dt.total_seconds()
        lms = lms.assign(day=seconds)
        text = f"day>{(limit - pd.Timestamp(0)).total_seconds():.0f}"
    try:
        return splits.inner(text, lms, rows).folds if inside else splits.parse_split(text, lms).folds
    except splits.UnknownSplit as error:
        forms = "cells, models, families, benchmarks, compute:NUMBER, date:DAY, corpus, mixtures"
        raise splits.UnknownSplit(f"{error}, nor {forms}; csvjax compare --help explains them") from None


def _column(lms: pd.DataFrame, kind: str, given: str | None) -> str:
    if given is not None:
        if given not in lms.columns:
            names = [str(c) for c in lms.columns]
            raise InputError(
                f"the split needs the column {given!r}, which the table of models does not have: {hint(given, names)}"
            )
        return given
    for name in COLUMNS[kind]:
        if name in lms.columns:
            return name
    usual = " or ".join(COLUMNS[kind])
    raise InputError(
        f"expected a column {usual} in the table of models, found none; name the column as in {kind}:COLUMN"
    )


def _folds(dataset: Dataset, rows: Mask, kind: str, count: int) -> tuple[Fold, ...]:
    """K parts of the models or families; for K = 0 one part for each family."""
    labels = (dataset.lms["family"] if kind == "families" else dataset.lms.index.to_series()).to_numpy(str)
    distinct = sorted(set(labels[rows].tolist()))
    if len(distinct) < max(count, 2):
        raise InputError(f"expected at least {max(count, 2)} {kind} to divide, found {len(distinct)}; use fewer parts")
    part = _parts(distinct, count or len(distinct))
    member = np.array([part.get(label, -1) for label in labels.tolist()])
    names = {p: name for name, p in part.items()} if count == 0 else {p: f"part {p + 1}" for p in range(count)}
    return tuple(Fold(f"{kind}: {names[p]}", rows & (member != p), rows & (member == p)) for p in sorted(names))


def _parts(labels: Sequence[str], count: int) -> dict[str, int]:
    """A part for each label, so that parts are of equal size, in the order of the hashes of the labels."""
    order = sorted(labels, key=lambda label: hashlib.blake2b(label.encode(), digest_size=8).digest())
    return {label: i % count for i, label in enumerate(order)}


def _rows(
    text: str, dataset: Dataset, sees: frozenset[Need], folds: Collection[Fold], targets: tuple[str, ...] | None
) -> tuple[Question, ...]:
    table = _scores(dataset)
    wanted = table.benchmarks if targets is None else targets
    observed = ~np.isnan(table.score)
    found = []
    for fold in folds:
        for asked in [(name,) for name in wanted] if "scores" in sees else [wanted]:
            at = positions(asked, table.benchmarks, "benchmark")
            outside = ~(fold.train | fold.test)  # models that are in neither part of the split
            hidden = np.zeros(table.score.shape, bool)
            hidden[np.ix_(fold.test | outside, at)] = True
            cells = fold.test[:, None] & observed[:, at]
            if cells.any():
                name = f"{fold.name}, {asked[0]}" if "scores" in sees else fold.name
                found.append(Question(text, name, asked, hidden, cells, sees))
    if not found:
        raise InputError(
            f"expected scores of models that the split {text!r} holds out, found none; choose another split"
        )
    return tuple(found)


def _cells(
    text: str, dataset: Dataset, sees: frozenset[Need], rows: Mask, targets: tuple[str, ...] | None, count: int
) -> tuple[Question, ...]:
    table = _scores(dataset)
    wanted = table.benchmarks if targets is None else targets
    observed = ~np.isnan(table.score) & rows[:, None]
    part = np.full(table.score.shape, -1)
    for b, benchmark in enumerate(table.benchmarks):  # every benchmark is divided separately
        at = np.flatnonzero(observed[:, b])
        labels = {f"{table.lms[m]}\n{benchmark}": m for m in at.tolist()}
        for label, p in _parts(list(labels), count).items():
            part[labels[label], b] = p
    found = []
    for p in range(count):
        hidden = part == p
        for asked in [(name,) for name in wanted] if "scores" in sees else [wanted]:
            at = positions(asked, table.benchmarks, "benchmark")
            if hidden[:, at].any():
                name = f"cells: part {p + 1}" + (f", {asked[0]}" if "scores" in sees else "")
                found.append(Question(text, name, asked, hidden, hidden[:, at], sees))
    if not found:
        raise InputError("expected scores to hide, found none; give a table with scores")
    return tuple(found)


def _scores(dataset: Dataset) -> ScoreTable:
    if dataset.scores is None:
        raise InputError("expected a dataset with scores, found one without; pass scores to align")
    return dataset.scores
