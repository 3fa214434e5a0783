"""The page of results says what the committed results say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from csvjax.errors import InputError
from experiments import tables

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


def test_sentences_about_the_ladder() -> None:
    figures = results("salience_ladder")["figures"]
    assert f"gains {figures['r2_gain']:.2f} of R2 on average and {figures['worst_task_gain']:.3f} at least" in TEXT
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    again = results("salience_ladder_fresh")["metrics"]
    mean, salience = (
        next(m for m in again if (m["split"], m["law"], m["benchmark"]) == ("leave-one-out:family", law, "all"))
        for law in ("mean_loss", "salience")
    )
    assert (
        f"R2 {mean['r2']:.2f} and {salience['r2']:.2f}, CRPS {mean['crps']:.3f} and {salience['crps']:.3f}, "
        f"{mean['coverage90']:.0%} and {salience['coverage90']:.0%} inside" in readme
    )


def test_tables_are_what_the_results_give() -> None:
    names = []
    for page in tables.pages():
        text = page.read_text(encoding="utf-8")
        assert tables.written(text) == text, f"{page} shows other results; run python -m experiments.tables"
        names += re.findall(r"<!-- table: (.*?) -->", text)
    assert set(names) == set(tables.TABLES)


def test_a_table_is_written_anew_and_nothing_else() -> None:
    page = "before\n<!-- table: sloth -->\n| old \\1 |\n<!-- end of table -->\nafter | x |\n"
    new = tables.written(page)
    assert new.startswith("before\n<!-- table: sloth -->\n\n| | v1, 1 seen |")
    assert new.endswith("\n\n<!-- end of table -->\nafter | x |\n")
    assert "old" not in new
    with pytest.raises(InputError, match=r"expected one of the tables ladder, .* found 'none'"):
        tables.written(page.replace("sloth", "none"))


def test_the_best_of_a_column_is_bold() -> None:
    assert tables.best([2.0, None, 1.0], ["2", "", "1"]) == ["2", "-", "**1**"]
    assert tables.best([2.0, 1.0], ["2", "1"], lower=False) == ["**2**", "1"]


def test_sentences_about_drills_and_hostile_files() -> None:
    page = " ".join((ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").split())
    found = results("drills")
    figures = {name: sum(row[of] for row in found["drills"]) for name, of in (("drills", "times"), ("lost", "lost"))}
    assert figures == {name: found["figures"][name] for name in figures}
    assert "{drills:.0f} drills, {survived:.0f} survived, {lost:.0f} lost".format(**found["figures"]) in page
    assert f"In all {results('fuzz')['figures']['inputs']:,.0f} inputs" in page
