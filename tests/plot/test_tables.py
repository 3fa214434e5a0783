"""Figures of tables: predictions, calibration, comparison, residuals, salience."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from csvjax import plot
from csvjax.errors import InputError
from csvjax.evaluate.metrics import coverage as share_inside
from csvjax.plot.calibration import coverage_table, positions
from csvjax.plot.domains import domain_shares
from csvjax.plot.losses import rank_correlation


def marks(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.type == "scatter" and trace.customdata is not None]


def drawn(figure: Any) -> pd.DataFrame:
    """x and y of every mark, by its model and benchmark."""
    rows = [
        (*names[:2], x, y)
        for trace in marks(figure)
        for names, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    ]
    return pd.DataFrame(rows, columns=["lm", "benchmark", "x", "y"]).set_index(["lm", "benchmark"])


def test_predicted_against_observed_has_every_score_once(predictions: pd.DataFrame) -> None:
    figure = plot.predicted(predictions)
    found = drawn(figure).loc[pd.MultiIndex.from_frame(predictions[["lm", "benchmark"]])]
    assert found["x"].to_numpy(float) == pytest.approx(predictions["observed"].to_numpy(), abs=6e-4)
    assert found["y"].to_numpy(float) == pytest.approx(predictions["mean"].to_numpy(), abs=6e-4)
    out = ~predictions["observed"].between(predictions["lower90"], predictions["upper90"])
    open_marks = sum(symbol.endswith("-open") for trace in marks(figure) for symbol in trace.marker.symbol)
    assert open_marks == out.sum() > 0
    assert "% of items" in figure.layout.xaxis.title.text
    first = marks(figure)[0]
    rows = predictions[predictions["family"] == first.name]
    assert np.array(first.y) + first.error_y.array == pytest.approx(rows["upper90"].to_numpy(), abs=2e-3)


def test_scores_that_were_not_observed_are_left_out(predictions: pd.DataFrame) -> None:
    some = predictions.assign(observed=predictions["observed"].where(predictions["lm"] != "m00"))
    assert "m00" not in drawn(plot.predicted(some)).index.get_level_values("lm")
    with pytest.raises(InputError, match="hold out some scores"):
        plot.predicted(predictions.assign(observed=np.nan))


@pytest.mark.parametrize("level", [50, 80, 90])
def test_coverage_is_that_of_the_metrics(predictions: pd.DataFrame, level: int) -> None:
    table = coverage_table(predictions, level).set_index("benchmark")
    for benchmark, cells in predictions.groupby("benchmark"):
        expected = share_inside(cells["observed"], cells[f"lower{level}"], cells[f"upper{level}"])
        assert table.loc[str(benchmark), "inside"] == expected
    assert ((table["lower"] <= table["inside"]) & (table["inside"] <= table["upper"])).all()
    figure = plot.coverage(predictions, level)
    assert figure.layout.shapes[0].x0 == level / 100
    assert [trace.customdata[0][1] for trace in marks(figure)][-1] == "all benchmarks"


def test_positions_of_calibrated_scores_are_uniform() -> None:
    """Ten thousand scores from their own predictions: the largest deviation is below the 99.9 % limit of Kolmogorov's
    test, 1.95 / sqrt(n), between the outermost quantiles.
    """
    rng = np.random.default_rng(0)
    n, z = 10_000, {"05": -1.6449, "10": -1.2816, "25": -0.6745, "75": 0.6745, "90": 1.2816, "95": 1.6449}
    centre, spread = rng.normal(0, 1, n), rng.gamma(3, 1, n)
    names = {"lower90": "05", "lower80": "10", "lower50": "25", "upper50": "75", "upper80": "90", "upper90": "95"}
    table = pd.DataFrame({name: centre + spread * z[q] for name, q in names.items()})
    table = table.assign(median=centre, observed=centre + spread * rng.standard_normal(n))
    u = np.sort(positions(table))
    at = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.949])
    assert np.abs(np.searchsorted(u, at) / n - at).max() < 1.95 / np.sqrt(n)
    assert set(u[(u < 0.05) | (u > 0.95)]) == {0.025, 0.975}
    narrow = positions(table.assign(observed=centre + 3 * (table["observed"] - centre)))
    assert np.mean((narrow == 0.025) | (narrow == 0.975)) > 0.5


def test_a_score_on_several_quantiles_gets_the_middle_of_them() -> None:
    ends = {
        "lower90": 0.0,
        "lower80": 0.0,
        "lower50": 0.0,
        "median": 0.0,
        "upper50": 0.1,
        "upper80": 0.2,
        "upper90": 0.3,
    }
    table = pd.DataFrame([ends | {"observed": 0.0}, ends | {"observed": 0.15}, ends | {"observed": 0.4}])
    assert positions(table) == pytest.approx([np.mean([0.05, 0.1, 0.25, 0.5]), 0.825, 0.975])


def test_pit_marks_lie_at_positions_and_within_the_band_of_good_predictions(predictions: pd.DataFrame) -> None:
    figure = plot.pit(predictions)
    found = drawn(figure).loc[pd.MultiIndex.from_frame(predictions[["lm", "benchmark"]])]
    assert found["x"].to_numpy(float) == pytest.approx(positions(predictions), abs=6e-4)
    assert found["y"].abs().max() < 0.3


@pytest.mark.parametrize(("times", "slope"), [(3.0, -1), (0.3, 1)])
def test_pit_falls_in_the_middle_where_intervals_are_too_narrow(times: float, slope: int) -> None:
    rng = np.random.default_rng(4)
    ends = {"lower90": -1.645, "lower80": -1.282, "lower50": -0.674, "median": 0.0}
    ends |= {"upper50": 0.674, "upper80": 1.282, "upper90": 1.645}
    table = pd.DataFrame({name: np.full(600, z) for name, z in ends.items()})
    table = table.assign(lm=[f"m{i}" for i in range(600)], family="f", benchmark="b")
    found = drawn(plot.pit(table.assign(observed=times * rng.standard_normal(600)))).sort_values("x")
    middle = found[found["x"].between(0.2, 0.8)]
    assert np.sign(middle["y"].iloc[-1] - middle["y"].iloc[0]) == slope
    low = drawn(plot.pit(table.assign(observed=rng.standard_normal(600) - 1)))
    assert low["y"].mean() > 0.1  # predictions too high


def test_residuals_are_observed_less_predicted(predictions: pd.DataFrame) -> None:
    found = plot.residuals(predictions).data[0]
    grid = pd.DataFrame(found.z, found.y, found.x)
    row = predictions.iloc[7]
    assert grid.loc[row["benchmark"], row["lm"]] == pytest.approx(100 * (row["observed"] - row["mean"]), abs=2e-3)
    assert found.meta == {"x": "lm", "y": "benchmark"}
    assert found.colorbar.title.text == "points"
    assert len(plot.residuals(predictions, limit=4).data[0].x) == 4
    elo = predictions.assign(observed=1000 * predictions["observed"], mean=1000 * predictions["mean"])
    assert plot.residuals(elo).data[0].colorbar.title.text == "unit of score"


def test_salience_by_domain_sums_over_units() -> None:
    units = pd.DataFrame({"domain": ["a", "a", "b"], "base_weight": [0.25, 0.25, 0.5]})
    salience = pd.concat(
        [units.assign(benchmark="one", share=[0.4, 0.4, 0.2]), units.assign(benchmark="<two>", share=[0.2, 0.2, 0.6])]
    )
    share, base = domain_shares(salience)
    assert share.loc["one"].tolist() == pytest.approx([0.8, 0.2])
    assert base.tolist() == [0.5, 0.5]
    found = plot.salience_by_domain(salience).data[0]
    assert list(found.y) == ["&lt;two&gt;", "one"]
    assert found.z[1] == pytest.approx(np.log2([1.6, 0.4]), abs=1e-3)
    assert list(found.text[1]) == ["80%", "20%"]


def test_methods_come_in_the_order_of_their_error() -> None:
    table = pd.DataFrame(
        {"split": ["s"] * 3 + ["t"], "method": ["a", "b_c", "none", "a"], "crps": [0.2, 0.1, np.nan, 0.3]}
    )
    table = table.assign(crps_low=table["crps"] - 0.05, crps_high=table["crps"] + 0.05, asked=10, answered=9)
    table = table.assign(against=["worse", "best", "", "best"])
    figure = plot.methods(table)
    assert list(figure.layout.yaxis.categoryarray) == ["a", "b c"]
    assert {trace.name: trace.x[0] for trace in figure.data} == {"worse": 0.2, "lowest error": 0.1}
    assert plot.methods(table, "t").data[0].x == (0.3,)
    with pytest.raises(InputError, match="on the split 'u'"):
        plot.methods(table, "u")


def test_scores_against_losses_have_predictions_behind_them(predictions: pd.DataFrame) -> None:
    loss = predictions.assign(salient_loss=np.linspace(3, 1, len(predictions)), mean_loss=np.nan)
    figure = plot.score_by_loss(loss)
    assert figure.data[0].name == "predicted, 90 % interval"
    assert sum(len(trace.x) for trace in figure.data) == 2 * len(predictions)
    assert "nats per byte" in figure.layout.xaxis.title.text
    assert len(plot.score_by_loss(loss, intervals=False).data) == 3
    with pytest.raises(InputError, match="fit with losses"):
        plot.score_by_loss(loss, "mean_loss")


def test_rank_correlation_needs_three_pairs_that_differ() -> None:
    x = pd.Series([1.0, 2.0, 3.0, np.nan])
    assert rank_correlation(x, pd.Series([9.0, 4.0, 1.0, 0.0])) == -1
    assert rank_correlation(x, pd.Series([1.0, 1.0, 1.0, 1.0])) is None
    assert rank_correlation(x[:2], x[:2]) is None
