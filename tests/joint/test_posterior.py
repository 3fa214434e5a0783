"""Labelled draws: names, shapes and sums that must agree with one another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit

from csvjax.data.dataset import Dataset
from csvjax.joint.posterior import JointDraws, convergence, joint_draws, to_tree
from csvjax.laws.fit_joint import FittedJoint
from tests.joint.conftest import BENCHMARKS, LMS, SETTINGS, written


@pytest.fixture(scope="module")
def chains(dataset: Dataset, seen: np.ndarray) -> FittedJoint:
    """Two chains with two capabilities, of which the second has the other sign in the second chain."""
    fit = written(dataset, seen, SETTINGS._replace(capabilities=2))
    rng = np.random.default_rng(0)
    x = fit.x.reshape(2, 200, -1)
    # Sites are flattened in the order of their names: contrast [benchmark, 1] comes first, then its scale.
    x[0, :, :3] = [1.0, 0.0, -1.0] + 0.05 * rng.standard_normal((200, 3))
    x[1, :, :3] = [-1.0, 0.0, 1.0] + 0.05 * rng.standard_normal((200, 3))
    stats = {"diverging": np.zeros((2, 200), bool), "steps": np.full((2, 200), 7), "potential": np.ones((2, 200))}
    return replace(fit, x=x, method="nuts", diagnostics=stats)


@pytest.fixture(scope="module")
def draws(chains: FittedJoint) -> JointDraws:
    return joint_draws(chains)


@pytest.fixture(scope="module")
def tree(chains: FittedJoint, draws: JointDraws) -> xr.DataTree:
    return to_tree(chains, draws)


def test_everything_has_a_name(tree: xr.DataTree, chains: FittedJoint, seen: np.ndarray) -> None:
    posterior = tree["posterior"]
    assert dict(posterior.sizes) == {
        **{"chain": 2, "draw": 200, "lm": LMS, "family": 3, "benchmark": 3, "capability": 2, "covariate": 1}
    }
    assert list(posterior["benchmark"].values) == list(BENCHMARKS)
    assert list(posterior["capability"].values) == ["general", "contrast 1"]
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


def test_contrasts_of_the_two_chains_are_turned_alike(chains: FittedJoint, draws: JointDraws) -> None:
    assert np.sign(draws.sites["loading"][0, :, 0, 1].mean()) != np.sign(draws.sites["loading"][1, :, 0, 1].mean())
    one, two = draws.aligned.loading[..., 1].mean(axis=1)
    np.testing.assert_allclose(one, two, atol=0.1)
    table = convergence(chains, draws).set_index("quantity")
    # Independent draws of one distribution: 200 of them twice scatter r-hat by less than 0.03.
    assert table.loc["loading, aligned", "rhat"] < 1.03
    assert table.loc["capability, aligned", "rhat"] < 1.03
    assert table.loc["parameters", "rhat"] > 1.5  # as the planted signs must make it
    assert convergence(replace(chains, x=chains.x[:1]), draws).empty


def test_capabilities_and_loadings_make_the_logits(tree: xr.DataTree, draws: JointDraws) -> None:
    posterior = tree["posterior"].to_dataset()
    logit = posterior["intercept"] + (posterior["theta"] * posterior["loading"]).sum("capability")
    left = draws.logit - logit.transpose("chain", "draw", "lm", "benchmark").values
    # What is left is the habit of a family on a benchmark, the same for all its models.
    np.testing.assert_allclose(left[:, :, 0], left[:, :, 3], atol=1e-4)


def test_likelihoods_are_of_the_cells_seen_and_near_what_the_items_say(
    tree: xr.DataTree, draws: JointDraws, seen: np.ndarray
) -> None:
    log_p = tree["log_likelihood"]["score"]
    assert log_p.dims == ("chain", "draw", "cell")
    assert np.isfinite(log_p.values).all()
    assert np.isnan(draws.log_likelihood[..., ~seen]).all()
    # A binomial density with half the counts of each side at the score itself: its height times n + 1 bounds them all.
    p = expit(draws.logit[..., seen])
    most = np.log(201) - 0.5 * np.log(2 * np.pi * 200 * np.clip(p * (1 - p), 1e-3, None)) + 1
    assert (log_p.values < most.max()).all()


def test_a_draw_without_a_solution_gives_way_to_another(fit: FittedJoint) -> None:
    x = fit.x.copy()
    x[0, 5] = np.nan
    found = joint_draws(replace(fit, x=x))
    for draws in (found.aligned.capability, found.aligned.loading, found.logit, found.sites["intercept"]):
        assert np.isfinite(draws).all()


def test_a_mode_is_one_chain_of_repeated_parameters(fit: FittedJoint) -> None:
    mode = replace(fit, x=fit.x[:, :1], method="map")
    found = joint_draws(mode)
    assert found.logit.shape == (1, 400, LMS, 3)
    assert np.ptp(found.sites["intercept"], axis=1).max() == 0
    assert np.ptp(found.logit, axis=1).min() > 0
