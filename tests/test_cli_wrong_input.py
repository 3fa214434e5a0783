"""What the command line says of wrong input: one sentence, and nothing is left behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command_line import call, change, fit_with, tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    tables(made)
    return made


BAD: dict[str, tuple[Callable[[Path], tuple[object, ...]], str]] = {
    "no data": (lambda f: ("fit",), "--data, or --losses and --scores, found neither"),
    "missing file": (lambda f: ("fit", "--losses", f / "losses.csv", "--scores", f / "no.csv"), "no file"),
    "folder": (lambda f: ("fit", "--losses", f / "losses.csv", "--scores", f), "is a folder"),
    "no dataset": (lambda f: ("fit", "--data", f), "found no lms.csv"),
    "data and losses": (lambda f: ("fit", "--data", f, "--losses", f), "found --losses too"),
    "column": (lambda f: fit_with(f, "--family-column", "famly"), "the nearest is 'family'"),
    "benchmark": (lambda f: fit_with(f, "--benchmarks", "easy,hrd"), "hrd"),
    "floor": (lambda f: fit_with(f, "--floor", "hrd=0.25"), "the nearest is 'hard'"),
    "floor without name": (
        lambda f: fit_with(f, "--floor", "0.25"),
        "BENCHMARK=NUMBER or BENCHMARK=unknown, found '0.25'",
    ),
    "unit": (lambda f: fit_with(f, "--score-unit", "per cent"), "a number, 'percent' or one of"),
    "split": (lambda f: fit_with(f, "--holdout", "flops=3"), "'flops=3' is none of the splits"),
    "split column": (lambda f: fit_with(f, "--holdout", "flop>3"), "the nearest is 'flops'"),
    "inner": (lambda f: fit_with(f, "--capabilities", "auto", "--inner", "wek"), "'wek' is none of the splits"),
    "own without losses": (lambda f: ("fit", "--scores", f / "scores.csv", "--own"), "--own needs losses, found none"),
    "auto": (
        lambda f: ("evaluate", *fit_with(f)[1:], "--split", "models:3", "--capabilities", "auto"),
        "--capabilities to be a number or each, found auto",
    ),
    "nan loss": (
        lambda f: ("fit", "--scores", f / "scores.csv", "--losses", blanked(f)),
        "a loss of at least 0, found a blank",
    ),
    "score above 1": (
        lambda f: (
            "fit",
            "--losses",
            f / "losses.csv",
            "--scores",
            change(f, "scores.csv", "m00,f0,1e+20,", "m00,f0,1e+20,3"),
        ),
        "use --score-unit percent for percentages (or a number for another scale), or name the columns that are scores "
        "with --benchmarks A,B",
    ),
    "no names": (
        lambda f: ("fit", "--losses", f / "losses.csv", "--scores", change(f, "scores.csv", "lm,", "x,")),
        "name it with --lm-column NAME",
    ),
    "two columns of names": (
        lambda f: ("compare", "--scores", change(f, "scores.csv", "family", "LM"), "--split", "cells"),
        "choose one with --lm-column NAME",
    ),
    "unit of a column": (
        lambda f: fit_with(f, "--params-column", "easy", "--params-unit", "-1"),
        "give the unit of the column with --params-unit NUMBER",
    ),
    "unit in a name": (
        lambda f: ("compare", "--scores", change(f, "scores.csv", "flops", "flops (many)"), "--split", "cells"),
        "give the unit with --flops-unit NUMBER",
    ),
    "score of a comparison": (
        lambda f: ("compare", "--scores", change(f, "scores.csv", "1e+20,", "1e+20,3"), "--split", "cells"),
        "use --score-unit percent",
    ),
    "all": (
        lambda f: ("fit", "--losses", f / "losses.csv", "--scores", change(f, "scores.csv", "easy", "all")),
        "a benchmark has the name 'all'",
    ),
    "not only losses": (
        lambda f: ("fit", "--losses", f / "scores.csv", "--scores", f / "scores.csv"),
        "remove such columns from the table",
    ),
    "models differ": (
        lambda f: ("fit", "--losses", f / "new.csv", "--scores", f / "scores.csv"),
        "found none for 'm00', 'm01', 'm02' and 20 more",
    ),
    "not text": (lambda f: ("fit", "--losses", f / "losses.csv", "--scores", latin(f)), "UTF-8"),
}


def blanked(folder: Path) -> Path:
    frame = pd.read_csv(folder / "losses.csv")
    frame.loc[3, "w5"] = np.nan
    path = folder / "blank losses.csv"
    frame.to_csv(path, index=False)
    return path


def latin(folder: Path) -> Path:
    path = folder / "latin.csv"
    path.write_bytes("lm,b\nmodèle,0.5\n".encode("latin-1"))
    return path


@pytest.mark.parametrize("name", BAD)
def test_wrong_input_is_one_sentence_and_leaves_nothing(folder: Path, tmp_path: Path, name: str) -> None:
    arguments, says = BAD[name]
    done = call(*arguments(folder), "--out", tmp_path / "run")
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["predict", "inspect", "report"])
def test_a_folder_that_is_no_run_is_told(command: str, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        done = call(command, path)
        assert done.exit_code == 2
        assert f"the folder of a {'run' if command == 'report' else 'fit'}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_an_unknown_option_is_told() -> None:
    done = call("fit", "--los", "x")
    assert done.exit_code == 2
    assert "--los" in done.stderr


def test_something_else_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    for command in (fit_with(folder), ("evaluate", *fit_with(folder)[1:], "--split", "flops>1e22"), ("demo",)):
        done = call(*command, "--out", tmp_path)
        assert done.exit_code == 2
        assert "found other files in" in done.stderr
    assert call("ladder", "--out", tmp_path).exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


DENIED = "error: cannot use the path /x: Permission denied; check that it exists and that you may use it"


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [(KeyboardInterrupt(), 130, "interrupted"), (PermissionError(13, "Permission denied", "/x"), 2, DENIED)],
)
def test_interruption_and_what_the_system_refuses(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, says: str
) -> None:
    def fail(source: object, with_losses: bool) -> None:
        raise raised

    monkeypatch.setattr("csvjax.cli.inputs.read_source", fail)
    done = call(*fit_with(folder), "--out", tmp_path / "run")
    assert (done.exit_code, done.stderr) == (code, f"{says}\n")
