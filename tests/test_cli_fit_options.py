"""Options of `csvjax fit`, as far as the fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import csvjax
from csvjax.cli.law_options import MethodOptions, method_of
from csvjax.data.dataset import Dataset
from csvjax.errors import InputError
from tests.command_fit import fit_with, tables
from tests.command_line import call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    tables(made)
    return made


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
