from pathlib import Path

import numpy as np
import pytest

from csvjax.report.read import read_run
from csvjax.report.tables import split_tables
from csvjax.report.words import laws_of, number, r2_means_something, split_label, tiles


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("leave-one-out:family", "each family left out in turn"),
        ("weak-to-strong:params", "largest number of parameters predicted from smaller ones"),
        ("weak-to-strong:step:2", "2 largest training steps predicted from smaller ones"),
        ("weak-to-strong:depth:2", "2 largest values of depth predicted from smaller ones"),
        ("flops>8.4e22", "compute above 8.4e22 predicted from below"),
        ("by hand", "by hand"),
    ],
)
def test_splits_are_named_in_words(text: str, label: str) -> None:
    assert split_label(text) == label


def test_numbers_have_a_true_minus_sign_and_gaps_a_dash() -> None:
    assert number(-0.5) == "\N{MINUS SIGN}0.50"
    assert number(0.5, signed=True) == "+0.50"
    assert number(float("nan")) == number(None) == "\N{EN DASH}"


def test_every_headline_figure_is_a_tile_and_a_known_one_has_its_meaning(made: Path) -> None:
    run = read_run(made)
    shown = tiles(run)
    assert len(shown) == len(run.figures)
    assert all(t.meaning for t in shown)
    assert shown[2].value.replace("\N{NO-BREAK SPACE}", " ") == "91 %"


def test_the_better_law_is_marked_unless_both_read_the_same(made: Path, tmp_path: Path) -> None:
    run = read_run(made)
    metrics = run.metrics.copy()
    one = (metrics["split"] == "leave-one-out:family") & (metrics["benchmark"] == "sums")
    metrics.loc[one, ["r2", "mae", "crps", "coverage90"]] = [[0.3, 0.1, 0.2, 0.80], [0.2, 0.2, 0.2, 0.91]]
    table = split_tables(type(run)(run.config, run.figures, run.predictions, metrics))[0]
    assert table.rows[0].pooled
    (row,) = (r for r in table.rows if r.benchmark == "sums")
    r2, mae, crps, coverage = ([c.best for c in group] for group in row.groups)
    assert laws_of(run) == ["mean_loss", "salience"]
    assert r2 == mae == [True, False]
    assert crps == [False, False]
    assert coverage == [False, True]


def test_r2_of_few_scores_is_not_shown(made: Path) -> None:
    run = read_run(made)
    assert r2_means_something(run.metrics)
    assert "R²" in split_tables(run)[0].headings
    few = run.metrics.assign(n=np.where(run.metrics["benchmark"] == "sums", 2, run.metrics["n"]))
    run = type(run)(run.config, run.figures, run.predictions, few)
    assert "R²" not in split_tables(run)[0].headings
    assert not {tile.label for tile in tiles(run)} & {"R² gained", "R² gained, worst benchmark"}


def test_a_headline_figure_without_a_number_is_not_shown(made: Path) -> None:
    run = read_run(made)
    run = type(run)(run.config, {"crps_ratio": float("nan"), "note": "a"}, run.predictions, run.metrics)
    assert [tile.label for tile in tiles(run)] == ["note"]
