"""Options of `csvjax fit` and what its runs answer. The fit is written down for the fast tests, and searched for in the
slow ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import csvjax
from csvjax.cli import app
from csvjax.cli.law_options import MethodOptions, method_of
from csvjax.data.dataset import Dataset
from csvjax.data.losses import LossTable
from csvjax.data.read_losses import write_losses
from csvjax.errors import InputError
from csvjax.plain import write_json
from tests.result.conftest import INTERCEPT, written

Result = Any  # what the runner returns has no public type
BENCHMARKS = ["easy", "fair", "hard"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of 15 models of 3 families, in columns with names of their own and compute in units of 1e21."""
    rng = np.random.default_rng(0)
    made = tmp_path_factory.mktemp("data")
    capability = np.linspace(-2, 2, 15)[:, None]
    score = rng.binomial(200, 1 / (1 + np.exp(-capability - INTERCEPT))) / 200
    frame = pd.DataFrame({"name": [f"m{i:02d}" for i in range(15)], "kin": [f"f{i % 3}" for i in range(15)]})
    frame["compute"] = 10 ** np.linspace(-1, 3, 15)
    frame[BENCHMARKS] = score
    frame["released"] = [f"2024-{1 + i % 12:02d}-01" for i in range(15)]
    frame.to_csv(made / "scores.csv", index=False)
    frame.drop(columns="kin").to_csv(made / "alone.csv", index=False)
    new = frame.iloc[-1:].assign(name="new", compute=5e3, fair=np.nan, hard=np.nan)
    new.to_csv(made / "new.csv", index=False)
    return made


def fit_with(folder: Path, *more: object) -> tuple[object, ...]:
    named = ("--lm-column", "name", "--family-column", "kin", "--flops-column", "compute", "--flops-unit", "1e21")
    floors = [word for name in BENCHMARKS for word in ("--floor", f"{name}=0")]
    options = (*named, "--benchmarks", ",".join(BENCHMARKS), *floors)
    return "fit", "--scores", folder / "scores.csv", *options, *more


BAD: dict[str, tuple[Callable[[Path], tuple[object, ...]], str]] = {
    "target": (lambda f: fit_with(f, "--targets", "hrd"), "the nearest is 'hard'"),
    "nothing held out": (lambda f: fit_with(f, "--holdout", "flops>1e30"), "needs models on both sides"),
    "all held out": (lambda f: fit_with(f, "--holdout", "flops>1"), "needs models on both sides"),
    "too many held out": (lambda f: fit_with(f, "--holdout", "flops>1.5e20"), "at least three models with scores"),
    "split": (lambda f: fit_with(f, "--holdout", "halves"), "'halves' is none of the splits"),
    "covariate": (lambda f: fit_with(f, "--covariates", "flop"), "the nearest is 'flops'"),
    "covariate not known": (lambda f: fit_with(f, "--covariates", "tokens"), "tokens"),
    "capabilities": (lambda f: fit_with(f, "--capabilities", "4"), "from 0 (each) to 3, the number of benchmarks"),
    "no number": (lambda f: fit_with(f, "--capabilities", "two"), "found 'two'"),
    "effects": (lambda f: fit_with(f, "--effects", "familly"), "found 'familly': the nearest is 'family'"),
    "tail": (lambda f: fit_with(f, "--tail", "0.7"), "--tail to be at least 0 and below 0.5, found 0.7"),
    "method": (lambda f: fit_with(f, "--method", "mcmc"), "one of auto, map, laplace, svi, nuts, found 'mcmc'"),
    "chains": (lambda f: fit_with(f, "--chains", f / "chains"), "--chains needs --method nuts, found auto"),
    "warmup": (lambda f: fit_with(f, "--warmup", "100"), "--warmup needs --method nuts, found auto"),
    "draws of a mode": (lambda f: fit_with(f, "--method", "map", "--draws", "100"), "svi or nuts, found map"),
    "few draws": (lambda f: fit_with(f, "--draws", "1"), "--draws to be at least 10, found 1"),
    "prior": (lambda f: fit_with(f, "--prior", "loadng=1"), "found 'loadng': the nearest is 'loading'"),
    "prior below 0": (
        lambda f: fit_with(f, "--prior", "loading=-1"),
        "to be finite and above 0, found -1",
    ),
    "strength below 0": (lambda f: fit_with(f, "--prior", "strength=-1"), "to be finite and 0 or more, found -1"),
    "inner": (lambda f: fit_with(f, "--inner", "weak-to-strong:flops"), "--inner needs --capabilities auto"),
    "inner folds": (
        lambda f: fit_with(f, "--capabilities", "auto", "--inner", "weak-to-strong:flop"),
        "the nearest is 'flops'",
    ),
    "no such law": (lambda f: fit_with(f, "--law", "joint"), "--law"),
    "data and scores": (
        lambda f: ("fit", "--data", f, "--scores", f / "scores.csv"),
        "--data can be combined with --benchmarks only, found --scores too",
    ),
    "no dataset": (lambda f: ("fit", "--data", f), "found no lms.csv in"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_input_is_one_sentence_and_leaves_nothing(folder: Path, tmp_path: Path, name: str) -> None:
    arguments, says = BAD[name]
    done = call(*arguments(folder), "--out", tmp_path / "run")
    assert done.exit_code == 2, done.output
    if "No such option" not in done.stderr:
        assert done.stderr.splitlines()[-1].startswith("error: ")
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.output
    assert not list(tmp_path.iterdir())
    assert not (folder / "chains").exists()


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


SPLITS = {
    "leave-one-out:family": ("3 folds", "family=f0"),
    "families:2": ("2 folds", "families: part 1"),
    "cells:4": ("4 folds", "cells: part 1"),
    "models": ("5 folds", "models: part 1"),
    "benchmarks": ("6 folds", "easy"),
    "compute:3e23": ("", ""),
    "weak-to-strong:flops:3": ("", ""),
}


@pytest.mark.parametrize("split", SPLITS)
def test_holdout_takes_every_split_of_compare_and_says_which_fold_is_hidden(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    masks = []

    def fit(data: Dataset, law: csvjax.Law, *, seen: np.ndarray, **rest: object) -> csvjax.Result:
        masks.append(seen)
        raise InputError("expected no fit here, found one")

    monkeypatch.setattr("csvjax.fitting.fit", fit)
    done = call(*fit_with(folder, "--holdout", split, "--out", tmp_path / "run"))
    assert "expected no fit here" in done.stderr
    assert 0 < (~masks[0]).sum() < masks[0].size
    count, name = SPLITS[split]
    said = [line for line in done.stderr.splitlines() if "folds; this fit hides the first" in line]
    assert len(said) == bool(count)
    assert all(count in line and name in line and "csvjax evaluate" in line for line in said)
    assert not list(tmp_path.iterdir())


def test_what_is_given_of_a_law_is_what_is_fitted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laws = []

    def fit(data: Dataset, law: csvjax.Law, **rest: object) -> csvjax.Result:
        laws.append(law)
        raise InputError("expected no fit here, found one")

    monkeypatch.setattr("csvjax.fitting.fit", fit)
    given = ("--capabilities", "each", "--covariates", "none", "--effects", "none", "--tail", "0.25")
    more = ("--prior", "strength=0.5", "--prior", "ceiling=inf", "--keep-outliers")
    call(*fit_with(folder, *given, *more, "--out", tmp_path / "run"))
    priors = csvjax.Priors(strength=0.5, ceiling=float("inf"))
    assert laws == [csvjax.Law(0, (), (), tail=0.25, priors=priors, outliers=0.0)]
    call(*fit_with(folder, "--covariates", "flops, released", "--out", tmp_path / "run"))
    assert laws[1] == csvjax.Law(2, ("flops", "released"), ("family",))  # any column of the table


def test_methods_have_the_settings_that_are_given() -> None:
    assert method_of(MethodOptions("map", starts=3)) == csvjax.Map(starts=3, finalists=min(3, csvjax.Map().finalists))
    assert method_of(MethodOptions("laplace", draws=50)) == csvjax.Laplace(draws=50)
    assert method_of(MethodOptions("svi", draws=50)) == csvjax.Svi(draws=50)
    assert method_of(MethodOptions("nuts", draws=50, warmup=70)) == csvjax.Nuts(draws=50, warmup=70)
    quick = method_of(MethodOptions("nuts"), quick=True)
    assert isinstance(quick, csvjax.Nuts)
    assert quick.draws < csvjax.Nuts().draws


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
    assert "nothing says whether the intervals keep" in done.stdout


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
    assert "chosen by the log score on scores held out inside" in " ".join(done.stdout.split())
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
