"""The memory that draws need: kept by a smaller number of draws at once, and refused in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from csvjax.memory import PIECE, bytes_for, drawing, piece, piece_for
from csvjax.prediction import Drawn, new_table, predict
from csvjax.result.result import Result
from experiments.drill_tools import write_scores
from tests.command_line import call
from tests.result.conftest import written

ROOM = 2  # the estimate holds within this factor


def test_the_piece_is_the_largest_that_fits() -> None:
    assert piece_for(2**40, 1000, 100, 10) == PIECE
    limit = bytes_for(1000, 200_000, 7)
    assert piece_for(limit, 1000, 10_000, 20) == 7
    assert piece_for(limit - 1, 1000, 10_000, 20) == 6
    with pytest.raises(
        InputError,
        match=r"expected at least 1\d\.\d\d GiB for 1,000 draws of 10,000 models and 20 benchmarks, found --memory "
        r"8.00 GiB; give more, or use fewer --draws, models or benchmarks",
    ):
        piece_for(8 * 2**30, 1000, 10_000, 20)


def test_a_limit_lasts_as_long_as_its_block() -> None:
    with drawing(3):
        assert piece() == 3
        with drawing(None):
            assert piece() == PIECE
        assert piece() == 3
    assert piece() == PIECE


def test_draws_do_not_depend_on_how_many_are_drawn_at_once(dataset: Dataset, seen: np.ndarray) -> None:
    whole = written(dataset, seen, draws=60).cells
    with drawing(7):
        pieces = written(dataset, seen, draws=60).cells
    for name in ("capability", "logit", "mean", "score"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-5, atol=1e-6, err_msg=name)


def test_new_models_in_pieces_are_those_of_predict(fit: Result) -> None:
    count = 53  # more than one piece of models
    models = pd.DataFrame({"flops": 10 ** np.linspace(21, 25, count)}, [f"new{i}" for i in range(count)])
    pd.testing.assert_frame_equal(new_table(fit, models), predict(fit, models).table())
    assert isinstance(predict(fit, models[:2]).drawn, Drawn)


@pytest.mark.parametrize("command", ["fit", "predict"])
def test_commands_refuse_what_cannot_fit(command: str, fit: Result, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.csv")
    fit.save(tmp_path / "saved")
    given = ["fit", "--scores", tmp_path / "scores.csv", "--out", tmp_path / "run"]
    given = given if command == "fit" else ["predict", tmp_path / "saved"]
    done = call(*given, "--memory", "100MB")
    assert done.exit_code == 2
    assert "error: expected at least" in done.stderr
    assert "found --memory 0.09 GiB; give more, or use fewer --draws" in done.stderr
    assert not (tmp_path / "run").exists()
    assert call(*given, "--memory", "x").exit_code == 2


def _under(limit: int, at_once: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.memory", "--one", f"300,10,400,{at_once}", "--limit", str(limit)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [50, 5])
def test_the_estimate_holds_under_a_limit_of_the_system(at_once: int) -> None:
    """300 models, 10 benchmarks and 400 draws in twice the estimate, and 128 MiB for programs that are compiled."""
    kept = _under(ROOM * (bytes_for(400, 3000, at_once) - bytes_for(0, 0)) + 2**27, at_once)
    assert kept.returncode == 0, kept.stderr[-500:]
    found = json.loads(kept.stdout.splitlines()[-1])
    assert found["whole_mb"] <= found["whole_estimate_mb"] <= ROOM * found["whole_mb"]


@pytest.mark.slow
def test_fifty_draws_at_once_do_not_fit_where_five_do() -> None:
    limit = ROOM * (bytes_for(400, 3000, 5) - bytes_for(0, 0))
    assert _under(limit, 50).returncode != 0
