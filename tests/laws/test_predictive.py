"""Predictive draws against what NumPy and SciPy say of the same law with the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from csvjax.law.density import Density
from csvjax.laws.nested_noise import Nested
from csvjax.laws.predictive import log_score, predict
from csvjax.laws.salience_law import Evidence, salience_law

DENSITY = Density(salience_law)
DRAWS = 20_000
predicted = jax.jit(lambda e, x, key: predict(DENSITY, e, x, key))
scored = jax.jit(lambda e, x, observed, key: log_score(DENSITY, e, x, observed, key))


def evidence(loss: list[float], items: float, seen: int = 0) -> Evidence:
    """Models of one family and one run, with a single unit; the first `seen` of them scored 0.6."""
    m = len(loss)
    groups = Nested(np.zeros(m, int), np.zeros(m, int), np.array([0, 1]), np.zeros(2))
    return Evidence(
        loss=np.array(loss)[:, None],
        log_base=np.zeros(1),
        features=np.zeros((1, 1)),
        strength=np.array(0.0),
        centre=np.array(0.0),
        scale=np.array(1.0),
        groups=groups,
        score=np.where(np.arange(m) < seen, 0.6, 0.0),
        n_items=np.full(m, items),
        seen=np.arange(m) < seen,
        floor=np.array(0.2),
    )


def parameters(draws: int, spread: float = 1e-9, family_spread: float = 1e-9, run_spread: float = 1e-9) -> jax.Array:
    """The same parameters in each draw: slope 1, intercept 0, ceiling 0.2 + 0.8 * 0.75 = 0.8, 150 items."""
    found = DENSITY.unflatten(jnp.zeros(8), evidence([0.0], 1.0))
    positive = {"slope": 1.0, "items": 150.0, "spread": spread, "family_spread": family_spread}
    found |= {name: jnp.log(value) for name, value in (positive | {"run_spread": run_spread}).items()}
    found["room"] = jnp.log(0.75 / 0.25)
    return jnp.tile(jax.flatten_util.ravel_pytree(found)[0], (draws, 1))


LOSS = [-40.0, -2.0, -0.5, 0.0, 3.0, 40.0]
CHANCE = 0.2 + 0.6 * expit(-np.array(LOSS))


def item_variance(n: float) -> np.ndarray:
    """The law's variance of a share of n items whose mean is CHANCE."""
    half = 0.5 / (n + 1)
    return np.hypot(CHANCE * (1 - CHANCE), half * (1 - half)) / n


@pytest.mark.parametrize("items", [1.0, 12.0, 1000.0])
def test_without_effects_a_new_score_is_binomial(items: float) -> None:
    drawn = predicted(evidence(LOSS, items), parameters(DRAWS), jax.random.key(1))
    np.testing.assert_allclose(drawn.mean, np.tile(CHANCE, (DRAWS, 1)), atol=1e-7)
    counts = np.asarray(drawn.score) * items
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    for m, chance in enumerate(CHANCE):
        found = np.bincount(np.round(counts[:, m]).astype(int), minlength=int(items) + 1)
        expected = stats.binom.pmf(np.arange(items + 1), items, chance) * DRAWS
        # Cells with fewer than 20 expected draws are gathered into one, for the chi-square distribution to hold.
        rare = expected < 20
        pairs = [np.r_[v[~rare], v[rare].sum()] for v in (found, expected)]
        keep = pairs[1] > 5
        assert stats.chisquare(*(v[keep] * (DRAWS / v[keep].sum()) for v in pairs)).pvalue > 1e-4


def test_with_items_unknown_a_new_score_has_the_moments_of_the_laws_own_number_of_items() -> None:
    score = np.asarray(predicted(evidence(LOSS, np.nan), parameters(DRAWS), jax.random.key(2)).score)
    variance = item_variance(150)
    assert np.all((score >= 0) & (score <= 1))
    assert np.all(np.abs(score.mean(axis=0) - CHANCE) < 4.5 * np.sqrt(variance / DRAWS))
    np.testing.assert_allclose(score.var(axis=0), variance, rtol=4.5 * np.sqrt(2 / DRAWS))


@pytest.mark.parametrize("spreads", [(0.5, 1e-9, 1e-9), (1e-9, 0.4, 0.3), (0.5, 0.4, 0.3)])
def test_effects_of_a_new_family_are_added_inside_the_link(spreads: tuple[float, float, float]) -> None:
    drawn = predicted(evidence(LOSS, 1e6), parameters(DRAWS, *spreads), jax.random.key(3))
    shared, everything = np.hypot(*spreads[1:]), np.sqrt(np.square(spreads).sum())
    at = np.asarray(LOSS)
    for found, sd in ((np.asarray(drawn.mean), shared), (np.asarray(drawn.score), everything)):
        for level in (0.1, 0.5, 0.9):
            quantile = np.quantile(found, level, axis=0)
            logit = -at + sd * stats.norm.ppf(level)
            exact = 0.2 + 0.6 * expit(logit)
            # A million items leave noise of 5e-4; the standard error of the quantile of the logit is below
            # sd sqrt(p (1 - p) / S) / phi(z), and the slope of the link is at most 0.15.
            error = 0.15 * sd * np.sqrt(level * (1 - level) / DRAWS) / stats.norm.pdf(stats.norm.ppf(level))
            np.testing.assert_allclose(quantile, exact, atol=4.5 * error + 1e-3)


def test_seen_scores_of_the_run_move_the_mean_of_its_other_models_by_the_shared_effects() -> None:
    # Two models with mean 0.5 and reach 0.15 scored 0.6; others of the same run are predicted.
    e, x = evidence([0.0] * 6, 1000.0, seen=2), parameters(DRAWS, 0.2, 0.4, 0.3)
    prior, reach = 0.4**2 + 0.3**2, 0.6 / 4
    noise = 0.25 / 1000 + (reach * 0.2) ** 2
    total = reach**2 * prior + noise / 2  # variance of the mean of the two residuals
    effect = reach * prior / total * 0.1
    sd = np.sqrt(prior - (reach * prior) ** 2 / total)
    mean = np.asarray(predicted(e, x, jax.random.key(4)).mean)[:, 2]
    logit = np.log((mean - 0.2) / (0.8 - mean))
    assert abs(logit.mean() - effect) < 4.5 * sd / np.sqrt(DRAWS)
    assert logit.std() == pytest.approx(sd, rel=4.5 / np.sqrt(2 * DRAWS))


def test_log_score_is_a_normalised_density_with_the_moments_of_the_draws() -> None:
    loss = list(np.full(801, 0.5))
    grid = np.linspace(-0.5, 1.5, 801)
    x = parameters(50, 0.3, 0.4, 0.3)
    density = np.exp(np.asarray(scored(evidence(loss, 40.0), x, grid, jax.random.key(5))))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    drawn = np.asarray(predicted(evidence(loss, 40.0), x, jax.random.key(5)).score)
    mean = np.trapezoid(density * grid, grid)
    # All models are of one run and share an effect in each draw, so that 50 draws are 50 samples.
    assert abs(drawn.mean() - mean) < 4.5 * np.sqrt(2) * drawn.mean(axis=1).std() / np.sqrt(50)
