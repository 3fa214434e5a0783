"""Capabilities against the logits that they explain, likelihoods of the cells that are judged, curves and salience."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csvjax.law.items import GAUGE
from csvjax.law.links import fractions
from csvjax.law.model import Evidence, Law
from csvjax.law.predictive import Predictive, draw_curve, draw_law, draw_salience, log_scores
from tests.law.tables import LMS, Slopes, evidence, planted, salient, unknown

LAW = Law(2, effects=("family",))
FAMILY = np.arange(LMS) % 3
DRAWS = 6


@pytest.fixture(scope="module")
def table() -> Evidence:
    """Scores with and without bounds; one covariate is not known of one model."""
    e = unknown(planted(evidence(covariates=2, units=4), 1), 5)
    return e._replace(standard=fractions(3)._replace(bounded=np.array([True, True, False])))


@pytest.fixture(scope="module")
def slopes() -> Slopes:
    return Slopes(LAW)


@pytest.fixture(scope="module")
def x(slopes: Slopes, table: Evidence) -> jax.Array:
    with jax.enable_x64(True):
        return jnp.stack([jnp.asarray(slopes.start(i, table)) for i in range(DRAWS)])


@pytest.fixture(scope="module")
def found(slopes: Slopes, table: Evidence, x: jax.Array) -> Predictive:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, draw_law(slopes.density, 0.0, table, x, jax.random.key(9)))


def test_logits_are_what_capabilities_and_loadings_say(
    found: Predictive, slopes: Slopes, table: Evidence, x: jax.Array
) -> None:
    for d in range(DRAWS):
        sites = slopes.constrain(x[d], table) | {"intercept": slopes.sites(x[d], table)["intercept"]}
        left = found.logit[d] - found.capability[d] @ sites["loading"].T - sites["intercept"]
        # What a family has on one benchmark beyond its capabilities is the same for all its models.
        for f in range(3):
            own = left[f == FAMILY]
            np.testing.assert_allclose(own, np.broadcast_to(own[0], own.shape), atol=1e-9)


def test_scores_are_whole_numbers_of_items_or_numbers_near_the_logit(
    found: Predictive, slopes: Slopes, table: Evidence, x: jax.Array
) -> None:
    for d in range(DRAWS):
        n = np.maximum(np.round(slopes.constrain(x[d], table)["n_items"]), 1)[:2]
        np.testing.assert_allclose(found.score[d, :, :2] * n, np.round(found.score[d, :, :2] * n), atol=1e-6)
    np.testing.assert_array_equal(found.mean[..., 2], found.logit[..., 2])
    # A score that was seen, drawn again, is off by its gauge and that of the first.
    seen = table.seen[:, 2]
    assert np.abs(found.score[:, seen, 2] - table.score[seen, 2]).max() < 6 * np.sqrt(2) * GAUGE


def test_likelihoods_are_those_of_the_judged_cells_alone(
    found: Predictive, slopes: Slopes, table: Evidence, x: jax.Array
) -> None:
    other = table._replace(seen=~table.seen, score=np.where(table.seen, 0.0, 0.4))
    with jax.enable_x64(True):
        for judged in (table, other):
            np.testing.assert_array_equal(
                np.isfinite(log_scores(0.0, judged, found)), np.tile(judged.seen, (DRAWS, 1, 1))
            )


def test_a_draw_is_the_same_whichever_others_stand_beside_it(
    found: Predictive, slopes: Slopes, table: Evidence, x: jax.Array
) -> None:
    with jax.enable_x64(True):
        many = draw_law(slopes.density, 0.0, table, np.resize(x, (60, x.shape[1])), jax.random.key(9))
    np.testing.assert_array_equal(many.score[:DRAWS], found.score)
    assert np.ptp(many.logit[::DRAWS], axis=0).min() > 0  # the same parameters, another draw of the field


@pytest.mark.slow
def test_a_curve_is_a_line_in_the_covariate_through_what_is_predicted_of_the_model(
    slopes: Slopes, table: Evidence, x: jax.Array
) -> None:
    row, count = 1, 500
    names = ("score", "seen", "weight", "covariate", "missing", "loss", "has_loss", "design")
    grid = table._replace(**{name: np.repeat(np.asarray(getattr(table, name))[[row]], LMS, 0) for name in names})
    covariate = grid.covariate.copy()
    covariate[1:, 0] = np.linspace(-3, 3, LMS - 1)
    grid = grid._replace(covariate=covariate, seen=np.zeros_like(grid.seen))
    many, key = jnp.tile(x[0], (count, 1)), jax.random.key(4)
    curve = np.asarray(draw_curve(slopes.density, 0.0, table, row, grid, many, key))
    assert curve.shape == (count, LMS, 3)
    loading = slopes.constrain(x[0], table)["loading"]
    slope = (loading @ slopes.sites(x[0], table)["gain"][0])[2]
    line = slope * (covariate[1:, 0] - covariate[0, 0])
    np.testing.assert_allclose(curve[:, 1:, 2] - curve[:, :1, 2], np.tile(line, (count, 1)), atol=1e-9)
    drawn = np.asarray(draw_law(slopes.density, 0.0, table, many, jax.random.key(5)).mean)[:, row]
    error = np.sqrt((drawn.var(axis=0) + curve[:, 0].var(axis=0)) / count)
    assert np.all(np.abs(drawn.mean(axis=0) - curve[:, 0].mean(axis=0)) < 5 * error)
    # The relative error of a standard deviation of 500 draws is 0.03.
    np.testing.assert_allclose(np.log(drawn.std(axis=0) / curve[:, 0].std(axis=0)), 0, atol=5 * 0.032 * np.sqrt(2))


def test_salience_is_the_derivative_of_logits_by_losses(slopes: Slopes, table: Evidence, x: jax.Array) -> None:
    e = table._replace(standard=fractions(3))
    found = np.asarray(draw_salience(slopes.density, e, x))
    step = 1e-5
    for u in range(e.loss.shape[1]):
        loss = e.loss.copy()
        loss[:, u] += step
        for d in (0, 3):
            one, two = (slopes.constrain(x[d], of)["prior_trend"] for of in (e, e._replace(loss=loss)))
            expected = -(two - one) / step
            np.testing.assert_allclose(expected, np.tile(found[d, :, u], (LMS, 1)), rtol=1e-6, atol=1e-6)


def test_salience_does_not_depend_on_the_sign_of_contrasts_and_sums_to_the_slope(
    slopes: Slopes, table: Evidence, x: jax.Array
) -> None:
    found = np.asarray(draw_salience(slopes.density, table, x))
    turned = []
    for d in range(DRAWS):
        sites, sign = slopes.sites(x[d], table), np.array([1.0, -1.0])
        other = {"contrast": -sites["contrast"], "gain": sites["gain"] * sign, "loss_slope": sites["loss_slope"] * sign}
        turned.append(np.asarray(jax.flatten_util.ravel_pytree(sites | other)[0]))
        at = slopes.constrain(x[d], table)
        total = at["loading"] @ (sites["loss_slope"] / salient(table, at["z"])[2])
        np.testing.assert_allclose(found[d].sum(axis=1), total, rtol=1e-9)
    again = np.asarray(draw_salience(slopes.density, table, jnp.asarray(np.stack(turned))))
    np.testing.assert_allclose(again, found, rtol=1e-9, atol=1e-12)
