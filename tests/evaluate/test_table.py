from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from csvjax.errors import InputError
from csvjax.evaluate import POOLED, metrics, score_table


@pytest.fixture
def predictions() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for split, law, benchmark in [
        (s, w, b) for s in "pq" for w in ("mean_loss", "salience") for b in ("x", "y", "flat")
    ]:
        for i in range(8):
            observed = 0.5 if benchmark == "flat" else (i + 1) / 10
            mean = observed + rng.normal(0, 0.1)
            bounds = {
                f"{side}{n}": mean + sign * n / 500
                for n in (50, 80, 90)
                for side, sign in (("lower", -1), ("upper", 1))
            }
            rows.append(
                {"split": split, "fold": i % 2, "law": law, "benchmark": benchmark, "lm": f"m{i}", "observed": observed}
                | {"mean": mean, "median": mean + 0.01, "crps": rng.uniform()}
                | bounds
            )
    return pd.DataFrame(rows)


def test_a_row_holds_the_metrics_of_its_cells(predictions: pd.DataFrame) -> None:
    cells = predictions.query("split == 'q' and law == 'salience' and benchmark == 'y'")
    row = score_table(predictions).query("split == 'q' and law == 'salience' and benchmark == 'y'").iloc[0]
    assert row["n"] == 8
    assert row["r2"] == pytest.approx(metrics.r2(cells["observed"], cells["mean"]))
    assert row["mae"] == pytest.approx(np.abs(cells["observed"] - cells["median"]).mean())
    assert row["rmse"] == pytest.approx(np.sqrt(((cells["observed"] - cells["mean"]) ** 2).mean()))
    assert row["crps"] == pytest.approx(cells["crps"].mean())
    assert row["coverage50"] == pytest.approx(np.mean(np.abs(cells["observed"] - cells["mean"]) <= 0.1))
    assert row["width90"] == pytest.approx(0.36)


def test_the_pooled_row_is_a_mean_over_benchmarks_and_a_share_over_cells(predictions: pd.DataFrame) -> None:
    uneven = predictions.drop(predictions.query("benchmark == 'x' and lm in ('m0', 'm1', 'm2')").index)
    table = score_table(uneven).query("split == 'p' and law == 'salience'").set_index("benchmark")
    assert list(table.index) == ["x", "y", "flat", POOLED]
    assert table["r2"].isna().tolist() == [False, False, True, False]  # the flat scores do not differ
    assert table.loc[POOLED, "r2"] == pytest.approx(table.loc[["x", "y"], "r2"].mean())
    assert table.loc[POOLED, "mae"] == pytest.approx(table.loc[["x", "y", "flat"], "mae"].mean())
    weights = table.loc[["x", "y", "flat"], "n"]
    assert table.loc[POOLED, "n"] == weights.sum() == 21
    assert table.loc[POOLED, "coverage90"] == pytest.approx(np.average(table["coverage90"].iloc[:3], weights=weights))


def test_cells_that_were_not_observed_do_not_count(predictions: pd.DataFrame) -> None:
    gaps = predictions.assign(observed=predictions["observed"].mask(predictions["lm"] == "m3"))
    gaps.loc[gaps["lm"] == "m3", "crps"] = np.nan
    without = predictions.query("lm != 'm3'")
    pd.testing.assert_frame_equal(score_table(gaps), score_table(without))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: p.drop(columns="median"), "with the columns median"),
        (lambda p: p.assign(benchmark="all"), "used for the mean of all benchmarks"),
        (lambda p: pd.concat([p, p.tail(1)]), r"found two for \(q, salience, flat, m7\)"),
        (
            lambda p: p.assign(crps=p["crps"].mask(p.index == 0)),
            r"found 1 with gaps, the first at \(p, mean_loss, x, m0\)",
        ),
    ],
)
def test_a_table_that_would_mislead_is_refused(
    predictions: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        score_table(change(predictions))
