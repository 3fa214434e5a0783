"""Experiments as they are called: quick, into a folder, with one JSON object as the last line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from csvjax.errors import InputError
from csvjax.ladder.load import load_ladder
from csvjax.ladder.recipe import QUICK
from csvjax.report.read import read_run
from experiments.running import begin, once

ROOT = Path(__file__).parent.parent.parent


def run(name: str, *options: object) -> dict[str, float]:
    command = [sys.executable, "-m", f"experiments.{name}", "--quick", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_salience_ladder(tmp_path: Path) -> None:
    figures = run("salience_ladder", "--out", tmp_path / "run")
    found = read_run(tmp_path / "run")
    assert figures == found.figures
    asked = {"r2_gain", "worst_task_gain", "crps_ratio"}
    assert set(figures) >= asked | {f"coverage90_{kind}" for kind in ("mixture", "size", "checkpoint")}
    assert found.config["seed"] == 0
    assert "jax" in found.config["versions"]
    assert set(found.predictions["lm"]) <= set(load_ladder().lms.index)
    assert figures["r2_gain"] > 0  # even a first look finds that the tokens matter


@pytest.mark.slow
def test_train_ladder(tmp_path: Path) -> None:
    figures = run("train_ladder", "--out", tmp_path / "ladder")
    checkpoints = len(QUICK.runs) * len(QUICK.checkpoints)
    assert figures["checkpoints"] == checkpoints
    ladder = load_ladder(tmp_path / "ladder" / "data")
    assert len(ladder.lms) == checkpoints
    assert len(ladder.measured()[1].units) == figures["tokens"]


@pytest.mark.slow
def test_calibration(tmp_path: Path) -> None:
    figures = run("calibration", "--out", tmp_path)
    kept = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert kept["figures"] == figures
    for method in ("laplace", "svi", "nuts"):
        assert figures[f"{method}_sims"] == len(np.load(next(tmp_path.glob(f"{method}-*.npz")))["position"])
        assert len(kept["verdicts"][method]) == 10
        # Ten data sets say little; a law and a simulation that do not belong together are far outside.
        assert figures[f"{method}_outside"] <= 5
        assert figures[f"{method}_coverage90_cell"] >= 0.6
    assert "held-out score" in (tmp_path / "calibration.html").read_text(encoding="utf-8")
    # A second call fits nothing anew.
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert run("calibration", "--out", tmp_path) == figures
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figures", "figure", "low", "high"),
    [
        # The best published error of the first row is 2.6e-3, that of the mean of one to four components 2.5e-3.
        ("obs_scaling", {"coverage50", "coverage80", "coverage90", "width90"}, "geomean_test_mse", 1e-4, 6e-3),
        # BLOOM from its smallest model: 2.7 points, 3.6 with ceilings of 1.
        ("sloth_families", {"coverage90"}, "mae_v1_n1", 0.5, 3.5),
        # The published law of twelve benchmarks has 0.071 with four capabilities.
        ("latent_law", {"coverage90_latent", "mae_latent-law"}, "mae_latent", 0.02, 0.12),
        ("emergence", {"coverage90", "mse_arithmetic_columns"}, "mse_arithmetic", 1e-4, 0.2),
        ("openlm_distributions", {"pooled_r2_mean_loss", "worst_task_gain", "coverage90"}, "pooled_r2", 0.40, 0.95),
        # Fifty draws of each chain: chains that sat in different modes would have 1.8 and more.
        ("chains", {"rhat_capability", "rhat_logit"}, "rhat_loading", 1.0, 1.5),
    ],
)
def test_published_protocols(
    name: str, figures: set[str], figure: str, low: float, high: float, public_data: Path, tmp_path: Path
) -> None:
    found = run(name, "--out", tmp_path / "run")
    assert set(found) >= figures
    assert all(np.isfinite(value) for value in found.values())
    assert low < found[figure] < high
    rows = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.json")}
    assert run(name, "--out", tmp_path / "run") == found  # nothing is computed again
    assert rows == {path: path.read_bytes() for path in rows}


def test_a_run_does_not_go_on_with_other_settings(tmp_path: Path) -> None:
    folder = begin(tmp_path / "run", {"seed": 0, "widen": 1.5})
    once(folder / "row.json", lambda: 1)
    assert begin(tmp_path / "run", {"seed": 0, "widen": 1.5}) == folder
    with pytest.raises(InputError, match="to hold the settings of this call, found others"):
        begin(tmp_path / "run", {"seed": 0, "widen": 1.0})
    assert once(folder / "row.json", lambda: 2) == 1


def test_an_experiment_without_its_tables_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments.openlm_distributions", "--out", str(tmp_path / "run")]
    environment = {name: value for name, value in os.environ.items() if name != "CSVJAX_DATA"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: expected CSVJAX_DATA to name the folder of public tables, found it unset; set it\n"
    assert not (tmp_path / "run").exists()
