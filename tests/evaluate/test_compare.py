from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from csvjax.baselines import Fitted, Method, Need, View, find_methods
from csvjax.cluster import Where
from csvjax.data.dataset import Dataset
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.evaluate.compare import Comparison, Outcome, compare, key_of, tasks
from csvjax.evaluate.compare_table import comparison_table, pair_table
from csvjax.evaluate.questions import parse_sees, questions


def made(seed: int = 0) -> Dataset:
    """Eight families of four sizes; three benchmarks that follow compute with an offset for each family."""
    rng = np.random.default_rng(seed)
    params, tokens = np.tile([1e8, 1e9, 1e10, 1e11], 8), np.repeat(np.geomspace(1e11, 5e12, 8), 4)
    ability = 0.4 * np.log(params / 1e9) + np.repeat(rng.normal(0, 0.6, 8), 4)
    score = 1 / (1 + np.exp(-ability[:, None] * [0.6, 0.9, 0.5])) + 0.01 * rng.standard_normal((32, 3))
    names = tuple(f"m{i:02d}" for i in range(32))
    lms = pd.DataFrame(
        {"family": np.repeat(list("abcdefgh"), 4), "params": params, "tokens": tokens, "flops": 6 * params * tokens},
        index=list(names),
    )
    return Dataset(lms, ScoreTable(names, tuple("xyz"), np.clip(score, 0, 1)))


@dataclass(frozen=True)
class Breaks:
    """A method of somebody else that breaks in one way or another."""

    how: str
    name: str = "breaks"
    source: str = "no model"
    needs: frozenset[Need] = frozenset()

    def fit(self, view: View, key: jax.Array) -> Fitted:
        if self.how == "input":
            raise InputError("expected more, found less; give more")
        if self.how == "bug":
            raise ZeroDivisionError("division by zero")
        return Nothing()


@dataclass(frozen=True)
class Nothing:
    def predict(self, view: View) -> np.ndarray:
        return np.full(view.target.shape, np.nan)

    def draws(self, view: View, key: jax.Array, count: int) -> np.ndarray:
        return np.full((count, *view.target.shape), np.nan)


METHODS: dict[str, Method] = {**find_methods(["family-mean", "log-flops", "flops-intercept"])}


def run(
    methods: dict[str, Method], folder: Path | None = None, dataset: Dataset | None = None, jobs: int = 1
) -> Comparison:
    dataset = dataset or made()
    return compare(list(tasks(dataset, questions("weak-to-strong:params", dataset), methods, 50)), Where(jobs), folder)


def test_every_method_answers_every_question() -> None:
    found = run(METHODS)
    assert list(found.outcomes["method"]) == list(METHODS)
    assert set(found.outcomes["status"]) == {"ok"}
    assert (found.outcomes["answered"] == 24).all()
    assert found.cells.groupby("method").size().eq(24).all()


def test_a_method_that_fails_is_a_row_that_says_why() -> None:
    broken: dict[str, Method] = {how: Breaks(how) for how in ("input", "bug", "silent")}
    found = run({**broken, **find_methods(["mean-loss", "pca-1", "family-mean"])})
    said = found.outcomes.set_index("method")[["status", "reason"]]
    assert tuple(said.loc["input"]) == ("failed", "expected more, found less; give more")
    assert tuple(said.loc["bug"]) == ("failed", "ZeroDivisionError: division by zero")
    assert tuple(said.loc["silent"]) == ("failed", "predicted none of the scores")
    assert tuple(said.loc["mean-loss"]) == ("not applicable", "needs losses of the models to predict")
    assert tuple(said.loc["pca-1"]) == ("not applicable", "needs scores of the models to predict")
    table = comparison_table(found, 50).set_index("method")
    assert table.loc["bug", "status"] == "failed"
    assert np.isnan(table.loc["bug", "crps"])
    assert table.loc["family-mean", "against"] == "best"


def test_compute_that_nobody_knows_is_no_failure() -> None:
    dataset = made()
    unknown = replace(dataset, lms=dataset.lms.assign(flops=np.nan, tokens=np.nan))
    found = run(METHODS, dataset=unknown).outcomes.set_index("method")["status"]
    assert list(found) == ["ok", "not applicable", "not applicable"]
    known = dataset.lms["params"] < 1e11
    of_training = replace(dataset, lms=dataset.lms.assign(flops=dataset.lms["flops"].where(known)))
    found = run(METHODS, dataset=of_training).outcomes.set_index("method")
    assert found.loc["log-flops", "reason"] == "needs flops, unknown for all models to predict"
    assert list(found["status"]) == ["ok", "not applicable", "not applicable"]


def test_a_single_benchmark_has_no_others_to_predict_it_from() -> None:
    dataset = made()
    assert dataset.scores is not None
    alone = replace(dataset, scores=dataset.scores.select(benchmarks=["x"]))
    asked = questions("weak-to-strong:params", alone, parse_sees("all"))
    found = compare(list(tasks(alone, asked, find_methods(["pca-1", "item-response"]), 50))).outcomes
    assert set(found["status"]) == {"not applicable"}


@pytest.mark.parametrize("how", ["silent", "bug"])
def test_a_failure_beside_unknown_tokens_is_a_failure_and_tried_again(tmp_path: Path, how: str) -> None:
    """Size and FLOPs are there, so the method had what it needs."""
    dataset = made()
    unknown = replace(dataset, lms=dataset.lms.assign(tokens=np.nan))
    broken: dict[str, Method] = {how: Breaks(how, needs=frozenset({"compute"}))}
    for _ in range(2):
        (outcome,) = run(broken, tmp_path, unknown).outcomes.itertuples()
        assert (outcome.status, outcome.again) == ("failed", False)
    assert list(tmp_path.iterdir()) == []


def test_one_failure_among_questions_that_do_not_apply_is_a_failure() -> None:
    none = Outcome("s", "q1", "m", "not applicable", "needs losses", 1, 0, 0.0)
    failed = none._replace(question="q2", status="failed", reason="division by zero")
    found = Comparison(run({}).cells, pd.DataFrame([none, failed]))
    (row,) = comparison_table(found, 50).itertuples()
    assert (row.status, row.reason) == ("failed", "division by zero")


def test_what_is_known_is_not_computed_again(tmp_path: Path) -> None:
    first = run(METHODS, tmp_path)
    second = run(METHODS, tmp_path)
    assert not first.outcomes["again"].any()
    assert second.outcomes["again"].all()
    pd.testing.assert_frame_equal(first.cells, second.cells)
    more = run({**METHODS, **find_methods(["last-known"])}, tmp_path).outcomes
    assert list(more["again"]) == [True, True, True, False]


def test_what_changed_is_computed_again(tmp_path: Path) -> None:
    run(METHODS, tmp_path)
    dataset = made()
    table = dataset.scores
    assert table is not None
    score = table.score.copy()
    score[0, 0] = 0.123
    changed = replace(dataset, scores=ScoreTable(table.lms, table.benchmarks, score))
    assert not run(METHODS, tmp_path, changed).outcomes["again"].any()


def test_failures_are_tried_again_and_damage_is_mended(tmp_path: Path) -> None:
    run({"bug": Breaks("bug")}, tmp_path)
    assert not run({"bug": Breaks("bug")}, tmp_path).outcomes["again"].any()
    run(METHODS, tmp_path)
    for path in tmp_path.glob("*.parquet"):
        path.write_bytes(b"not parquet")
    again = run(METHODS, tmp_path)
    assert not again.outcomes["again"].any()
    assert set(again.outcomes["status"]) == {"ok"}


def test_the_key_depends_on_the_settings_of_a_method_and_not_on_the_process() -> None:
    dataset = made()
    (question,) = questions("weak-to-strong:params", dataset, parse_sees("compute"))

    def key(how: str, seed: int = 0) -> str:
        (task,) = tasks(dataset, [question], {"one": Breaks(how)}, 50, seed)
        return key_of(task)

    assert key("bug") == key("bug")
    assert key("bug") != key("input")
    assert key("bug") != key("bug", 1)


@pytest.mark.slow
def test_many_processes_say_what_one_says() -> None:
    one, many = run(METHODS), run(METHODS, jobs=2)
    pd.testing.assert_frame_equal(one.cells, many.cells)


def test_pairs_are_judged_and_the_better_law_is_found() -> None:
    """Offsets of families are real, so a law that knows them is better; the mean of a family knows no size."""
    found = run(METHODS)
    table = comparison_table(found, 200)
    assert table.iloc[0]["method"] == "flops-intercept"
    assert list(table["against"]) == ["best", "worse", "worse"]
    pairs = pair_table(found, "mae", 200)
    assert len(pairs) == 3
    row = pairs[(pairs["a"] == "family-mean") & (pairs["b"] == "flops-intercept")].iloc[0]
    assert row["better"] == "B"
    assert row["low"] > 0
    assert row["clusters"] == 8
