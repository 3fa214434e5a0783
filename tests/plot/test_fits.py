"""Figures of a fit: curves, capabilities, loadings, priors."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

from csvjax import plot
from csvjax.errors import InputError
from csvjax.plot.curves import capability_curves, compute_curves, scale_of, scores_of
from csvjax.plot.priors import prior_tree
from csvjax.prediction import predict
from csvjax.result.result import Result
from csvjax.result.tables import capability_table, loading_table


@pytest.fixture(scope="module")
def tree(fit: Result) -> xr.DataTree:
    return fit.posterior


@pytest.fixture(scope="module")
def curves(fit: Result) -> pd.DataFrame:
    return compute_curves(fit, "f0", points=20)


def by_name(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_the_curve_is_what_predict_says_of_new_models(fit: Result, curves: pd.DataFrame) -> None:
    """Means of the mean score over draws: each with a Monte-Carlo error of its spread over the root of 400 draws."""
    grid = curves.loc[curves["benchmark"] == "fair", "x"].to_numpy()[[4, 12]]
    models = pd.DataFrame({"family": "f0", "flops": grid}, pd.Index(["a", "b"], name="lm"))
    drawn = predict(fit, models).drawn.mean[:, :, 1]
    at = curves[(curves["benchmark"] == "fair") & curves["x"].isin(grid)]
    error = 4 * drawn.std(axis=0) * np.sqrt(2 / len(drawn))
    assert (np.abs(at["mean"].to_numpy() - drawn.mean(axis=0)) < error).all()
    assert ((at["lower90"] <= at["lower50"]) & (at["upper50"] <= at["upper90"])).all()


def test_the_curve_reaches_beyond_the_models_and_marks_them(fit: Result, curves: pd.DataFrame) -> None:
    predictions = scores_of(fit, "fair").assign(mean=0.5, lower90=0.4, upper90=0.6).iloc[-2:]
    predictions.loc[predictions.index[-1], "observed"] = np.nan
    figure = plot.compute_curve(fit, "fair", family="f0", predictions=predictions, curves=curves)
    named = by_name(figure)
    assert set(named) >= {"90 %", "50 %", "expected, f0", "f0", "f1", "f2"}
    assert named["predicted, held out"].customdata[0][0] == "m13"
    assert named["predicted, not measured"].customdata[0][0] == "m14"
    families = [named[name] for name in ("f0", "f1", "f2")]
    symbols = {n[0]: s for trace in families for n, s in zip(trace.customdata, trace.marker.symbol, strict=True)}
    assert {name for name, symbol in symbols.items() if symbol.endswith("-open")} == {"m13", "m14"}
    last = fit.dataset.lms["flops"].iloc[-3]  # the largest that was fitted
    assert figure.layout.shapes[0].x0 == pytest.approx(last)
    assert figure.layout.shapes[0].x1 == pytest.approx(10 * fit.dataset.lms["flops"].max())
    assert figure.layout.xaxis.type == "log"
    assert "FLOP" in figure.layout.xaxis.title.text


def test_a_fit_without_compute_has_no_curve_against_it(fit: Result) -> None:
    blank = replace(fit, known=fit.known._replace(columns=replace(fit.known.columns, bases={}, covariates=())))
    assert scale_of(blank) is None
    with pytest.raises(InputError, match="use capability_curve"):
        compute_curves(blank)
    with pytest.raises(InputError, match="no benchmark named 'none'"):
        plot.compute_curve(fit, "none")


def test_tokens_follow_parameters_where_a_fit_has_both(fit: Result) -> None:
    lms = fit.dataset.lms.assign(params=np.sqrt(fit.dataset.lms["flops"] / 120), flops=np.nan)
    lms = lms.assign(tokens=20 * lms["params"])
    bases = fit.known.columns.bases
    both = {name: replace(bases["flops"], column=name) for name in ("params", "tokens")}
    found = replace(
        fit,
        dataset=replace(fit.dataset, lms=lms),
        known=fit.known._replace(columns=replace(fit.known.columns, bases=both)),
    )
    scale = scale_of(found)
    assert scale is not None
    assert scale.ratio == pytest.approx(20)
    amounts = scale.amounts(np.array([1.2e22]))
    assert 6 * amounts["params"] * amounts["tokens"] == pytest.approx(1.2e22)
    assert amounts["tokens"] == pytest.approx(20 * amounts["params"])


def test_the_capability_curve_is_the_link_of_the_law(fit: Result, tree: xr.DataTree) -> None:
    curves = capability_curves(fit, tree)
    at = curves[curves["benchmark"] == "hard"].iloc[30]
    draws = tree["posterior"].to_dataset().sel(benchmark="hard").stack(sample=("chain", "draw"))
    eta = draws["intercept"].values + draws["loading"].sel(capability="general").values * at["x"]
    mean = draws["floor"].values + (draws["ceiling"].values - draws["floor"].values) * expit(eta)
    assert at["mean"] == pytest.approx(mean.mean())
    assert at["upper90"] == pytest.approx(np.quantile(mean, 0.95))
    figure = plot.capability_curve(fit, "hard", tree=tree, curves=curves)
    theta = capability_table(tree).set_index("lm")["general"]
    marks = by_name(figure)["f1"]
    assert list(marks.x) == pytest.approx(theta[[names[0] for names in marks.customdata]].to_numpy(), rel=1e-3)


def test_capabilities_and_loadings_are_those_of_the_tables(fit: Result, tree: xr.DataTree) -> None:
    table = capability_table(tree).set_index("lm")
    figure = plot.capabilities(fit, tree=tree)
    for trace in figure.data:
        rows = table.loc[list(trace.y)]
        assert list(trace.x) == pytest.approx(rows["general"].to_numpy(), rel=1e-3)
        upper = rows["general upper90"].to_numpy()
        assert np.array(trace.x) + trace.error_x.array == pytest.approx(upper, rel=1e-2)
    assert figure.layout.yaxis.categoryarray[-1] == table.index[0]  # the most able on top
    assert "standard deviations" in figure.layout.xaxis.title.text
    loads = loading_table(tree).set_index("benchmark")
    (trace,) = plot.loadings(fit, tree=tree).data
    assert list(trace.x) == pytest.approx(loads.loc[list(trace.y), "general"].to_numpy(), rel=1e-3)
    with pytest.raises(InputError, match="found 'contrast 1'; it has general"):
        plot.capabilities(fit, tree=tree, capability="contrast 1")


def test_the_prior_is_that_of_the_law(fit: Result, tree: xr.DataTree) -> None:
    """Medians of 1000 draws: the family spread is half-normal with scale 1, the gain Student's t around 1, scale 2."""
    both = prior_tree(fit, tree)
    prior = both["prior"].to_dataset()
    assert float(prior["spread of families"].median()) == pytest.approx(0.6745, abs=4 * 0.024)
    assert float(prior["gain of flops (standard deviations)"].median()) == pytest.approx(1.0, abs=4 * 0.086)
    posterior = tree["posterior"]["family_spread"].isel(capability=0).values
    assert both["posterior"]["spread of families"].values == pytest.approx(posterior)
    figure = plot.prior_posterior(fit, tree=tree)
    assert [trace.name for trace in figure.data[:2]] == ["prior", "posterior"]
    names = list(both["posterior"].data_vars)
    for i, name in enumerate(names):
        assert figure.layout[f"xaxis{i + 1 if i else ''}"].title.text == name
        for j, group in enumerate(("prior", "posterior")):  # each density lies where its draws do
            draws, x = both[group][name].values, np.array(figure.data[2 * i + j].x)
            assert draws.min() - 0.1 * np.ptp(draws) <= x.min() <= np.quantile(draws, 0.1)
            assert np.quantile(draws, 0.9) <= x.max() <= draws.max() + 0.1 * np.ptp(draws)


def test_figures_are_written_for_print(fit: Result, tree: xr.DataTree) -> None:
    text = plot.loadings(fit, tree=tree).to_html(include_plotlyjs=False)
    assert '"paper_bgcolor":"#FFFFFF"' in text
