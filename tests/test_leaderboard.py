"""The leaderboard's one command, on a few methods and problems."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from csvjax.errors import InputError
from experiments.leaderboard import MARKS, PAGE, _write_page, main

app = typer.Typer()
app.command()(main)


@pytest.mark.slow
def test_a_quick_run_ends_with_its_figures_and_leaves_the_page(public_data: Path, tmp_path: Path) -> None:
    before = PAGE.read_bytes()
    done = CliRunner().invoke(
        app, ["--quick", "--out", str(tmp_path / "run"), "--methods", "family-mean,log-flops", "--jobs", "1"]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert list(figures) == ["minutes", "rows", "failed_rows"]
    assert figures["rows"] == 2 * 12
    assert figures["failed_rows"] == 0
    assert "| log-flops |" in (tmp_path / "run" / "table.md").read_text(encoding="utf-8")
    assert PAGE.read_bytes() == before


def test_the_page_has_the_markers_once() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [text.count(mark) for mark in MARKS] == [1, 1]
    assert text.index(MARKS[0]) < text.index(MARKS[1])


def test_only_what_stands_between_the_markers_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold | a \\1 b\n{MARKS[1]}\nafter\n", encoding="utf-8")
    _write_page(page, "| new \\g<1> |\n")
    assert page.read_text(encoding="utf-8") == f"before\n{MARKS[0]}\n\n| new \\g<1> |\n\n{MARKS[1]}\nafter\n"
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(InputError, match="found them 0 times"):
        _write_page(page, "x")
