"""Kinds of tables that were once read wrong without a word, each as a small table of its own, with what is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from csvjax.cli import app

SKILL = np.linspace(-1, 1, 10)


def percent(shift: float) -> list[float]:
    return [round(float(p), 2) for p in 100 / (1 + np.exp(shift - SKILL))]


def board(index: bool) -> str:
    """An export of a leaderboard, with its index under pandas' name for it or without a name."""
    frame = pd.DataFrame({"Rank": range(1, 11), "Type": "pretrained", "Model": [f"m{i}" for i in range(10)]})
    scores = {name: percent(shift) for name, shift in (("IFEval", -0.5), ("BBH", 0.0), ("GPQA", 1.0))}
    frame["Average ⬆️"] = np.mean(list(scores.values()), axis=0).round(2)
    frame = frame.assign(**scores)
    frame["#Params (B)"] = np.arange(1, 11) * 1.5
    frame["Hub ❤️"] = [5, 9, 3, 77, 12, 40, 8, 1, 0, 6]
    frame["CO₂ cost (kg)"] = np.arange(10) * 1.7
    text = frame.to_csv()
    return f"Unnamed: 0{text}" if index else text


class Case(NamedTuple):
    """text; what is read: benchmarks with their units, amounts of models, columns that are ignored."""

    text: str
    units: dict[str, str]
    amounts: dict[str, list[float]] = {}  # noqa: RUF012  # never changed
    ignored: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


LEADERBOARD = dict.fromkeys(("IFEval", "BBH", "GPQA"), "percent")
SIZES = {"params": [1.5e9, 1.5e10]}
JUNK = ("Rank", "Type", "Average ⬆️", "Hub ❤️", "CO₂ cost (kg)")
CASES = {
    "an index called Unnamed": Case(board(True), LEADERBOARD, SIZES, ("Unnamed: 0", *JUNK)),
    "an index without a name": Case(board(False), LEADERBOARD, SIZES, JUNK),
    "standard errors": Case(
        "model,sciq,sciq_stderr\na,0.3,0.02\nb,0.45,0.021\nc,0.5,0.021\n", {"sciq": "fraction"}, ignored=()
    ),
    "percent beside fractions": Case(
        "model,mmlu,humaneval\n" + "".join(f"m{i},{30 + 4.3 * i:.1f},{0.05 + 0.08 * i:.3f}\n" for i in range(9)),
        {"mmlu": "percent", "humaneval": "fraction"},
    ),
    "commas between thousands": Case(
        "Model;Params (M);SciQ\na;410;0.52\nb;1,400;0.63\nc;2,800;0.68\n",
        {"SciQ": "fraction"},
        {"params": [4.1e8, 2.8e9]},
    ),
    "commas between all thousands": Case(
        "Model;params;SciQ\na;1,400,000,000;0.52\nb;2,800,000,000;0.63\n",
        {"SciQ": "fraction"},
        {"params": [1.4e9, 2.8e9]},
    ),
    "points between thousands": Case(
        "Model;Params (M);SciQ\na;410;0,52\nb;1.400;0,63\nc;2.800;0,68\n",
        {"SciQ": "fraction"},
        {"params": [4.1e8, 2.8e9]},
    ),
    "commas in headings": Case(
        "Model;SciQ (0-shot, acc);PIQA (0-shot, acc)\na;0,5;0,6\nb;0,55;0,65\n",
        {"SciQ (0-shot, acc)": "fraction", "PIQA (0-shot, acc)": "fraction"},
    ),
    "a line for Excel": Case(
        "sep=;\nModel;SciQ;PIQA\na;0,5;0,6\nb;0,55;0,65\n", {"SciQ": "fraction", "PIQA": "fraction"}
    ),
    "task and value": Case(
        "model,task,metric,value,stderr,n_shot\n"
        + "".join(f"{m},{t},acc,0.{5 + i}1,0.01,0\n" for i, m in enumerate("abc") for t in ("sciq", "piqa")),
        {"sciq": "fraction", "piqa": "fraction"},
    ),
    "hostile names": Case(
        'model,"x,y",[red]z[/red],<svg onload=alert(1)>\n'
        "<script>a</script>,0.1,0.2,0.3\n:smile:,0.2,0.3,0.4\n[/],0.3,0.4,0.5\n",
        {"x,y": "fraction", "<svg onload=alert(1)>": "fraction"},
        options=("--benchmarks", "x,y", "--benchmarks", "<svg onload=alert(1)>"),
    ),
    "equal scores": Case("model,x,y\na,0.5,0.5\nb,0.5,0.5\nc,0.5,0.5\n", {"x": "fraction", "y": "fraction"}),
}


def check(path: Path, *options: str) -> Any:
    done = CliRunner().invoke(app, ["check", str(path), "--json", *options])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", CASES)
def test_what_is_read(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = tmp_path / "table.csv"
    path.write_text(case.text, encoding="utf-8")
    told = check(path, *case.options)
    assert {note["name"]: note["unit"] for note in told["benchmarks"]} == case.units
    amounts = {
        note["name"]: [note["lowest"], note["highest"]] for note in told["covariates"] if note["name"] != "family"
    }
    assert list(amounts) == list(case.amounts)
    for role, ends in case.amounts.items():
        np.testing.assert_allclose(amounts[role], ends)
    assert set(case.ignored) <= {note["column"] for note in told["ignored"]}


def test_errors_become_numbers_of_items(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(CASES["standard errors"].text)
    (note,) = check(path)["benchmarks"]
    assert note["n_items"] == round(np.median([0.3 * 0.7 / 0.02**2, 0.45 * 0.55 / 0.021**2, 0.25 / 0.021**2]))


def test_equal_scores_are_told(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(CASES["equal scores"].text)
    assert "the scores of no benchmark vary between models" in check(path)["said"]


def test_a_column_of_lists_is_told(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"model": list("abc"), "tags": [["x"], ["y", "z"], []], "sciq": [0.3, 0.4, 0.5]}).to_parquet(path)
    told = check(path)
    assert [note["name"] for note in told["benchmarks"]] == ["sciq"]
    assert told["ignored"] == [{"column": "tags", "reason": "it holds lists or groups, not numbers"}]


def test_chance_by_name_is_told(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("model,mmlu,piqa\na,0.24,0.6\nb,0.26,0.65\nc,0.25,0.7\n")
    assert [(note["floor"], note["floor_from"]) for note in check(path)["benchmarks"]] == [
        (0.25, "from its name"),
        (0.5, "from its name"),
    ]
