"""What was planted in simulated data is found again."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from csvjax.evaluate.table import score_table
from csvjax.laws.crossfit import unit_salience
from csvjax.laws.fit_salience import SalienceFit, fit_salience
from tests import simulated
from tests.laws import simulated_fits

SETTINGS = replace(simulated_fits.SETTINGS, strengths=(0.6,))


def pooled(strength: float) -> pd.DataFrame:
    """Figures over all benchmarks, a column for each law."""
    table = score_table(simulated_fits.crossfitted(strength).predictions)
    return table[table["benchmark"] == "all"].set_index("law")[["r2", "mae", "rmse", "crps"]].T


def test_planted_salience_gets_the_weight_and_predicts_better_than_the_mean_loss() -> None:
    choices = simulated_fits.crossfitted(2.5).choices.set_index("law")
    # Of the two strengths, 0 and 0.6, the second has most of the weight in every fold.
    assert (choices.loc["salience", "strength"] > 0.3).all()
    assert (choices.loc["mean loss", "strength"] == 0.0).all()
    assert choices["status"].str.startswith("converged").all()
    found = pooled(2.5)
    # Of the logits, the mean loss leaves about 1.1 unexplained and salience the planted 0.17.
    assert found.loc["crps", "salience"] < 0.7 * found.loc["crps", "mean loss"]
    assert found.loc["r2", "salience"] > found.loc["r2", "mean loss"] + 0.1


def test_where_the_mean_loss_is_the_truth_little_is_lost_by_trying() -> None:
    found = pooled(0.0)
    assert found.loc["crps", "salience"] < 1.1 * found.loc["crps", "mean loss"]
    assert found.loc["r2", "mean loss"] > 0.5


@pytest.fixture(scope="module")
def fit() -> SalienceFit:
    data = simulated.world(2.5)
    return fit_salience(data, np.ones(len(data.lms), bool), (), SETTINGS)


def test_each_planted_domain_has_the_largest_lift_of_salience(fit: SalienceFit) -> None:
    found = unit_salience(simulated.world(2.5), fit)
    shares = found.groupby(["benchmark", "domain"])[["salience", "base_weight"]].sum()
    np.testing.assert_allclose(shares["salience"].groupby("benchmark").sum(), 1, rtol=1e-12)
    lift = (shares["salience"] / shares["base_weight"]).unstack()
    assert list(lift.idxmax(axis=1)) == list(simulated.DOMAINS)
    assert (lift.max(axis=1) > 1.5).all()


def test_planted_parameters_lie_inside_their_intervals(fit: SalienceFit) -> None:
    data = simulated.world(2.5)
    table = data.measured()[1]
    sites = simulated_fits.posterior(fit)
    truth = simulated.planted_on_domains(table, 2.5)
    # Nine intervals of 99 %: all of them hold with a probability of 0.91 or more.
    for name in ("slope", "intercept", "room"):
        lower, upper = np.quantile(sites[name], [0.005, 0.995], axis=1)
        planted = getattr(truth, name)
        assert np.all((lower < planted) & (planted < upper)), name
    # Each spread is 0.1, under half-normal priors of scale 0.3.
    for name in ("family_spread", "run_spread", "spread"):
        assert np.all(np.quantile(sites[name], 0.005, axis=1) < 0.1), name
        assert np.all(np.median(sites[name], axis=1) < 0.3), name
    # What the scores tell is the salient loss as a whole, up to the shift and scale of the link.
    psi = simulated.salient_loss(table, truth.z)
    for found, exact in zip(sites["salient_loss"].mean(axis=1), psi, strict=True):
        assert np.corrcoef(found, exact)[0, 1] > max(0.98, np.corrcoef(table.mean_loss, exact)[0, 1])
