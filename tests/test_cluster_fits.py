"""Fits on a cluster: chains and folds as tasks, with the results of one process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.cluster import Lost, Where
from csvjax.data.dataset import align
from csvjax.data.scores import ScoreTable
from csvjax.errors import InputError
from csvjax.evaluate import crossfit
from csvjax.evaluate.compare import Outcome
from csvjax.evaluate.questions import SEEN, Question
from csvjax.infer import Map
from csvjax.law.model import Law
from experiments.drill_tools import write_scores
from tests.command_line import Result, call


def here_and_there(folder: Path, command: str, *given: object) -> list[Result]:
    """A command on a table of scores in this process, and with --cluster; their runs are in folders of these names."""
    write_scores(folder / "scores.csv")
    found = []
    for name, more in (("here", []), ("there", ["--cluster", "auto"])):
        done = call(command, "--scores", folder / "scores.csv", "--quick", *given, "--out", folder / name, *more)
        assert done.exit_code == 0, done.output
        found.append(done)
    return found


@pytest.mark.slow
def test_chains_on_a_cluster_are_those_of_one_process(cluster: Where, tmp_path: Path) -> None:
    here_and_there(tmp_path, "fit", "--method", "nuts", "--capabilities", "1")
    one, many = (np.load(tmp_path / name / "fit.npz", allow_pickle=False) for name in ("here", "there"))
    assert sorted(one) == sorted(many)
    for name in one:
        np.testing.assert_array_equal(many[name], one[name], err_msg=name)


@pytest.mark.slow
def test_folds_on_a_cluster_are_those_of_one_process(cluster: Where, tmp_path: Path) -> None:
    for done in here_and_there(tmp_path, "evaluate", "--split", "families:2", "--method", "map"):
        assert "1/3 families:2: " in done.stderr
        assert "3/3 all models" in done.stderr
    one, many = (pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("here", "there"))
    pd.testing.assert_frame_equal(many, one, check_exact=True)
    tables = [pd.read_csv(tmp_path / name / "referee.csv").drop(columns="seconds") for name in ("here", "there")]
    pd.testing.assert_frame_equal(tables[1], tables[0])


def _done(number: int) -> crossfit._Fold:
    frame = pd.DataFrame({"number": [number]})
    return crossfit._Fold(frame, frame, Outcome("s", str(number), "law", "ok", "", 1, 1, 0.0), {"fold": number})


def test_tables_do_not_depend_on_which_fold_is_done_first(monkeypatch: pytest.MonkeyPatch) -> None:
    names, shape = ("a", "b", "c"), (3, 1)
    data = align(scores=ScoreTable(names, ("easy",), np.full(shape, 0.5)))
    hidden = np.zeros(shape, bool)
    asked = [Question("s", str(n), ("easy",), hidden, hidden, SEEN) for n in range(3)]
    order = [2, 0, 1]
    monkeypatch.setattr(crossfit, "run_all", lambda jobs, *rest: iter([(n, _done(n)) for n in order]))
    found = crossfit.crossfit(data, asked, {"law": Law()}, Map())
    for table, column in (
        (found.predictions, "number"),
        (found.judged.cells, "number"),
        (found.judged.outcomes, "question"),
        (found.choices, "fold"),
    ):
        assert list(table[column].astype(int)) == [0, 1, 2]
    monkeypatch.setattr(crossfit, "run_all", lambda *rest: iter([(1, Lost("its worker was lost"))]))
    with pytest.raises(InputError, match="expected 3 fits, found that the one of s: 1 was lost: its worker was lost"):
        crossfit.crossfit(data, asked, {"law": Law()}, Map())


def test_a_cluster_needs_chains(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.csv")
    given = ["fit", "--scores", tmp_path / "scores.csv", "--method", "laplace", "--out", tmp_path / "run"]
    done = call(*given, "--cluster", "auto")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        "error: --cluster needs --method nuts, whose chains are its tasks, found laplace; leave out --cluster or "
        "change --method"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [("fit", "--method", "nuts"), ("evaluate", "--split", "families:2")])
def test_without_ray_nothing_is_fitted(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_scores(tmp_path / "scores.csv")
    done = call(*command, "--scores", tmp_path / "scores.csv", "--out", tmp_path / "run", "--cluster", "auto")
    assert done.exit_code == 2
    last = done.stderr.splitlines()[-1]
    assert last == "error: --cluster needs ray, which is not installed: pip install 'csvjax[cluster]'"
    assert not (tmp_path / "run").exists()
