"""Draws of the field given the scores have the mean and covariance of the exact solution."""

import jax
import numpy as np
import pytest

from csvjax.compiled import jit_by_size
from csvjax.law import field as module
from csvjax.law.field import Drawn, draw_field
from csvjax.law.items import Cells
from csvjax.law.solve import Prior
from tests.law.fields import LMS, dense, effects_of, factors_of, forced, table


def draws_of(cells: Cells, prior: Prior, count: int, by_models: bool) -> Drawn:
    @jit_by_size
    def draw(keys: jax.Array) -> Drawn:
        with forced(by_models):
            field = module.log_marginal(cells, prior)
            return jax.lax.map(lambda key: draw_field(cells, prior, field, key), keys, batch_size=500)

    return jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(0), count)))


@pytest.mark.parametrize(("tail", "by_models"), [(0.0, False), (0.25, True)])
def test_draws_have_the_mean_and_covariance_of_the_field(tail: float, by_models: bool) -> None:
    cells, prior = table(5, tail=tail)
    count = 20_000
    drawn, exact = draws_of(cells, prior, count, by_models), dense(cells, prior)
    a, s = effects_of(prior), np.tile(np.asarray(prior.spread), LMS)
    to_eta = np.hstack([a, np.zeros((len(s), len(s)))])
    to_factor = np.hstack([factors_of(prior), np.zeros((LMS * prior.own.shape[2], len(s)))])
    to_u = np.hstack([a, np.diag(s)])
    mode = np.r_[exact.effects, exact.residual]
    # With a t residual a cell that was not seen has heavy tails of its own.
    seen = np.ones(len(s), bool) if tail == 0 else np.asarray(cells.seen).ravel()
    for flat, to, offset in (
        (drawn.eta.reshape(count, -1), to_eta, np.asarray(prior.trend).ravel()),
        (drawn.u.reshape(count, -1)[:, seen], to_u[seen], np.asarray(prior.trend).ravel()[seen]),
        (drawn.factor.reshape(count, -1), to_factor, 0.0),
    ):
        cov = to @ exact.covariance @ to.T
        error = np.sqrt(np.diag(cov) / count)
        assert np.abs((flat.mean(0) - offset - to @ mode) / error).max() < 5
        # A covariance of 20,000 draws is good to 1 % of the deviations; the trace of Fisher's information adds less.
        scale = np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
        assert np.abs((np.cov(flat.T) - cov) / scale).max() < 0.05
    if tail:
        # P(|t| > 4.604) = 0.01 with 4 degrees of freedom; a normal residual is there once in 240,000 draws.
        e = ((drawn.u - drawn.eta) / np.asarray(prior.spread))[:, ~np.asarray(cells.seen)]
        assert abs(np.mean(np.abs(e) > 4.604) - 0.01) < 5 * np.sqrt(0.01 / e.size)
