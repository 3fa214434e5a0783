"""The leaderboard's one command, on a few methods and problems."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from experiments.leaderboard import main
from experiments.tables import RESULTS, headlines

app = typer.Typer()
app.command()(main)


@pytest.mark.slow
def test_a_quick_run_ends_with_its_figures_and_leaves_the_results(public_data: Path, tmp_path: Path) -> None:
    before = (RESULTS / "leaderboard.json").read_bytes()
    done = CliRunner().invoke(
        app, ["--quick", "--out", str(tmp_path / "run"), "--methods", "family-mean,log-flops", "--jobs", "1"]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert list(figures) == ["minutes", "rows", "failed_rows"]
    assert figures["rows"] == 2 * 12
    assert figures["failed_rows"] == 0
    made = json.loads((tmp_path / "run" / "leaderboard.json").read_text(encoding="utf-8"))
    assert headlines(made)[3].startswith("| log-flops | ")
    assert made["methods"]["log-flops"]["intervals"]["Sloth"]["crps"] > 0
    assert (RESULTS / "leaderboard.json").read_bytes() == before


STAR = {
    "better": {"error": "lower", "R2": "higher"},
    "methods": {
        "a": {
            "figures": {"error": 0.1234, "R2": 0.5},
            "in part": ["error"],
            "intervals": {"all": None},
            "seconds": 1.0,
        },
        "b": {"figures": {"error": 123.4, "R2": None}, "in part": [], "intervals": {"all": None}, "seconds": 2.0},
    },
}


def test_the_table_has_stars_dashes_and_the_best_in_bold() -> None:
    assert headlines(STAR) == [
        "| | error | R2 |",
        "|---|---|---|",
        "| a | **0.123*** | **0.5** |",
        "| b | 123 | - |",
    ]
