"""Files as people have them, each with what csvjax reads from it or the sentence with which it is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csvjax.data.markup import read_html
from csvjax.data.read_scores import Reading, read_tables
from csvjax.data.rules import ReadingRules
from csvjax.errors import InputError

GERMAN = """\ufeffModell;Hersteller;Parameter (Mrd.);Trainings-Tokens (Bio.);MMLU;GSM8K;Durchschnitt;Rang;Datum
A;x;6,74;2,00;46,8 %;35,6;41,2;4;18.07.2023
B;x;13,02;k. A.;54,1 %;50,2;52,15;3;18.07.2023
C;y;7,24;1,50;60,2 %;40,4;50,3;2;27.09.2023
D;y;72,29;3,00;77,0 %;79,1;78,05;1;04.02.2024
"""
TRANSPOSED = """Benchmark,# Shots,Metric,A 8B,A 70B,B 7B
MMLU,5,acc,66.7,79.3,62.5
GSM8K,8,em,55.3,83.7,-
Parameters (B),,,8,70,7
"""
BOARD = """# Leaderboard

| Rank | Model | MMLU | HumanEval | MT-Bench | Avg. |
|:-:|:--|--:|:-:|:-:|--:|
| 🥇 | [**A**](https://a.org) | **86.4** | 67.0% | 8.99 | 76.7 |
| 🥈 | ~~B~~ [^1] | 78.5 | 71.2%<sup>†</sup> | 8.06 | 74.9 |
| 3 | `C` | 70.0* | n/a | 7.94 | 70.0 |

[^1]: a chat model
"""
RANKED = "#,model,size,MMLU,BBH,Total,MMLU rank\n" + "".join(
    f"{i + 1},m{i},{s},{80 - 6 * i},{70 - 7 * i},{150 - 13 * i},{i + 1}\n"
    for i, s in enumerate(("70B", "34B", "7 B", "1.5B", "500M", "~0.3B"))
)
CHART = ",".join(["Step", *(f"{run} - eval/acc{end}" for run in ("one", "two") for end in ("", "__MIN", "__MAX"))])
CHART += "\n0,0.25,0.25,0.25,,,\n1000,,,,0.3,0.3,0.3\n2000,0.4,0.4,0.4,0.5,0.5,0.5\n"
HTML = """<table><thead><tr><th rowspan=2>Model</th><th colspan=2>MMLU</th><th>GSM8K</th></tr>
<tr><th>0-shot</th><th>5-shot</th><th>8-shot</th></tr></thead><tbody>
<tr><td>A</td><td>30.1</td><td>33</td><td rowspan=2>12</td></tr><tr><td>B</td><td>50.1</td><td>53</td></tr>
<tr><td>C</td><td>60.1</td><td>63</td><td>40</td></tr></tbody></table>"""
NESTED = "".join(
    json.dumps(
        {
            "model": {"name": f"m{i}", "params": 1e9 * (i + 1)},
            "scores": {"mmlu": {"acc": 0.3 + 0.1 * i, "stderr": 0.004}, "arc": {"acc": 0.2, "em": 0.1 * i + 0.1}},
            "config": {"temperature": 0.7, "top_p": 0.9},
        }
    )
    + "\n"
    for i in range(3)
)
FILES: dict[str, tuple[str, str, list[str], dict[str, list[float]]]] = {
    # name: file name, text, models, scores by benchmark
    "German Excel": (
        *("table.csv", GERMAN, ["A", "B", "C", "D"]),
        {"MMLU": [0.468, 0.541, 0.602, 0.77], "GSM8K": [0.356, 0.502, 0.404, 0.791]},
    ),
    "a column for each model": (
        *("table.csv", TRANSPOSED, ["A 8B", "A 70B", "B 7B"]),
        {"MMLU": [0.667, 0.793, 0.625], "GSM8K": [0.553, 0.837, np.nan]},
    ),
    "a board on GitHub": (
        *("README.md", BOARD, ["A", "B", "C"]),
        {"MMLU": [0.864, 0.785, 0.7], "HumanEval": [0.67, 0.712, np.nan]},
    ),
    "ranks and a total": (
        *("table.csv", RANKED, [f"m{i}" for i in range(6)]),
        {"MMLU": [0.8 - 0.06 * i for i in range(6)], "BBH": [0.7 - 0.07 * i for i in range(6)]},
    ),
    "a chart of Weights & Biases": (
        *("chart.csv", CHART, ["one step 0", "one step 2000", "two step 1000", "two step 2000"]),
        {"eval/acc": [0.25, 0.4, 0.3, 0.5]},
    ),
    "a header of two lines": (
        *("page.html", HTML, ["A", "B", "C"]),
        {"MMLU 0-shot": [0.301, 0.501, 0.601], "MMLU 5-shot": [0.33, 0.53, 0.63], "GSM8K 8-shot": [0.12, 0.12, 0.4]},
    ),
    "objects in objects": (
        *("runs.jsonl", NESTED, ["m0", "m1", "m2"]),
        {"mmlu": [0.3, 0.4, 0.5], "arc.acc": [0.2, 0.2, 0.2], "arc.em": [0.1, 0.2, 0.3]},
    ),
    "an object for each column": (
        *("frame.json", '{"mmlu": {"A": 0.5, "B": 0.6}, "arc": {"A": 0.4, "B": null}}', ["A", "B"]),
        {"mmlu": [0.5, 0.6], "arc": [0.4, np.nan]},
    ),
    "columns beside rows": (
        *("frame.json", '{"columns": ["model", "mmlu"], "data": [["A", 0.5], ["B", 0.6]]}', ["A", "B"]),
        {"mmlu": [0.5, 0.6]},
    ),
    "uncertainties in cells": (
        *(
            "table.csv",
            "model,arc,piqa\na,30.1 ± 1.3,0.600±0.011\nb,45.0 ± 1.4,0.655±0.010\nc,50 ± 2,0.7\n",
            ["a", "b", "c"],
        ),
        {"arc": [0.301, 0.45, 0.5], "piqa": [0.6, 0.655, 0.7]},
    ),
    "losses, errors and ends of intervals": (
        "table.csv",
        "model,mmlu,mmlu_ci_low,mmlu_ci_high,mmlu_brier,standard_error,win\n"
        "a,0.4,0.38,0.42,0.6,0.01,0.1\nb,0.5,0.48,0.52,0.5,0.01,0.2\nRandom,0.25,0.2,0.3,0.9,0.01,\n",
        ["a", "b"],
        {"mmlu": [0.4, 0.5], "win": [0.1, 0.2]},
    ),
    "arrows behind scores": (
        *("table.csv", "model,mmlu,arc\na,45.1 ↑,50\nb,54.0 ↓,58\n", ["a", "b"]),
        {"mmlu": [0.451, 0.54], "arc": [0.5, 0.58]},
    ),
    "models in an object": (
        *("t.yaml", "models:\n  a: {mmlu: 0.5, arc: 0.4}\n  b: {mmlu: 0.6, arc: 0.5}\n", ["a", "b"]),
        {"mmlu": [0.5, 0.6], "arc": [0.4, 0.5]},
    ),
    "melted": (
        *("t.csv", "model,variable,value\na,x,0.4\na,y,0.5\nb,x,0.5\nb,y,0.6\n", ["a", "b"]),
        {"x": [0.4, 0.5], "y": [0.5, 0.6]},
    ),
    "a title and a mean": (
        *("table.csv", "Results of May,,\nModel,MMLU,ARC\nA,45,50\nB,54,58\nMean,49.5,54\n", ["A", "B"]),
        {"MMLU": [0.45, 0.54], "ARC": [0.5, 0.58]},
    ),
}


def read(path: Path, text: str, **rules: Any) -> Reading:
    path.write_text(text, encoding="utf-8")
    return read_tables([path], ReadingRules(**rules))


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_holds_is_read(tmp_path: Path, name: str) -> None:
    file, text, lms, scores = FILES[name]
    found = read(tmp_path / file, text).scores
    assert list(found.lms) == lms
    assert set(found.benchmarks) == set(scores)
    for benchmark, column in scores.items():
        np.testing.assert_allclose(found.select(benchmarks=[benchmark]).score[:, 0], column, err_msg=benchmark)


@pytest.mark.parametrize(
    ("name", "amounts"),
    {
        "German Excel": {"params": [6.74e9, 1.302e10, 7.24e9, 7.229e10], "tokens": [2e12, np.nan, 1.5e12, 3e12]},
        "a column for each model": {"params": [8e9, 7e10, 7e9]},
        "ranks and a total": {"params": [7e10, 3.4e10, 7e9, 1.5e9, 5e8, 3e8]},
        "objects in objects": {"params": [1e9, 2e9, 3e9]},
    }.items(),
)
def test_sizes_have_their_unit(tmp_path: Path, name: str, amounts: Mapping[str, list[float]]) -> None:
    file, text, *_ = FILES[name]
    lms = read(tmp_path / file, text).lms
    for role, values in amounts.items():
        np.testing.assert_allclose(lms[role], values)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    def told(name: str) -> str:
        file, text, *_ = FILES[name]
        return "\n".join(read(tmp_path / file, text).described.lines())

    assert "ignored MMLU rank: it is a rank" in told("ranks and a total")
    assert "what stands behind a number, such as ± or *, is left out in 'arc', 'piqa'" in told("uncertainties in cells")
    assert "rows that are not models were left out: 'Mean'" in told("a title and a mean")
    assert "the first line is a title" in told("a title and a mean")
    assert "ignored config: it holds lists or groups" in told("objects in objects")
    assert "ignored MT-Bench: its scores are not fractions" in told("a board on GitHub")


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        (
            "t.csv",
            "Model,Size,x\nA,7B,0.1\nB,8x7B,0.2\nC,13B,0.3\n",
            "line 3, column 'Size': expected an amount with a unit",
        ),
        ("t.tex", "\\begin{tabular}{lc}\nModel & x\n\\end{tabular}\n", "is a table in LaTeX"),
        (
            "t.md",
            "|Tasks|Version|Filter|n-shot|Metric| |Value| |Stderr|\n|-|-|-|-|-|-|-|-|-|\n|a|1|none|0|acc||0.3|±|0.1|\n",
            "does not name the model; give its results_",
        ),
        (
            "t.csv",
            ",,MMLU,MMLU\nModel,Params,acc,stderr\nA,7e9,0.4,0.01\n",
            "write a header of several lines as one line",
        ),
        (
            "t.csv",
            "model,mmlu,chat\na,60.1,7.1\nb,70.2,8.0\nc,44.0,5.2\n",
            "column 'chat': .* may be small percentages or marks out of 10",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_its_name(tmp_path: Path, file: str, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(tmp_path / file, text)


def test_columns_and_benchmarks_can_be_ignored(tmp_path: Path) -> None:
    wide = "Model,Size,x,y\nA,8x7B,0.1,oops\nB,7B,0.2,0.3\nC,7B,0.4,0.1\n"
    found = read(tmp_path / "wide.csv", wide, ignore=["Size,y"], joined=True)
    assert found.scores.benchmarks == ("x",)
    assert found.described.ignored == (("Size", "you want to ignore it"), ("y", "you want to ignore it"))
    long = "model,benchmark,score\nA,x,0.1\nA,y,1e9\nB,x,0.3\n"
    assert read(tmp_path / "long.csv", long, ignore=["y"]).scores.benchmarks == ("x",)
    with pytest.raises(InputError, match="found 'z'"):
        read(tmp_path / "long.csv", long, ignore=["z"])


def test_a_page_that_would_take_minutes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csvjax.data.markup._LONGEST", 30)
    with pytest.raises(InputError, match=r"page.html: expected at most 30 characters of HTML, found \d+; save"):
        read_html("page.html", "<table><tr><td>1</td></tr></table>")
