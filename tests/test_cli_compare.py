"""`csvjax compare` as a user calls it, on small tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from csvjax.cli import app

Result = Any  # what the runner returns has no public type


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    size = np.tile([1, 3, 10, 30], 6)
    ability = 0.5 * np.log(size) + np.repeat(rng.normal(0, 0.5, 6), 4)
    frame = pd.DataFrame(
        {
            "Model": [f"m{i}" for i in range(24)],
            "Model Family": np.repeat(list("abcdef"), 4),
            "Model Size (B)": size,
            "Pretraining Data Size (T)": np.repeat([1, 1, 2, 2, 3, 3], 4),
            "date": [f"2023-{1 + i // 2:02d}-01" for i in range(24)],
            "easy": 1 / (1 + np.exp(-ability)),
            "hard": 1 / (1 + np.exp(2 - ability)),
        }
    )
    path = tmp_path / "scores.csv"
    frame.to_csv(path, index=False)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *[str(a) for a in arguments]])


METHODS = "family-mean,flops-intercept,pca-1"


def test_one_table_one_figure_and_lines(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = call("--scores", table, "--methods", METHODS, "--split", "compute:1e23", "--out", out)
    assert done.exit_code == 0, done.output
    assert "flops-intercept" in done.stdout
    assert "pca-1: not applicable: needs scores of the models to predict" in done.stdout
    found = pd.read_csv(out / "table.csv").set_index("method")
    assert found.loc["flops-intercept", "against"] == "best"
    assert found.loc["flops-intercept", "answered"] == found.loc["flops-intercept", "asked"]
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["method"] * 3 + ["pair"]
    assert "plotly" in (out / "figure.html").read_text(encoding="utf-8")[:5000]
    assert json.loads((out / "config.json").read_text())["splits"] == ["compute:1e23"]


def test_a_second_run_computes_what_is_new_alone(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = call("--scores", table, "--methods", "family-mean", "--split", "families:3", "--out", out)
    assert "3 fits, 0 of them from an earlier run" in first.stdout
    more = call("--scores", table, "--methods", "family-mean,last-known", "--split", "families:3", "--out", out)
    assert "6 fits, 3 of them from an earlier run" in more.stdout


def test_benchmarks_may_be_predicted_from_the_others(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = call("--scores", table, "--methods", METHODS, "--split", "date:2023-08-31", "--sees", "all", "--out", out)
    assert done.exit_code == 0, done.output
    assert (pd.read_csv(out / "table.csv")["status"] == "ok").all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--split", "compute:1e23", "--methods", "slot"), "found 'slot': the nearest is 'sloth'"),
        (("--split", "compute:1e99"), "models on both sides"),
        (("--split", "date:2023-08-31:day"), "the column 'day', which the table of models does not have"),
        (("--split", "cells", "--sees", "everything"), "expected nothing, all"),
        (("--split", "cells", "--split", "cells"), "found cells more than once"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    table: Path, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    done = call("--scores", table, "--out", tmp_path / "run", *options)
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


def test_nothing_but_a_run_is_written_into(table: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    done = call("--scores", table, "--split", "cells", "--out", tmp_path / "mine")
    assert done.exit_code == 2
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_names_are_shown_as_they_are(table: Path, tmp_path: Path) -> None:
    """The title of a split by a column "family" holds what rich would take for an emoji."""
    done = call("--scores", table, "--methods", "family-mean", "--split", "corpus:family", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "corpus:family: " in done.stdout
