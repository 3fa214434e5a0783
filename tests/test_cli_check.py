"""`csvjax check` and `csvjax import`: what is read is told, and kept in one form."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from csvjax.cli import app
from csvjax.cli.source import BENCHMARKS, DATA, Source, flag
from csvjax.data.read_scores import read_scores
from csvjax.errors import InputError

TABLE = "Rank,Model,#Params (B),MMLU,own,humaneval\n" + "".join(
    f"{i},m{i},{i},{30 + 3.1 * i:.2f},{20 + 4.2 * i:.2f},{0.1 + 0.05 * i:.4f}\n" for i in range(1, 9)
)


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "board.csv"
    path.write_text(TABLE)
    return path


def test_everything_that_is_read_or_ignored_is_told(table: Path) -> None:
    done = call("check", table)
    assert done.exit_code == 0, done.output
    for line in (
        "read 8 models from board.csv",
        "benchmark MMLU: percent, 8 scores from 0.331 to 0.548, chance 0.25 (from its name), items unknown",
        "benchmark own: percent, 8 scores from 0.242 to 0.536, chance unknown, inferred, items unknown",
        "benchmark humaneval: fraction, 8 scores from 0.15 to 0.5, chance 0 (from its name), items unknown",
        "covariate params [#Params (B) x B]: 8 known, from 1e+09 to 8e+09",
        "ignored Rank: it is a rank",
    ):
        assert line in done.stdout
    told = json.loads(call("check", table, "--json", "--floor", "own=0.2", "--items", "own=50").stdout)
    assert [note["floor"] for note in told["benchmarks"]] == [0.25, 0.2, 0]
    assert told["benchmarks"][1]["n_items"] == 50
    assert told["covariates"][0]["column"] == "#Params (B)"
    assert told["ignored"] == [{"column": "Rank", "reason": "it is a rank"}]


def test_options_of_a_table_are_those_of_a_fit(table: Path) -> None:
    done = call("check", table, "--score-unit", "percent")
    assert done.exit_code == 2
    assert "--score-unit humaneval=percent" in done.stderr
    assert done.stderr.count("\n") == 1
    done = call(
        "check", table, "--score-unit", "percent", "--score-unit", "humaneval=1", "--benchmarks", "humaneval,MMLU"
    )
    assert "humaneval: fraction" in done.stdout
    assert "benchmark own" not in done.stdout
    assert (
        "a number, 'percent' or one of fraction, elo" in call("check", table, "--score-unit", "humaneval=much").stderr
    )


def test_names_with_commas_can_be_selected(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('model,"y,z",[red]x[/red]\na,0.1,0.2\nb,0.3,0.4\n')
    for words in (["y,z"], ['"y,z"']):
        done = call("check", path, "--benchmarks", *words, "--benchmarks", "[red]x[/red]")
        assert "benchmark y,z:" in done.stdout
        assert "benchmark [red]x[/red]:" in done.stdout


def test_what_is_imported_is_read_as_the_file_was(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    done = call("import", table, "--out", out)
    assert done.exit_code == 0, done.output
    assert "wrote 24 scores of 8 models" in done.stdout
    one, lms = read_scores(table)
    two, again = read_scores(out)
    assert (one.lms, one.benchmarks) == (two.lms, two.benchmarks)
    np.testing.assert_array_equal(one.score, two.score)
    pd.testing.assert_frame_equal(lms, again)
    assert json.loads(pq.read_schema(out).metadata[b"csvjax"]) == {"format": "csvjax scores", "version": 1}
    assert "end in .parquet" in call("import", table, "--out", tmp_path / "x.csv").stderr


def test_every_metric_and_part_is_imported(tmp_path: Path) -> None:
    rows = [
        (lm, b, w, 0.3 + 0.1 * i)
        for lm in "ab"
        for i, (b, w) in enumerate([("p", "acc"), ("p", "acc_norm"), ("q", "acc")])
    ]
    frame = pd.DataFrame(rows, columns=["lm", "benchmark", "metric", "score"]).assign(group=["", "", "p"] * 2)
    path, out = tmp_path / "t.csv", tmp_path / "o.parquet"
    frame.to_csv(path, index=False)
    assert call("import", path, "--out", out).exit_code == 0
    kept = pd.read_parquet(out)
    assert set(zip(kept["benchmark"], kept["metric"], kept["group"], strict=True)) == {
        ("p", "acc", ""), ("p", "acc_norm", ""), ("q", "acc", "p")
    }  # fmt: skip
    assert read_scores(out)[0].benchmarks == ("p",)


def test_scores_of_a_later_version_are_refused(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    call("import", table, "--out", out)
    content = pq.read_table(out)
    metadata = {b"csvjax": json.dumps({"format": "csvjax scores", "version": 2}).encode()}
    pq.write_table(content.replace_schema_metadata(metadata), out)
    with pytest.raises(InputError, match="expected scores of version 1, found version 2; update csvjax"):
        read_scores(out)


def test_each_option_on_tables_is_one_of_every_command_that_reads_them() -> None:
    everything = dict.fromkeys(("fit", "evaluate", "compare"), ())
    for command, left_out in {**everything, "check": DATA, "import": (*DATA, *BENCHMARKS)}.items():
        shown = call(command, "--help").stdout
        for field in fields(Source):
            assert (f"{flag(field.name)} " in shown) == (field.name not in left_out), (command, field.name)


def test_a_command_reads_what_its_options_say(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("who;what;by;got\na;sciq;acc;1.300\na;sciq;em;1.100\nb;sciq;acc;2.400\nb;sciq;em;2.200\n")
    options = ["--lm-column", "who", "--benchmark-column", "what", "--metric-column", "by", "--score-column", "got"]
    options += ["--metric", "em", "--decimal", ",", "--score-unit", "0.0001"]
    (note,) = json.loads(call("check", path, "--json", *options).stdout)["benchmarks"]
    assert (note["source"], note["lowest"], note["highest"]) == ("em", 0.11, 0.22)
    done = call("fit", "--scores", path, *options, "--holdout", "wek", "--out", tmp_path / "run")
    assert "'wek' is none of the splits" in done.stderr  # after reading
    assert "benchmark sciq [em]: units of 0.0001, 2 scores from 0.11 to 0.22" in done.stdout


def test_files_on_benchmarks_and_models_are_read(table: Path, tmp_path: Path) -> None:
    (tmp_path / "benchmarks.toml").write_text(
        '[mine]\naliases = ["own"]\nchance = 0.1\nitems = 77\ngroup = "home-made"\n'
    )
    (tmp_path / "models.toml").write_text("[m1]\nparams = 5e8\ntokens = 1e12\n")
    files = ["--registry", tmp_path / "benchmarks.toml", "--models", tmp_path / "models.toml"]
    told = json.loads(call("check", table, "--json", *files).stdout)
    note = next(note for note in told["benchmarks"] if note["name"] == "mine")
    assert (note["floor"], note["n_items"], note["group"]) == (0.1, 77, "home-made")
    assert call("import", table, "--out", tmp_path / "s.parquet", *files).exit_code == 0
    rows = pd.read_parquet(tmp_path / "s.parquet").query("lm == 'm1'")
    assert set(rows["params"]) == {5e8}
    assert set(rows["flops"]) == {6 * 5e8 * 1e12}
    done = call("check", table, "--registry", tmp_path / "models.toml")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
