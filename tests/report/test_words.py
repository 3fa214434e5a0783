from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csvjax.evaluate import score_table
from csvjax.report.figures import chart_data
from csvjax.report.read import read_run
from csvjax.report.tables import split_tables
from csvjax.report.words import laws_of, number, split_label, tiles


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
    table = split_tables(type(run)(run.config, run.figures, run.predictions, metrics, None))[0]
    assert table.rows[0].pooled
    (row,) = (r for r in table.rows if r.benchmark == "sums")
    r2, mae, crps, coverage = ([c.best for c in group] for group in row.groups)
    assert laws_of(run) == ["mean_loss", "salience"]
    assert r2 == mae == [True, False]
    assert crps == [False, False]
    assert coverage == [False, True]


def test_the_charts_hold_every_observed_cell_once(made: Path) -> None:
    run = read_run(made)
    data = chart_data(run)
    panels = [p for split in data["cells"] for law in split for p in law]
    assert sum(len(p["observed"]) for p in panels) == len(run.predictions)
    first = run.predictions.query("split == 'leave-one-out:family' and law == 'salience' and benchmark == 'grammar'")
    panel = data["cells"][0][data["laws"].index("salience")][0]
    assert [data["lms"][i] for i in panel["lm"]] == first["lm"].tolist()
    assert panel["mean"] == pytest.approx(first["mean"].tolist(), rel=1e-3)
    losses = data["losses"][0][0]
    assert losses["rank"][1] == pytest.approx(first["salient_loss"].rank().corr(first["observed"].rank()), abs=1e-3)
    assert losses["floor"] == 0.25


def test_cells_without_observation_and_without_loss_are_left_out(made: Path) -> None:
    run = read_run(made)
    gaps = run.predictions.assign(observed=run.predictions["observed"].where(run.predictions["benchmark"] != "sums"))
    gaps = gaps.assign(mean_loss=gaps["mean_loss"].where(gaps["benchmark"] != "grammar"))
    run = type(run)(run.config, run.figures, gaps, score_table(gaps), run.salience)
    data = chart_data(run)
    assert "sums" not in data["benchmarks"]
    assert [panel is None for panel in data["losses"][0]] == [True, False]


def test_a_law_that_lacks_a_benchmark_has_no_panel_there(made: Path) -> None:
    run = read_run(made)
    p: pd.DataFrame = run.predictions
    part = p[~((p["law"] == "mean_loss") & (p["benchmark"] == "sums"))]
    data = chart_data(type(run)(run.config, run.figures, part, score_table(part), None))
    there = np.array([[panel is not None for panel in law] for law in data["cells"][0]])
    assert there.tolist() == [[True, True, False], [True, True, True]]
