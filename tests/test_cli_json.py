"""What commands give to other programs: `--json`, and tables in files of three formats."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from csvjax.cli import app
from csvjax.cli.output import write_table
from csvjax.errors import InputError
from csvjax.losses.units import encode_text
from tests.lms.small import byte_level
from tests.losses.test_store import DOCUMENTS, filled

N = 9


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("json") / "scores.csv"
    flops = np.logspace(20, 23, N)
    p = 1 / (1 + np.exp(-0.8 * (np.log10(flops) - 21.5)))
    rows = [f"m{i},{'FG'[i % 2]},{flops[i]:.4g},{p[i]:.4f},{p[i] ** 2:.4f}" for i in range(N)]
    path.write_text("model,family,flops,a,b\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def fitted(table: Path) -> tuple[Path, Any]:
    """A run, and what the command that made it said."""
    run = table.parent / "run"
    return run, call("fit", "--scores", table, "--holdout", "flops>3e22", "--method", "map", "--out", run, "--json")


def document(done: Any) -> Any:
    """The one JSON document that a command printed."""
    assert done.exit_code == 0, done.output
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_a_fit_answers_with_its_run_and_predictions(fitted: tuple[Path, Any]) -> None:
    run, done = fitted
    told = document(done)
    assert told["run"] == str(run)
    assert "read 9 models of 2 families from scores.csv" in done.stderr
    assert "1/3 fitting" in done.stderr
    assert {row["lm"] for row in told["predictions"]} == {"m7", "m8"}
    kept = pd.read_parquet(run / "predictions.parquet")
    np.testing.assert_allclose([row["predicted"] for row in told["predictions"]], kept["mean"])
    assert json.loads((run / "config.json").read_text())["status"] == told["status"]


def test_inspect_answers_with_its_tables_and_writes_them(fitted: tuple[Path, Any], tmp_path: Path) -> None:
    run, _ = fitted
    files = {"capabilities": tmp_path / "able.parquet", "loadings": tmp_path / "loadings.json"}
    told = document(call("inspect", run, "--json", *(x for name, path in files.items() for x in (f"--{name}", path))))
    assert len(told["capabilities"]) == N
    able = pd.read_parquet(files["capabilities"])
    assert [row["lm"] for row in told["capabilities"]] == list(able["lm"])
    assert json.loads(files["loadings"].read_text()) == told["loadings"]
    assert {row["benchmark"] for row in told["coverage"]} >= {"a", "b"}
    done = call("inspect", run, "--salience", tmp_path / "salience.csv")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "without losses" in done.stderr
    assert call("inspect", run, "--loadings", tmp_path / "x.xlsx").exit_code == 2


def test_predictions_are_the_same_in_every_format(fitted: tuple[Path, Any], tmp_path: Path) -> None:
    run, _ = fitted
    told = document(call("predict", run, "--flops", "1e24", "--reach", "a=0.9", "--json"))
    assert told["reach"][0]["benchmark"] == "a"
    assert told["reach"][0]["sentence"].startswith("a model of a new family")
    for suffix in ("csv", "json", "parquet"):
        path = tmp_path / f"predictions.{suffix}"
        assert document(call("predict", run, "--flops", "1e24", "--out", path, "--json"))["predictions"]
        found = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[suffix](path)
        np.testing.assert_allclose(found["predicted"], [row["predicted"] for row in told["predictions"]])
        assert list(found) == list(told["predictions"][0])
    done = call("predict", run, "--flops", "1e24", "--out", tmp_path / "predictions.txt")
    assert (done.exit_code, "ends in .csv, .json, .parquet" in done.stderr) == (2, True)


def test_import_answers_and_an_error_leaves_stdout_empty(table: Path, tmp_path: Path) -> None:
    told = document(call("import", table, "--out", tmp_path / "s.parquet", "--json"))
    assert told["scores"] == 2 * N
    assert told["read"]["files"] == ["scores.csv"]
    done = call("check", tmp_path / "no.csv", "--json")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_stores_of_losses_are_told_and_changed(tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    filled(store, encode_text(DOCUMENTS, byte_level()), ("m0", "m1"))
    told = document(call("losses", "show", store, "--json"))
    assert list(told["models"]) == ["m0", "m1"]
    assert {row["lm"] for row in told["means"]} == {"m0", "m1"}
    assert document(call("losses", "drop", store, "m0", "--json"))["dropped"] == "m0"
    assert document(call("losses", "join", store, "--out", tmp_path / "j.zarr", "--json"))["models"] == ["m1"]


def test_a_real_process_keeps_its_stdout_clean(table: Path) -> None:
    command = [sys.executable, "-m", "csvjax.cli", "check", str(table), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [note["name"] for note in json.loads(done.stdout)["benchmarks"]] == ["a", "b"]
    assert "read 9 models" in done.stderr


@pytest.mark.parametrize(
    "command",
    [*((name,) for name in ("demo", "check", "import", "fit", "predict", "inspect", "evaluate", "compare", "report")),
     ("ladder",), ("losses",), ("losses", "join"), ("losses", "drop"), ("losses", "show")],
)  # fmt: skip
def test_every_command_has_the_option(command: tuple[str, ...]) -> None:
    assert "--json" in call(*command, "--help").stdout


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [0.5, float("nan")], "lm": ["a", "é"]})
    write_table(frame, tmp_path / "t.json")
    written = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert written == [{"x": 0.5, "lm": "a"}, {"x": None, "lm": "é"}]
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(InputError, match="found the folder"):
        write_table(frame, tmp_path / "t.csv")
