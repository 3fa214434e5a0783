"""Revisions of a repository are checkpoints of a run, in the store of losses and in the data of a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from csvjax.cli import app
from csvjax.cli.inputs import with_runs
from csvjax.data.dataset import Dataset
from csvjax.data.read_losses import read_runs
from csvjax.lms.checkpoint import open_checkpoint
from csvjax.losses.extract import LossOptions, extract
from csvjax.losses.text import Document
from tests.lms.small import write_checkpoint


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folders = {
        revision: write_checkpoint(tmp_path / str(revision), seed) for seed, revision in enumerate(("step8", None))
    }
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, revision, **_: str(folders[revision]))
    lms = [open_checkpoint("org/lm@step8"), open_checkpoint("org/other")]
    extract(lms, [Document("d", "n", "the theme of them")], tmp_path / "s.zarr", LossOptions(context=32, batch=64))
    return tmp_path / "s.zarr"


def frame(**columns: list[object]) -> Dataset:
    amounts = dict.fromkeys(("params", "tokens", "flops"), np.nan)
    return Dataset(
        pd.DataFrame({"family": "f", **amounts, **columns}, pd.Index(["other", "lm@step8"], name="lm")), None
    )


def test_a_store_tells_the_run_and_the_step_of_a_revision(store: Path) -> None:
    assert read_runs(store) == {"lm@step8": {"run": "org/lm", "step": 8}}
    found = with_runs(frame(), store).lms
    assert found["run"].isna().tolist() == [True, False]
    assert found["run"].iloc[1] == "org/lm"
    assert found["step"].iloc[1] == 8


@pytest.mark.parametrize("name", ["joined.zarr", "joined.zarr.zip"])
def test_a_joined_store_keeps_them(store: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["losses", "join", str(store), "--out", str(store.parent / name)])
    assert done.exit_code == 0, done.output
    assert read_runs(store.parent / name) == {"lm@step8": {"run": "org/lm", "step": 8}}


def test_what_a_table_says_of_runs_counts(store: Path) -> None:
    found = with_runs(frame(run=["a", "a"], step=[1, 2]), store).lms
    assert list(found["run"]) == ["a", "a"]
    assert list(found["step"]) == [1, 2]


def test_tables_of_losses_tell_no_runs(tmp_path: Path) -> None:
    (tmp_path / "losses.csv").write_text("lm,a\nother,1.0\n")
    for place in (tmp_path / "losses.csv", tmp_path, tmp_path / "nothing"):
        assert read_runs(place) == {}
    assert with_runs(frame(), None).lms.equals(frame().lms)
