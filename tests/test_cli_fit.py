"""Runs of `csvjax fit` and what they answer. The fit is written down for the fast tests, and searched for in the
slow ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import csvjax
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.read_losses import write_losses
from csvjax.plain import write_json
from tests.command_fit import BENCHMARKS, fit_with, tables
from tests.command_line import Result, call
from tests.result.conftest import written


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    tables(made)
    return made


def fit_as_written(data: Dataset, law: csvjax.Law, *, seen: np.ndarray, **rest: object) -> csvjax.Result:
    return written(data, seen, law)


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run whose parameters are written down; everything else is as `csvjax fit` does it."""
    out = tmp_path_factory.mktemp("written") / "run"
    options = ("--holdout", "flops > 3e23", "--targets", "fair,hard", "--capabilities", "1", "--out", out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("csvjax.fitting.fit", fit_as_written)
        return out, call(*fit_with(folder, *options))


def test_fit_writes_a_run(run: tuple[Path, Result], folder: Path) -> None:
    out, done = run
    assert done.exit_code == 0, done.output
    said = done.stdout.splitlines()
    assert said[0] == "read 15 models of 3 families from scores.csv"
    (law,) = [line for line in said if line.startswith("law: ")]
    assert "law: nuts (41 scores are few enough for NUTS" in law
    assert "1 capability, covariates flops, effects of family" in law
    assert "written" in said
    config = json.loads((out / "config.json").read_text())
    assert (config["targets"], config["status"]) == (["fair", "hard"], "written")
    assert config["law"]["covariates"] == ["flops"]
    predictions = pd.read_parquet(out / "predictions.parquet")
    table = pd.read_csv(folder / "scores.csv").set_index("name")
    held = table.index[table["compute"] > 300]
    assert set(zip(predictions["lm"], predictions["benchmark"], strict=True)) == {
        (lm, benchmark) for lm in held for benchmark in ("fair", "hard")
    }
    for row in predictions.to_dict("records"):
        assert row["observed"] == table.loc[row["lm"], row["benchmark"]]
        assert row["lower90"] <= row["lower50"] <= row["upper50"] <= row["upper90"]
    fit = csvjax.load(out)
    assert fit.law.covariates == ("flops",)
    np.testing.assert_allclose(fit.dataset.lms["flops"], 1e21 * table["compute"])
    tree = xr.open_datatree(out / "posterior.zarr", engine="zarr")
    assert tree["log_likelihood"]["score"].sizes["cell"] == config["fitted scores"] == 45 - len(predictions)
    assert (pd.read_csv(out / "metrics.csv")["split"] == "flops > 3e23").all()


def test_the_dataset_of_a_run_is_data(run: tuple[Path, Result], tmp_path: Path) -> None:
    """Without losses too; here as far as the first mistake."""
    done = call("fit", "--data", run[0] / "data", "--capabilities", "9", "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert "to 3, the number of benchmarks, found '9'" in done.stderr


def test_a_fit_that_was_saved_from_python_is_a_run(run: tuple[Path, Result], tmp_path: Path) -> None:
    csvjax.load(run[0]).save(tmp_path / "saved")
    done = call("predict", tmp_path / "saved", "--flops", "1e26")
    assert done.exit_code == 0, done.output
    done = call("inspect", tmp_path / "saved")
    assert done.exit_code == 0, done.output
    assert "it is unknown whether the intervals are right" in done.stdout


def test_inspect_gives_the_verdict_first(run: tuple[Path, Result]) -> None:
    out, _ = run
    done = call("inspect", out)
    assert done.exit_code == 0, done.output
    predictions = pd.read_parquet(out / "predictions.parquet")
    inside = (
        (predictions["observed"] >= predictions["lower90"]) & (predictions["observed"] <= predictions["upper90"])
    ).sum()
    assert done.stdout.splitlines()[0].startswith(f"written. {inside} of {len(predictions)} held-out scores")
    for words in (
        "r-hat needs several chains",
        "coverage of held-out scores",
        "capabilities, 90 %",
        "loadings, logits",
        "m14",
        "hard",
    ):
        assert words in done.stdout


def test_a_run_has_a_report(run: tuple[Path, Result]) -> None:
    done = call("report", run[0])
    assert done.exit_code == 0, done.output
    assert "of the scores of an unseen model" in (run[0] / "report.html").read_text()


def test_predict_answers_each_kind_of_question(run: tuple[Path, Result], folder: Path, tmp_path: Path) -> None:
    out, _ = run
    assert call("predict", out, "--out", tmp_path / "again.csv").exit_code == 0
    again = pd.read_csv(tmp_path / "again.csv")
    np.testing.assert_allclose(again["predicted"], pd.read_parquet(out / "predictions.parquet")["mean"])
    # A table like that of the fit: the same names of columns, the same unit.
    done = call("predict", out, "--scores", folder / "new.csv", "--out", tmp_path / "new.csv")
    assert done.exit_code == 0, done.output
    new = pd.read_csv(tmp_path / "new.csv").set_index("benchmark")
    assert list(new.index) == BENCHMARKS
    assert new.loc["easy", "observed"] == pd.read_csv(folder / "new.csv")["easy"][0]
    assert new["observed"].isna().sum() == 2
    done = call("predict", out, "--flops", "1e26", "--family", "f1", "--interval", "highest-density")
    assert done.exit_code == 0, done.output
    assert "highest-density intervals" in done.stdout
    assert "f1, 1e+26 flops" in " ".join(done.stdout.split())
    done = call("predict", out, "--reach", "fair=0.9", "--family", "f1", "--reach", "easy=0.5")
    assert done.exit_code == 0, done.output
    assert [line.split(" at ")[0] for line in done.stdout.splitlines()] == [
        "a model of f1 reaches 0.9 on fair",
        "a model of f1 reaches 0.5 on easy",
    ]
    (tmp_path / "lms.csv").write_text("lm,family,flops\nx,f2,1e25\n")
    done = call("predict", out, "--lms", tmp_path / "lms.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("x ") >= 3


def other_text(folder: Path) -> Path:
    units = pd.DataFrame({"token": ["a"], "document": "d", "domain": "x", "start": [0], "bytes": [1]})
    path = folder / "other.zarr"
    write_losses(LossTable(("new",), np.ones((1, 1)), units), path)
    return path


def unknown(folder: Path) -> Path:
    path = folder / "unknown.csv"
    path.write_text("name,kin,compute,poetry\nnew,f0,3,0.5\n")
    return path


QUESTIONS: dict[str, tuple[Callable[[Path], tuple[object, ...]], str]] = {
    "family": (lambda f: ("--flops", "1e26", "--family", "g1"), "found 'g1'"),
    "family alone": (lambda f: ("--family", "f1"), "--family needs --flops, --params, --tokens or --reach"),
    "amount": (lambda f: ("--flops", "-1"), "expected flops above 0, found -1"),
    "benchmark": (lambda f: ("--reach", "hrd=0.5"), "the nearest is 'hard'"),
    "no score": (lambda f: ("--reach", "hard"), "BENCHMARK=SCORE, found 'hard'"),
    "percent": (lambda f: ("--reach", "hard=50"), "a score to reach between 0 and 1, found 50"),
    "two kinds": (lambda f: ("--scores", f / "new.csv", "--flops", "1e26"), "--scores cannot be used with --flops"),
    "models of the fit": (lambda f: ("--scores", f / "scores.csv"), "models that the fit does not have, found 'm00'"),
    "unknown benchmark": (lambda f: ("--scores", unknown(f)), "columns with the names of benchmarks of the fit"),
    "losses": (lambda f: ("--losses", other_text(f)), "the fit has no losses, but the new models have some"),
    "out": (lambda f: ("--reach", "hard=0.5", "--out", f / "reach.csv"), "--out cannot be used with --reach"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_wrong_question_is_told_in_one_sentence(run: tuple[Path, Result], folder: Path, name: str) -> None:
    arguments, says = QUESTIONS[name]
    done = call("predict", run[0], *arguments(folder))
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert not (folder / "reach.csv").exists()


def test_runs_that_hold_no_fit_are_told(tmp_path: Path) -> None:
    write_json({"format": "csvjax run 1", "command": "compare"}, tmp_path / "config.json")
    for command, folder in (("inspect", tmp_path), ("predict", tmp_path), ("inspect", tmp_path / "absent")):
        done = call(command, folder)
        assert done.exit_code == 2, done.output
        assert "expected the folder of a fit" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_whole_way_without_families_and_with_a_choice(folder: Path, tmp_path: Path) -> None:
    named = ("--lm-column", "name", "--flops-column", "compute", "--flops-unit", "1e21", "--benchmarks", "easy,hard")
    chosen = ("--capabilities", "auto", "--holdout", "weak-to-strong:flops:3", "--inner", "weak-to-strong:flops:3")
    out = tmp_path / "run"
    done = call("fit", "--scores", folder / "alone.csv", *named, *chosen, "--quick", "--out", out)
    assert done.exit_code == 0, done.output
    assert "\nconverged" in done.stdout
    assert "chosen by the log score on fitted scores that --inner hides" in " ".join(done.stdout.split())
    choice = pd.read_csv(out / "choice.csv")
    assert sorted(choice["capabilities"]) == [1, 2]
    assert choice["log_score"].is_monotonic_decreasing
    fit = csvjax.load(out)
    assert fit.law.capabilities == choice["capabilities"][0]
    assert fit.law.effects == ()
    assert len(pd.read_parquet(out / "predictions.parquet")) == 6
    assert call("inspect", out).exit_code == 0


@pytest.mark.slow
def test_chains_go_on_and_their_agreement_is_told(folder: Path, tmp_path: Path) -> None:
    options = ("--capabilities", "1", "--method", "nuts", "--quick", "--chains", tmp_path / "chains")
    done = call(*fit_with(folder, *options, "--holdout", "flops > 3e23", "--out", tmp_path / "run"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "chains" / "chains.npz").is_file()
    again = call(*fit_with(folder, *options, "--holdout", "flops > 3e23", "--out", tmp_path / "again"))
    assert again.exit_code == 0, again.output
    np.testing.assert_array_equal(csvjax.load(tmp_path / "run").x, csvjax.load(tmp_path / "again").x)
    table = pd.read_csv(tmp_path / "run" / "convergence.csv")
    assert set(table["quantity"]) >= {"loading, aligned", "capability, aligned", "logit", "parameters"}
    said = call("inspect", tmp_path / "run").stdout
    assert "convergence of 2 chains" in said


@pytest.mark.slow
def test_an_absurd_model_is_named_and_what_is_known_of_a_benchmark_is_kept(folder: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(folder / "scores.csv")
    frame.loc[4, BENCHMARKS] = [0.0, 1.0, 0.0]
    frame.to_csv(tmp_path / "scores.csv", index=False)
    known = ("--floor", "easy=unknown", "--ceiling", "hard=0.95", "--items", "fair=200", "--prior", "loading=1.5")
    words = [*fit_with(tmp_path, *known, "--holdout", "flops > 3e23", "--quick", "--out", tmp_path / "run")]
    done = call(*words)
    assert done.exit_code == 0, done.output
    assert "left out of the fit: 'm04', whose scores the law cannot explain" in " ".join(done.output.split())
    fit = csvjax.load(tmp_path / "run")
    assert fit.outliers == ("m04",)
    assert fit.law.priors.loading == 1.5
    assert np.isnan(fit.evidence.floor[0])
    np.testing.assert_array_equal(fit.evidence.ceiling, [np.nan, np.nan, 0.95])
    cells = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert not (cells["lm"] == "m04").any()
    said = call("inspect", tmp_path / "run").stdout
    assert "left out of the fit: 'm04'" in " ".join(said.split())
    assert call("predict", tmp_path / "run", "--scores", folder / "new.csv").exit_code == 0
    kept = call(*words[:-1], tmp_path / "all", "--keep-outliers")
    assert kept.exit_code == 0, kept.output
    assert csvjax.load(tmp_path / "all").outliers == ()


def test_a_rating_is_read_predicted_and_shown_in_its_unit(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    able = np.linspace(-2, 2, 14)
    frame = pd.DataFrame({"model": [f"m{i}" for i in range(14)], "flops": 10 ** (23 + able)})
    frame["solved"] = 1 / (1 + np.exp(-able - 0.1 * rng.normal(size=14)))
    frame["Arena"] = 1150 + 60 * able + 5 * rng.normal(size=14)
    frame.to_csv(tmp_path / "t.csv", index=False)
    run, unit = tmp_path / "run", ("--score-unit", "Arena=elo")
    done = call("fit", "--scores", tmp_path / "t.csv", *unit, "--method", "map", "--out", run)
    assert done.exit_code == 0, done.output
    assert "benchmark Arena: Elo, 14 scores from" in done.output
    new = tmp_path / "new.csv"
    frame.iloc[-1:].assign(model="later")[["model", "Arena"]].to_csv(new, index=False)
    told = json.loads(call("predict", run, "--scores", new, "--json").stdout)["predictions"]
    assert {row["benchmark"]: row["unit"] for row in told} == {"solved": "fraction", "Arena": "Elo"}
    # A table without the rating is read too, and one in another unit is not taken for one.
    frame.iloc[-1:].assign(model="later")[["model", "solved"]].to_csv(new, index=False)
    assert call("predict", run, "--scores", new).exit_code == 0
    done = call("predict", run, "--reach", "Arena=-inf")
    assert done.exit_code == 2
    assert "in the unit of Arena, Elo" in done.stderr
