"""Each way in which a fit can end has its sentence, with what to do; what is not well is a warning."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from csvjax.errors import FitWarning
from csvjax.infer import Bootstrap, Laplace, Map, Nuts, Svi, fit
from csvjax.infer.bootstrap import Replicates
from csvjax.infer.map import Optimum
from csvjax.infer.svi import Found
from csvjax.law.density import Density
from tests.infer.models import COIN, coin_data

KEY = jax.random.key(1)


@pytest.mark.slow
def test_map_says_that_it_was_stopped() -> None:
    with pytest.warns(
        FitWarning, match=r"^map: not converged: stopped after the most steps allowed \(2\).*raise steps"
    ):
        found = fit(COIN, coin_data(), Map(screen=1, steps=2, curved=0), KEY)
    assert not found.status.ok


def _nowhere(_: Any) -> None:
    x = numpyro.sample("x", dist.Normal(0.0, 1.0))
    numpyro.factor("never", jnp.log(-1 - x**2))


@pytest.mark.slow
def test_map_says_that_no_start_is_possible() -> None:
    with pytest.warns(FitWarning, match=r"no start has a finite density; check the data and the priors"):
        fit(Density(_nowhere), np.zeros(1), Map(), KEY)


def _flat(_: Any) -> None:
    """Nothing is known of x[1]: its prior is undone."""
    x = numpyro.sample("x", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    numpyro.factor("undo", 0.5 * x[1] ** 2)


@pytest.mark.slow
def test_laplace_says_that_there_is_no_minimum() -> None:
    with pytest.warns(FitWarning, match=r"no minimum: in one direction the curvature at the mode is .*use NUTS"):
        found = fit(Density(_flat), np.zeros(1), Laplace(draws=10), KEY)
    assert float(found.diagnostics["curvature"]) == pytest.approx(0, abs=1e-9)


def optimum() -> Optimum:
    one = np.ones(())
    return Optimum(np.zeros(2), one, one, one > 0, one, np.eye(2), np.ones(1, int), np.ones(1), np.ones(1, bool))


def chains(method: Nuts, **changes: Any) -> dict[str, np.ndarray]:
    shape = (method.chains, method.draws)
    z = np.random.default_rng(1).normal(size=(*shape, 2))
    plain = {"z": z, "diverging": np.zeros(shape, bool), "steps": np.full(shape, 7), "potential": np.zeros(shape)}
    return plain | {"step_size": np.ones(shape)} | changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, r"^converged: largest r-hat 1\.00\d, at least \d+ effective draws in the bulk"),
        (
            {"z": np.random.default_rng(2).normal(size=(4, 500, 2)) + np.arange(4)[:, None, None]},
            "do not agree: .*r-hat",
        ),
        ({"diverging": np.arange(2000).reshape(4, 500) < 30}, r"30 of 2000 draws diverged.*raise target \(now 0\.85\)"),
        ({"steps": np.full((4, 500), 1023)}, r"100% of the trajectories were cut off; raise tree \(now 10\)"),
        (
            {"z": np.repeat(np.random.default_rng(3).normal(size=(4, 500, 2))[:, ::8], 8, 1)[:, :500]},
            "do not agree|few",
        ),
    ],
)
def test_nuts_says_what_its_chains_did(changes: dict[str, np.ndarray], expected: str) -> None:
    method = Nuts()
    found = method.read(optimum(), chains(method, **changes))
    assert found.status.ok == (not changes)
    assert re.search(expected, found.status.sentence), found.status


@pytest.mark.parametrize(
    ("elbo", "expected"),
    [
        (np.full(1000, -3.0), r"^converged: the bound on the evidence ended at -3\.00 nats"),
        (np.linspace(-9, -3, 1000), r"was still rising at the end, by .* standard errors; raise steps \(now 2000\)"),
        (np.r_[np.full(900, -3.0), np.full(100, -np.inf)], "was infinite in 10% of the steps; lower learning_rate"),
    ],
)
def test_svi_says_how_its_bound_ended(elbo: np.ndarray, expected: str) -> None:
    noisy = elbo + 0.05 * np.random.default_rng(4).normal(size=1000)
    found = Svi().read(Found(optimum(), jnp.zeros((5, 2)), jnp.asarray(noisy)))
    assert found.status.ok == ("^converged" in expected)
    assert re.search(expected, found.status.sentence), found.status


@pytest.mark.parametrize(("late", "ok"), [(0, True), (5, True), (50, False)])
def test_the_bootstrap_says_how_many_replicates_were_late(late: int, ok: bool) -> None:
    converged = jnp.arange(200) >= late
    found = Bootstrap().read(Replicates(optimum(), jnp.zeros((200, 2)), converged, jnp.where(converged, 0.0, 0.5)))
    assert found.status.ok == ok
    expected = (
        f"{late} of 200 replicates did not converge; the largest gradient is 0.5; raise"
        if late
        else "200 replicates by case"
    )
    assert re.search(expected, found.status.sentence), found.status
