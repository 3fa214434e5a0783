"""The protocols that are no paper's own test: how they become questions, and what was measured on them elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from csvjax.baselines import METHODS, find_methods
from csvjax.evaluate.compare import compare, tasks
from csvjax.evaluate.metrics import r2, rmse
from csvjax.evaluate.protocols.board import protocols, question_of
from csvjax.evaluate.protocols.observational import EMERGENT, POST_TRAINING, emergent, post_training
from csvjax.evaluate.protocols.openlm import corpus_problems
from csvjax.evaluate.protocols.sloth import sloth_problems


def test_the_mean_loss_on_held_out_corpora_is_as_measured(public_data: Path) -> None:
    """17 tasks, each corpus from the two others: mean R2 0.574, median 0.696, RMSE 0.060 with a plain sigmoid."""
    problems = corpus_problems(public_data / "losses" / "openlm_scaling_104.csv")
    assert len(problems) == 3
    assert len(problems[0].targets) == 17
    work = [t for p in problems for t in tasks(p.dataset, [question_of(p, "corpus")], find_methods(["mean-loss"]), 20)]
    cells = compare(work).cells
    parts = [part for _, part in cells.groupby(["question", "benchmark"])]
    found = [r2(part["observed"], part["predicted"]) for part in parts]
    assert len(parts) == 51
    assert np.mean(found) == pytest.approx(0.574, abs=0.005)
    assert np.median(found) == pytest.approx(0.696, abs=0.005)
    assert np.mean([rmse(part["observed"], part["predicted"]) for part in parts]) == pytest.approx(0.060, abs=0.001)


def test_the_held_out_models_of_sloth_are_as_many_as_published(public_data: Path) -> None:
    path = public_data / "sloth" / "data_v2.csv"
    counts = [
        (len(problems), int(sum(problem.fold.test.sum() for problem in problems)))
        for smallest in (1, 2)
        for board in ("v1", "v2", "all")
        for problems in [sloth_problems(path, board, smallest)]
    ]
    assert counts == [(19, 60), (12, 37), (11, 27), (15, 46), (9, 26), (7, 20)]


def test_every_score_of_a_task_is_a_multiple_of_one_over_its_items(public_data: Path) -> None:
    folder = public_data / "obsscaling"
    problems = [emergent(folder, name, later=True) for name in EMERGENT]
    problems += [post_training(folder, name) for name in POST_TRAINING]
    counted = 0
    for problem in problems:
        table = problem.dataset.scores
        assert table is not None
        (items,) = table.select(benchmarks=problem.targets).n_items
        if np.isfinite(items):
            whole = items * problem.observed[~np.isnan(problem.observed)]
            np.testing.assert_allclose(whole, np.round(whole), atol=1e-6)
            counted += 1
    assert counted == len(problems) - 1  # the scores of IPA transliterate count nothing


def test_a_problem_hides_its_targets_of_the_models_to_predict(public_data: Path) -> None:
    board = protocols(public_data, quick=True)
    assert {p.name for p in board} >= {"emergent", "GSM8K", "agents", "Sloth v1, 1 seen", "held-out corpus"}
    for protocol in board:
        assert set(protocol.published) <= set(METHODS)
        for problem in protocol.problems:
            question = question_of(problem, protocol.name)
            view = question.view(problem.dataset)
            assert np.isnan(view.target[problem.fold.test]).all()
            np.testing.assert_array_equal(view.train, problem.fold.train)
            np.testing.assert_array_equal(question.asked.any(axis=1), problem.fold.test)


def test_the_figure_of_a_protocol_is_that_of_its_paper(public_data: Path) -> None:
    """Three components on Word Unscramble: 2.57e-3; a method that left a task out has no figure."""
    (protocol,) = [p for p in protocols(public_data, quick=True) if p.name == "emergent"]
    (problem,) = protocol.problems
    work = list(tasks(problem.dataset, [question_of(problem, "emergent")], find_methods(["pca-3"]), 20))
    cells = compare(work).cells
    assert protocol.figure(cells) == pytest.approx(2.57, rel=0.02)
    assert np.isnan(protocol.figure(cells.assign(question="another")))
