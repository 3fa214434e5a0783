"""Feature salience, from the command line: fitted on one text, applied to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flax import nnx
from typer.testing import CliRunner

from csvjax.cli import app
from csvjax.data.read_losses import write_losses
from csvjax.scale.feature_fit import z_of
from csvjax.scale.features import BUCKETS, Features
from csvjax.scale.network import NetworkConfig, make_network
from tests.scale.simulated import simulated


def tables(folder: Path, seed: int = 0, units: int = 600) -> tuple[Path, Path]:
    dataset, _ = simulated(20, units, seed, 2)
    assert dataset.losses is not None
    assert dataset.scores is not None
    write_losses(dataset.losses, folder / f"text{seed}.zarr")
    path = folder / "scores.csv"
    dataset.scores.to_frame().to_csv(path)
    return folder / f"text{seed}.zarr", path


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    return done.exit_code, done.output


def test_a_network_that_has_learnt_nothing_is_the_mean_loss() -> None:
    config = NetworkConfig(3)
    features = Features(np.arange(9) % BUCKETS, np.arange(9) % 4, np.ones((9, 5), np.float32))
    parameters = nnx.to_pure_dict(nnx.state(make_network(config, 0)))
    assert (z_of(config, parameters, features) == 0).all()


@pytest.mark.slow
def test_weights_of_a_text_that_no_fit_has_seen(tmp_path: Path) -> None:
    first, scores = tables(tmp_path)
    other, _ = tables(tmp_path, 1)
    code, said = run("salience", "pack", first, "--out", tmp_path / "packed")
    assert code == 0, said
    code, said = run(
        "salience", "fit", tmp_path / "packed", "--scores", scores, "--out", tmp_path / "run", "--steps", 60
    )
    assert code == 0, said
    code, said = run("salience", "apply", other, "--fit", tmp_path / "run", "--out", tmp_path / "weights")
    assert code == 0, said
    tokens = pd.read_parquet(tmp_path / "weights" / "tokens.parquet")
    documents = pd.read_parquet(tmp_path / "weights" / "documents.parquet")
    assert tokens["weight"].sum() == pytest.approx(1)
    assert documents["weight"].sum() == pytest.approx(1)
    assert tokens.groupby("domain")["weight"].sum()["first"] > 0.4  # a quarter of its bytes
    code, said = run("salience", "apply", other, "--fit", tmp_path / "packed", "--out", tmp_path / "w")
    assert code == 2
    assert "expected a feature salience" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["component", "free", "gaussian"])
def test_the_other_kinds_weigh_the_text_of_the_fit(tmp_path: Path, kind: str) -> None:
    store, scores = tables(tmp_path)
    code, said = run("salience", "fit", store, "--scores", scores, "--out", tmp_path / "run", "--kind", kind)
    assert code == 0, said
    tokens = pd.read_parquet(tmp_path / "run" / "tokens.parquet")
    assert tokens["weight"].sum() == pytest.approx(1, abs=1e-3)
    assert tokens.groupby("domain")["weight"].sum()["first"] > 0.4


def test_what_cannot_be_fitted_is_said(tmp_path: Path) -> None:
    store, scores = tables(tmp_path, units=20)
    out = tmp_path / "run"
    for more, sentence in (
        (("--kind", "other"), "expected --kind"),
        (("--method", "map"), "expected --method"),
        (("--benchmark", "c"), "expected --benchmark"),
    ):
        code, said = run("salience", "fit", store, "--scores", scores, "--out", out, *more)
        assert code == 2
        assert sentence in said
    code, said = run("salience", "fit", tmp_path / "none", "--scores", scores, "--out", out)
    assert code == 2
    code, said = run("salience", "apply", store, "--fit", tmp_path, "--out", out)
    assert code == 2
