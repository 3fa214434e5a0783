"""Labelled draws: names, shapes and sums that must agree with one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit

from csvjax.data.dataset import Dataset
from csvjax.result.draws import LawDraws, convergence, law_draws, to_tree
from csvjax.result.result import Result
from tests.result.conftest import BENCHMARKS, LAW, LMS, place, written


@pytest.fixture(scope="module")
def chains(dataset: Dataset, seen: np.ndarray) -> Result:
    """Two chains with two capabilities, of which the second has the other sign in the second chain."""
    fit = written(dataset, seen, replace(LAW, capabilities=2, effects=("family", "run")))
    rng = np.random.default_rng(0)
    x, contrast = fit.x.reshape(2, 200, -1), place(fit, "contrast")
    x[0][:, contrast] = [1.0, 0.0, -1.0] + 0.05 * rng.standard_normal((200, 3))
    x[1][:, contrast] = [-1.0, 0.0, 1.0] + 0.05 * rng.standard_normal((200, 3))
    stats = {"diverging": np.zeros((2, 200), bool), "steps": np.full((2, 200), 7), "potential": np.ones((2, 200))}
    return replace(fit, x=x, method="nuts", diagnostics=stats)


@pytest.fixture(scope="module")
def draws(chains: Result) -> LawDraws:
    return law_draws(chains)


@pytest.fixture(scope="module")
def tree(chains: Result, draws: LawDraws) -> xr.DataTree:
    return to_tree(chains, draws)


def test_everything_has_a_name(tree: xr.DataTree, chains: Result, seen: np.ndarray) -> None:
    posterior = tree["posterior"]
    assert dict(posterior.sizes) == {
        **{"chain": 2, "draw": 200, "lm": LMS, "family": 3, "benchmark": 3, "capability": 2, "covariate": 1}
    }
    assert list(posterior["benchmark"].values) == list(BENCHMARKS)
    assert list(posterior["capability"].values) == ["general", "contrast 1"]
    assert list(posterior["covariate"].values) == ["flops"]
    assert posterior["lm_family"].sel(lm="m04") == "f1"
    assert posterior["loading"].sel(benchmark="hard", capability="general").dims == ("chain", "draw")
    cell = tree["observed_data"]["score"]
    assert cell.sizes == {"cell": seen.sum()}
    scores = chains.dataset.scores
    assert scores is not None
    for lm, benchmark, score in zip(cell["cell_lm"].values, cell["cell_benchmark"].values, cell.values, strict=True):
        assert scores.select([lm], [benchmark]).score[0, 0] == score
    assert (tree["sample_stats"]["lp"] == -1).all()
    assert not tree["sample_stats"]["diverging"].any()


def test_spreads_of_families_and_runs_are_along_the_aligned_axes(tree: xr.DataTree, chains: Result) -> None:
    posterior = tree["posterior"]
    for name in ("family_spread", "run_spread"):
        of_chains = np.exp(chains.x[..., place(chains, name)])
        # Two capabilities have no turn but a sign, which a spread has not.
        np.testing.assert_allclose(posterior[name].values, of_chains, rtol=1e-6)
    np.testing.assert_allclose(posterior["run_habit"].values, np.exp(chains.x[..., place(chains, "run_habit")[0]]))


def test_contrasts_of_the_two_chains_are_turned_alike(chains: Result, draws: LawDraws) -> None:
    assert np.sign(draws.sites["loading"][0, :, 0, 1].mean()) != np.sign(draws.sites["loading"][1, :, 0, 1].mean())
    one, two = draws.aligned.loading[..., 1].mean(axis=1)
    np.testing.assert_allclose(one, two, atol=0.1)
    table = convergence(chains, draws).set_index("quantity")
    # Independent draws of one distribution: 200 of them twice scatter r-hat by less than 0.03.
    assert table.loc["loading, aligned", "rhat"] < 1.03
    assert table.loc["capability, aligned", "rhat"] < 1.03
    assert table.loc["parameters", "rhat"] > 1.5  # as the planted signs must make it
    assert convergence(replace(chains, x=chains.x[:1]), draws).empty


def test_capabilities_and_loadings_make_the_logits(tree: xr.DataTree, draws: LawDraws) -> None:
    posterior = tree["posterior"].to_dataset()
    logit = posterior["intercept"] + (posterior["theta"] * posterior["loading"]).sum("capability")
    left = draws.logit - logit.transpose("chain", "draw", "lm", "benchmark").values
    # What is left is the habit of a family and of a run, which here is the model's own.
    spread = np.hypot(0.2, 0.2) * 0.2
    assert 0.5 * spread < left.std() < 2 * spread


def test_likelihoods_are_of_the_cells_seen_and_near_what_the_items_say(
    tree: xr.DataTree, draws: LawDraws, seen: np.ndarray
) -> None:
    log_p = tree["log_likelihood"]["score"]
    assert log_p.dims == ("chain", "draw", "cell")
    assert np.isfinite(log_p.values).all()
    assert np.isnan(draws.log_likelihood[..., ~seen]).all()
    # A binomial density with half the counts of each side at the score itself: its height times n + 1 bounds them all.
    p = expit(draws.logit[..., seen])
    most = np.log(201) - 0.5 * np.log(2 * np.pi * 200 * np.clip(p * (1 - p), 1e-3, None)) + 1
    assert (log_p.values < most.max()).all()


def test_a_draw_without_a_solution_gives_way_to_another(fit: Result) -> None:
    x = fit.x.copy()
    x[0, 5] = np.nan
    found = law_draws(replace(fit, x=x))
    for draws in (found.aligned.capability, found.aligned.loading, found.logit, found.sites["intercept"]):
        assert np.isfinite(draws).all()


def test_a_mode_is_one_chain_of_repeated_parameters(fit: Result) -> None:
    mode = replace(fit, x=fit.x[:, :1], method="map")
    found = mode.labelled
    assert found.logit.shape == (1, 400, LMS, 3)
    assert np.ptp(found.sites["intercept"], axis=1).max() == 0
    assert np.ptp(found.logit, axis=1).min() > 0


def test_the_habit_of_a_family_is_the_same_for_all_its_models(fit: Result) -> None:
    draws = fit.labelled
    explained = np.einsum("cdmk,cdbk->cdmb", draws.aligned.capability, draws.aligned.loading)
    left = draws.logit - explained - draws.sites["intercept"][:, :, None]
    np.testing.assert_allclose(left[:, :, 0], left[:, :, 3], atol=1e-4)
    assert np.abs(left[:, :, 0] - left[:, :, 1]).max() > 0.05
