"""The page of results says what the committed results say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())


def results(name: str) -> Any:
    return json.loads((ROOT / "experiments" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def row(name: str) -> list[str]:
    """The cells of the row of a table that begins with a name, without bold."""
    (line,) = re.findall(rf"^\| {re.escape(name)} \|(.*)\|$", PAGE, re.MULTILINE)
    return [cell.strip().strip("*") for cell in line.split("|")]


def test_every_result_says_how_and_when_it_was_made() -> None:
    found = sorted((ROOT / "experiments" / "results").glob("*.json"))
    assert found
    for path in found:
        told = json.loads(path.read_text(encoding="utf-8"))
        assert told["command"].startswith("python -m experiments.")
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", told["date"])
        assert all(isinstance(value, float) for value in told["figures"].values())


def test_errors_on_the_settings_of_sloth() -> None:
    settings = results("sloth_families")["settings"]
    assert row("the law, one setting") == [f"{each['law']:.2f}" for each in settings]
    assert row("inside the 90 % interval") == [f"{each['coverage90']:.0%}" for each in settings]
    figures = results("sloth_families")["figures"]
    assert [figures[f"mae_{each['setting']}"] for each in settings] == pytest.approx(
        [each["law"] for each in settings], abs=1e-4
    )


def test_a_column_of_sloth_is_bold_where_it_is_best() -> None:
    (ours,), (best,) = (
        re.findall(rf"^\| {name} \|(.*)\|$", PAGE, re.MULTILINE) for name in ("the law, one setting", "best published")
    )
    for one, other in zip(ours.split("|"), best.split("|"), strict=True):
        law, published = (float(cell.strip().strip("*")) for cell in (one, other))
        assert ("**" in one) == (law < published)
        assert ("**" in other) == (published < law)


def test_errors_on_observational_rows() -> None:
    found = results("obs_scaling")
    law, narrow = found["methods"]["law"], found["methods"]["not widened"]

    def told(value: float) -> str:
        return f"{value:.1e}".replace("e-0", "e-")

    assert f"the error of the law is {told(law['geomean_test_mse'])} " in TEXT
    assert f"an error of {told(narrow['geomean_test_mse'])}." in TEXT
    assert f"{law['coverage90']:.0%}".replace("%", " %") + " of the scores of all 17 rows" in TEXT
    inside = [f"{100 * narrow[f'coverage{level}']:.0f}" for level in (50, 80, 90)]
    assert f"contain {inside[0]}, {inside[1]} and {inside[2]} % of the scores" in TEXT
    components = [found["methods"][name]["geomean_test_mse"] for name in ("mean of PC-1..1 to PC-1..4", "PC-1..3")]
    assert f"{told(components[0])} if their number is not chosen by the test rows, and {told(components[1])} if" in TEXT


def test_calibration_of_nuts() -> None:
    page = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
    found = results("calibration")
    assert found["figures"]["nuts_outside"] == 0
    shares = {}
    for verdict in found["verdicts"]["nuts"]:
        assert f"inside the 95% band of {found['figures']['nuts_sims']:.0f} simulations" in verdict
        name, share = re.match(r"(.*?): .*90 % intervals contain ([\d.]+)%", verdict).groups()
        shares[name] = round(float(share))
    names = {
        "held-out score, mean": "mean score of a held-out cell",
        "held-out score, observed": "held-out score",
        "score of a new model, mean": "mean score of a new model",
        "score of a new model, observed": "score of a new model",
        "gain of compute": "gain",
        "typical loading": "typical_loading",
        "typical residual": "typical_spread",
        "spread of families": "family_spread",
        "intercept": "intercept",
    }
    for shown, name in names.items():
        (line,) = re.findall(rf"^\| {shown} \|(.*)\|$", page, re.MULTILINE)
        assert line.split("|")[2].strip() == f"{shares[name]} %"


SPLITS = {
    "each mixture of training text": "leave-one-out:family",
    "the largest size": "weak-to-strong:params",
    "the last two checkpoints of each run": "weak-to-strong:step:2",
}


@pytest.mark.parametrize("label", SPLITS)
@pytest.mark.parametrize(
    ("page", "number", "name"),
    [
        ("README.md", 0, "salience_ladder"),
        ("docs/results.md", 0, "salience_ladder"),
        ("docs/results.md", 1, "salience_ladder_fresh"),
    ],
)
def test_salience_on_ladders(page: str, number: int, name: str, label: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = re.findall(rf"^\| {label} \|(.*)\|$", text, re.MULTILINE)[number].split("|")
    whole = {each["law"]: each for each in results(name)["metrics"] if _is_mean_of(each, SPLITS[label])}
    found = [whole[law][figure] for figure in ("r2", "crps", "coverage90") for law in ("mean_loss", "salience")]
    for cell, value, digits in zip(shown, found, (2, 2, 3, 3, 2, 2), strict=True):
        number_shown = float(cell.strip("% ")) / (100 if "%" in cell else 1)
        assert number_shown == pytest.approx(value, abs=0.51 * 10**-digits)


def _is_mean_of(row: dict[str, Any], split: str) -> bool:
    return row["split"] == split and row["benchmark"] == "all"


SCALING = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


def _rows_below(heading: str) -> list[list[str]]:
    """The cells of the table with this heading."""
    lines = SCALING[SCALING.index(heading) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_drills() -> None:
    found = results("drills")
    shown = [[row["what"], *(str(row[name]) for name in ("times", "survived", "lost"))] for row in found["drills"]]
    assert _rows_below("| drill | times | survived | lost |") == shown
    figures = {name: sum(row[of] for row in found["drills"]) for name, of in (("drills", "times"), ("lost", "lost"))}
    assert figures == {name: found["figures"][name] for name in figures}
    assert "{drills:.0f} drills, {survived:.0f} survived, {lost:.0f} lost".format(**found["figures"]) in SCALING


def test_the_table_of_hostile_files() -> None:
    found = results("fuzz")
    shown = [[f"{row['inputs']:,}", *(str(row[n]) for n in ("crash", "hang", "traceback"))] for row in found["kinds"]]
    assert [row[1:] for row in _rows_below("| files | inputs | crashes | hangs | tracebacks |")] == shown
    assert found["figures"]["inputs"] == sum(row["inputs"] for row in found["kinds"])
    assert f"In all {found['figures']['inputs']:,.0f} inputs" in " ".join(SCALING.split())
