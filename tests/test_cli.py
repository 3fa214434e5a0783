"""The command line, from files to files. Every fit has the same shapes, so that all of them share their compilation."""

import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import csvjax
from csvjax.cli import app
from csvjax.cli.inputs import read_source
from csvjax.cli.source import Source
from csvjax.data.dataset import Dataset, align
from csvjax.data.files import save_dataset
from csvjax.data.losses import LossTable
from csvjax.data.read_losses import write_losses
from csvjax.data.scores import ScoreTable
from csvjax.demo import SPLITS
from csvjax.report.read import read_run
from tests.command_line import Result, call, change, fit_with, tables
from tests.result.conftest import written


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    tables(made)
    return made


def test_help_comes_at_once_and_imports_nothing_heavy() -> None:
    program = "import sys, csvjax.cli; print(*sorted({'jax', 'numpy', 'pandas', 'zarr', 'plotly'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", "import csvjax.cli as c; c.main()", "--help"], capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    # Time of the processor, which does not grow when other processes want it too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_every_command_is_there() -> None:
    said = call("--help").stdout
    for command in ("demo", "fit", "predict", "inspect", "evaluate", "compare", "report", "ladder"):
        assert command in said
        assert call(command, "--help").exit_code == 0
    assert call("--version").stdout.startswith("csvjax ")


def test_the_help_of_fit_fits_two_screens_with_the_most_used_options_first() -> None:
    said = CliRunner().invoke(app, ["fit", "--help"], env={"COLUMNS": "120"}).stdout
    assert len(said.splitlines()) <= 100
    panels = re.findall(r"^╭─ ([^─]+) ─", said, flags=re.MULTILINE)
    assert panels[0] == "Options"
    assert {"Model", "Inference", "Data", "Output"} < set(panels)


def test_every_option_has_an_example_or_its_default() -> None:
    def options(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        yield from ((f"{name} {p.opts[0]}", p) for p in command.params if p.param_type_name == "option")
        for word, below in getattr(command, "commands", {}).items():
            yield from options(below, f"{name} {word}")

    named = dict(options(get_command(app), "csvjax"))
    assert "csvjax salience fit --kind" in named
    bare = {name for name, p in named.items() if not (p.is_flag or p.show_default or "Example" in p.help)}
    assert {name for name in bare if "Default" not in named[name].help} == set()


def test_models_without_scores_come_after_the_others(folder: Path) -> None:
    blank: dict[str, Any] = dict.fromkeys(field.name for field in fields(Source))
    given = {"losses": folder / "losses.csv", "scores": [folder / "scores.csv"], "items": ["easy=200"]}
    dataset = read_source(Source(**blank | {"common": False} | given))
    scores, losses = dataset.measured()
    assert scores.lms[-2:] == ("m22", "m23")
    assert np.isnan(scores.score[-2:]).all()
    np.testing.assert_array_equal(scores.n_items, [200, np.nan])
    assert dataset.lms.loc["m23", "family"] == "m23"
    fewer = Source(**blank | given | {"common": True, "losses": change(folder, "losses.csv", "m07", "other")})
    lms = read_source(fewer).lms.index
    assert "m07" not in lms
    assert list(lms[-2:]) == ["other", "m23"]
    assert losses.lms == scores.lms


@pytest.fixture(scope="module")
def ladder() -> Dataset:
    """A ladder of 4 families, 3 sizes and 4 steps; one of its three tasks is beyond every model."""
    rng = np.random.default_rng(4)
    rows = [(f"f{f}", f"s{s}", step) for f in range(4) for s in range(3) for step in (1, 2, 4, 8)]
    lms = pd.DataFrame(rows, columns=["family", "size", "step"])
    lms["run"] = lms["family"] + lms["size"]
    lms["params"] = 10.0 ** (6 + lms["size"].str[1:].astype(int))
    lms["tokens"] = 1e6 * lms["step"]
    lms["flops"] = 6 * lms["params"] * lms["tokens"]
    names = tuple(f"{run}-{step}" for run, step in zip(lms["run"], lms["step"], strict=True))
    domain = np.repeat(np.arange(3), 8)
    skill = (np.log10(lms["flops"]).to_numpy() - 12) / 4
    recipe = rng.normal(0, 0.2, (4, 3))[pd.factorize(lms["family"])[0]][:, domain]
    loss = 3 - skill[:, None] * rng.uniform(0.5, 1.5, 24) + recipe + rng.normal(0, 0.02, (48, 24))
    mean = 0.25 + 0.7 / (1 + np.exp(3 - 6 * skill))
    score = np.stack([rng.binomial(200, mean) / 200, np.full(48, 0.25), rng.binomial(200, mean) / 200], axis=1)
    units = pd.DataFrame({"token": "t", "document": "d", "domain": np.array(["code", "maths", "prose"])[domain]})
    return align(
        lms.set_axis(pd.Index(names, name="lm", dtype=str)),
        ScoreTable(names, ("easy", "beyond", "hard"), score, np.full(3, 200.0), np.full(3, 0.25)),
        LossTable(names, loss, units.assign(start=np.arange(24), bytes=1)),
    )


def fit_as_written(data: Dataset, law: csvjax.Law, *, seen: np.ndarray, **rest: object) -> csvjax.Result:
    """A fit whose parameters are written down; everything else is as the commands do it."""
    return written(data, seen, law)


@pytest.fixture(scope="module")
def fitted(ladder: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("ladder")
    scores = ladder.measured()[0]
    score = scores.score.copy()
    score[-1] = np.nan
    save_dataset(replace(ladder, scores=replace(scores, score=score)), folder / "data")
    options = ("--benchmarks", "easy,hard", "--holdout", "weak-to-strong:flops", "--capabilities", "each")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("csvjax.fitting.fit", fit_as_written)
        return folder / "run", call("fit", "--data", folder / "data", *options, "--out", folder / "run")


def test_fit_predicts_what_it_has_not_seen(fitted: tuple[Path, Result]) -> None:
    out, done = fitted
    assert done.exit_code == 0, done.output
    said = done.stdout.splitlines()
    assert said[0].startswith("law: nuts (88 scores are few enough for NUTS, which makes no approximation), each ")
    assert said[0].endswith("each benchmark alone, covariates flops, effects of family and run")
    assert said[1] == "written"
    hidden = [f"f{f}s2-8" for f in range(4)]
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert list(predictions["lm"]) == hidden * 2
    assert list(predictions["observed"].isna()) == [False, False, False, True] * 2
    fit = csvjax.load(out)
    assert fit.benchmarks == ("easy", "hard")
    np.testing.assert_array_equal(fit.evidence.seen, np.tile(~fit.dataset.lms.index.isin(hidden), (2, 1)).T)
    config = json.loads((out / "config.json").read_text())
    assert config["fitted models"] == 44
    assert config["law"]["capabilities"] == 0


def test_the_salient_loss_is_weighed_by_the_salience_of_the_fit(fitted: tuple[Path, Result]) -> None:
    out, _ = fitted
    predictions = pd.read_parquet(out / "predictions.parquet")
    losses = csvjax.load(out).dataset.measured()[1]
    salience = pd.read_parquet(out / "salience.parquet")
    for row in predictions.to_dict("records"):
        loss = losses.loss[losses.lms.index(row["lm"])]
        share = salience.loc[salience["benchmark"] == row["benchmark"], "share"].to_numpy()
        assert row["salient_loss"] == pytest.approx(loss @ share)
        assert row["mean_loss"] == pytest.approx(loss.mean())


def test_a_fit_predicts_again_and_new_models(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    out, _ = fitted
    assert call("predict", out, "--out", tmp_path / "again.csv").exit_code == 0
    again = pd.read_csv(tmp_path / "again.csv")
    predictions = pd.read_parquet(out / "predictions.parquet")
    np.testing.assert_allclose(again["predicted"], predictions["mean"])
    np.testing.assert_allclose(again["new_observation_upper90"], predictions["upper90"])
    losses = csvjax.load(out).dataset.measured()[1]
    write_losses(replace(losses.select(losses.lms[-2:]), lms=("new1", "new2")), tmp_path / "new.zarr")
    (tmp_path / "lms.csv").write_text("lm,family\nnew1,f3\nnew2,f9\n")
    done = call("predict", out, "--losses", tmp_path / "new.zarr", "--lms", tmp_path / "lms.csv")
    assert done.exit_code == 0, done.output
    assert "new1" in done.stdout
    assert "f3s2" not in done.stdout
    assert "mean" in done.stdout
    for table, says in (
        (replace(losses, lms=tuple(f"n{i}" for i in range(48)), units=losses.units.assign(start=1)), "as unit 0"),
        (losses, "models that the fit does not have, found 'f0s0-1'"),
    ):
        write_losses(table, tmp_path / "other.zarr")
        done = call("predict", out, "--losses", tmp_path / "other.zarr")
        assert done.exit_code == 2
        assert says in done.stderr


def test_a_fit_has_a_report_with_the_salience_of_its_tokens(fitted: tuple[Path, Result]) -> None:
    out, _ = fitted
    done = call("report", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(out / "report.html")
    page = (out / "report.html").read_text()
    assert "f0s2-8" in page
    assert 'id="tokens"' in page


def test_inspect_shows_salience_and_no_capabilities_where_there_are_none(fitted: tuple[Path, Result]) -> None:
    done = call("inspect", fitted[0])
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert said.startswith("written. ")
    assert "salience: the units of text whose loss says most about a benchmark" in said
    assert "logits per nat" in said
    assert "capabilities, 90 %" not in said


def test_demo_evaluates_the_ladder(ladder: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csvjax.demo.load_ladder", lambda folder=None: ladder)
    monkeypatch.setattr("csvjax.evaluate.crossfit.fit", fit_as_written)
    done = call("demo", "--quick", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "r2_gain" in done.stdout
    run = read_run(tmp_path / "run")
    assert run.config["benchmarks without a signal"] == ["beyond"]
    assert set(run.metrics["split"]) == set(SPLITS.values())
    assert set(run.figures) >= {"r2_gain", "worst_task_gain", "coverage90_mixture", "coverage90_size", "crps_ratio"}
    held = run.predictions.groupby(["split", "law", "benchmark"])["lm"].nunique()
    assert set(held["leave-one-out:family"]) == {48}
    assert set(held["weak-to-strong:params"]) == {16}
    assert set(held["weak-to-strong:step:2"]) == {24}
    np.testing.assert_allclose(run.salience.groupby("benchmark")["share"].sum(), 1)
    assert (tmp_path / "run" / "report.html").stat().st_size > 1000
    assert csvjax.load(tmp_path / "run").evidence.seen.all()


def test_evaluate_takes_any_split_and_its_run_is_a_fit(
    ladder: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csvjax.evaluate.crossfit.fit", fit_as_written)
    save_dataset(ladder, tmp_path / "data")
    options = ("--benchmarks", "easy,hard", "--split", "weak-to-strong:params", "--split", "models:3")
    law = ("--capabilities", "2", "--covariates", "none", "--quick")  # that of the demo, which is compiled
    done = call("evaluate", "--data", tmp_path / "data", *options, *law, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "weak-to-strong:params, salience" in done.stdout
    assert "models:3: 96 held-out scores" in done.stdout
    assert set(read_run(tmp_path / "run").figures) >= {"coverage90_params", "coverage90_models"}
    referee = pd.read_csv(tmp_path / "run" / "referee.csv")
    assert set(zip(referee["split"], referee["method"], strict=True)) == {
        (split, law) for split in ("weak-to-strong:params", "models:3") for law in ("mean_loss", "salience")
    }
    assert (referee["crps_low"] <= referee["crps"]).all()
    for command in (("inspect",), ("report",)):
        done = call(*command, tmp_path / "run")
        assert done.exit_code == 0, done.output
    done = call("predict", tmp_path / "run")
    assert done.exit_code == 2
    assert "has seen every score" in done.stderr


@pytest.mark.slow
def test_the_whole_way_with_losses(folder: Path, tmp_path: Path) -> None:
    """By search: models without scores are predicted, and both laws are judged."""
    options = ("--capabilities", "each", "--covariates", "none", "--quick")
    done = call(*fit_with(folder, *options, "--out", tmp_path / "fit"))
    assert done.exit_code == 0, done.output
    assert set(pd.read_parquet(tmp_path / "fit" / "predictions.parquet")["lm"]) == {"m22", "m23"}
    more = ("--split", "flops>1e23", "--draws", "200", "--out", tmp_path / "e")
    done = call("evaluate", *fit_with(folder)[1:], *options, *more)
    assert done.exit_code == 0, done.output
    assert 0 < read_run(tmp_path / "e").figures["crps_ratio"] < 10
