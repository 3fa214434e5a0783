"""Names that rich would take for markup or for an emoji are printed as they are."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from csvjax.cli import show

NAMES = ("[red]x", ":smile:", "corpus:family:", "[/]", "[bold]y[/bold]")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_shows_title_headings_and_cells_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    show.table(f"{name} 24", ("model", name), [(f"a {name}", f"b {name}")])
    title, headings, row = capsys.readouterr().out.splitlines()
    assert title.strip() == f"{name} 24"
    assert headings.split() == ["model", *name.split()]
    assert row.split() == ["a", name, "b", name]


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_results_show_names_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    figures = dict.fromkeys(("r2", "mae", "crps", "coverage90"), 0.5)
    show.metrics_table(pd.DataFrame([{"split": name, "law": "salience", "benchmark": "all", **figures}]))
    bounds = dict.fromkeys(("mean", "mean_lower90", "mean_upper90", "lower90", "upper90", "observed"), 0.5)
    show.prediction_table(pd.DataFrame([{"lm": "m", "benchmark": name, **bounds}]), f"cells of {name}")
    shown = capsys.readouterr().out
    assert f"{name}, salience" in shown
    assert f"cells of {name}\n" in "\n".join(line.rstrip() for line in shown.splitlines()) + "\n"
    assert shown.splitlines()[-1].split()[:2] == ["m", name]


@pytest.mark.parametrize("name", NAMES)
def test_progress_shows_names_as_they_are(name: str) -> None:
    screen = io.StringIO()
    with show.bar() as progress:
        progress.add_task(f"fit {name}", total=2, note=f"note {name}")
        Console(file=screen, width=200).print(progress.get_renderable())
    assert f"fit {name}" in screen.getvalue()
    assert f"note {name}" in screen.getvalue()
