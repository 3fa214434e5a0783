"""The law: its density over any subset of the evidence, its special cases and its prior."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from csvjax.compiled import jit_by_size
from csvjax.law.density import law_density
from csvjax.law.groups import make_groups
from csvjax.law.model import Evidence, Law, Priors
from csvjax.law.predictive import draw_law
from csvjax.precision import float64
from tests.law.tables import BENCHMARKS, FAMILIES, LMS, Slopes, evidence, flat, planted, salient, unknown

KEY = jax.random.key(0)
DRAWS = 1000  # of the prior predictive
LAW = Law(2)
OF_ROWS = ("score", "seen", "weight", "covariate", "missing", "loss", "has_loss", "design")


@pytest.fixture(scope="module")
def slopes() -> Slopes:
    return Slopes(LAW)


@pytest.fixture(scope="module")
def table() -> Evidence:
    """With losses, of which one model has none."""
    return planted(evidence(units=4, lacking=(3,)), 1)


def test_the_gradient_is_that_of_finite_differences(slopes: Slopes, table: Evidence) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        x = slopes.start(seed, table)
        slope = slopes(x, table)[1]
        for direction in rng.normal(size=(4, len(x))):
            h = 1e-4
            forth, back = (slopes(x + s * h * direction, table)[0] for s in (1, -1))
            # The error of a central difference is of order h^2; both values are exact to some 1e-10.
            assert (forth - back) / (2 * h) == pytest.approx(slope @ direction, rel=1e-4, abs=1e-4)


def test_cells_that_are_not_seen_have_no_influence(slopes: Slopes, table: Evidence) -> None:
    x = slopes.start(1, table)
    value, slope = slopes(x, table)
    other = slopes(x, table._replace(score=np.where(table.seen, table.score, 0.97)))
    assert other[0] == value
    np.testing.assert_array_equal(other[1], slope)
    assert slopes(x, table._replace(score=np.where(table.seen, 0.97, table.score)))[0] != value


def test_losses_that_are_not_known_have_no_influence(slopes: Slopes, table: Evidence) -> None:
    x = slopes.start(1, table)
    other = table._replace(loss=np.where(table.has_loss[:, None], table.loss, 3.0))
    assert slopes(x, other)[0] == slopes(x, table)[0]
    known = table._replace(loss=np.where(table.has_loss[:, None], 1.1 * table.loss, table.loss))
    assert slopes(x, known)[0] != slopes(x, table)[0]


def test_a_weight_of_zero_removes_a_family(slopes: Slopes, table: Evidence) -> None:
    x = slopes.start(2, table)
    out = np.arange(LMS) % FAMILIES == 1
    light = slopes(x, table._replace(weight=np.where(out, 0.0, 1.0)))
    gone = slopes(x, table._replace(seen=table.seen & ~out[:, None]))
    assert light[0] == pytest.approx(gone[0], rel=1e-12)
    np.testing.assert_allclose(light[1], gone[1], atol=1e-7 * np.abs(gone[1]).max())
    assert slopes(x, table)[0] != pytest.approx(gone[0], rel=1e-3)


def test_a_family_of_weight_two_counts_twice(slopes: Slopes, table: Evidence) -> None:
    x = slopes.start(3, table)
    out = np.arange(LMS) % FAMILIES == 1
    none, once, twice = (slopes(x, table._replace(weight=np.where(out, w, 1.0)))[0] for w in (0.0, 1.0, 2.0))
    assert twice - once == pytest.approx(once - none, rel=1e-9)


def test_the_order_of_models_families_and_benchmarks_does_not_matter(slopes: Slopes, table: Evidence) -> None:
    rng = np.random.default_rng(1)
    x = slopes.start(4, table)
    value = slopes(x, table)[0]
    rows, columns, families = (rng.permutation(n) for n in (LMS, BENCHMARKS, FAMILIES))
    groups = make_groups(families[rows % FAMILIES], rows // 2 // FAMILIES)
    moved = table._replace(**{name: np.asarray(getattr(table, name))[rows] for name in OF_ROWS}, groups=groups)
    assert slopes(x, moved)[0] == pytest.approx(value, rel=1e-9)
    moved = table._replace(score=table.score[:, columns], seen=table.seen[:, columns], n_items=table.n_items[columns])
    moved = moved._replace(floor=table.floor[columns])
    each = ("steepness", "contrast", "intercept", "spread_differs", "free_floor", "room", "free_items")
    sites = slopes.sites(x, table)
    x_moved = flat(sites | {name: sites[name][columns] for name in each})
    assert slopes(x_moved, moved)[0] == pytest.approx(value, rel=1e-9)
    assert slopes(x, moved)[0] != pytest.approx(value, rel=1e-3)


def test_contrasts_may_change_their_sign(slopes: Slopes, table: Evidence) -> None:
    x = slopes.start(5, table)
    sites = slopes.sites(x, table)
    sign = np.array([1.0, -1.0])
    turned = {"contrast": -sites["contrast"], "gain": sites["gain"] * sign, "loss_slope": sites["loss_slope"] * sign}
    assert slopes(flat(sites | turned), table)[0] == pytest.approx(slopes(x, table)[0], rel=1e-9)


@pytest.fixture(scope="module")
def mean_loss() -> Slopes:
    return Slopes(Law(1, effects=("family",), priors=Priors(strength=0)))


def test_without_strength_the_law_sees_the_mean_loss_whatever_its_weights_are(mean_loss: Slopes) -> None:
    e = planted(evidence(units=4), 2)
    x = mean_loss.start(0, e)
    sites = mean_loss.sites(x, e)
    assert "tau" not in sites
    value, slope = mean_loss(x, e)
    other = sites | {"weight": sites["weight"] + 1.0}
    prior = 0.5 * np.sum(other["weight"] ** 2 - sites["weight"] ** 2)
    assert mean_loss(flat(other), e)[0] == pytest.approx(value + prior, rel=1e-12)
    np.testing.assert_allclose(mean_loss.sites(slope, e)["weight"], sites["weight"], rtol=1e-9, atol=1e-12)
    found = mean_loss.constrain(x, e)
    np.testing.assert_array_equal(found["z"], 0)
    psi = salient(e, np.zeros(4))[0]
    expected = e.covariate @ sites["gain"] - psi * sites["loss_slope"]
    np.testing.assert_allclose(found["capability_trend"], expected, rtol=1e-9)


def test_with_strength_weights_are_tilted(slopes: Slopes, table: Evidence) -> None:
    x = slopes.start(0, table)
    sites, found = slopes.sites(x, table), slopes.constrain(x, table)
    z = np.exp(sites["tau"])[:, None] * sites["weight"] @ table.features.T
    np.testing.assert_allclose(found["z"], z, rtol=1e-12)
    psi = salient(table, z)[0]
    expected = table.covariate @ sites["gain"] - psi * sites["loss_slope"]
    known = table.has_loss
    np.testing.assert_allclose(found["capability_trend"][known], expected[known], rtol=1e-9)


def test_a_model_without_losses_takes_the_regression_and_its_scatter(slopes: Slopes, table: Evidence) -> None:
    x = slopes.start(0, table)
    sites, found = slopes.sites(x, table), slopes.constrain(x, table)
    psi, of_reference, _ = salient(table, found["z"])
    known, row = table.has_loss, int(np.flatnonzero(~table.has_loss)[0])
    design = table.design[known]
    np.testing.assert_allclose(of_reference, psi[known])
    slope, *_ = np.linalg.lstsq(design, psi[known], rcond=None)
    gain, along = table.covariate[row] @ sites["gain"], sites["loss_slope"]
    expected = gain - table.design[row] @ slope * along
    np.testing.assert_allclose(found["capability_trend"][row], expected, rtol=1e-4)
    left = psi[known] - design @ slope
    leverage = table.design[row] @ np.linalg.inv(design.T @ design) @ table.design[row]
    scatter = (1 + leverage) * left.T @ left / (len(left) - 2)
    unknown = found["capability_unknown"]
    np.testing.assert_allclose(unknown[row] @ unknown[row].T, np.outer(along, along) * scatter, rtol=1e-4)
    assert not unknown[known].any()


OWN = (
    "own_gain",
    "own_weight",
    "own_tau",
    "own_slope",
    "intercept",
    "spread_differs",
    "free_floor",
    "room",
    "free_items",
)


def test_without_capabilities_benchmarks_share_nothing_but_the_spreads_of_effects() -> None:
    """Cells of one benchmark do not move the gradient of what is another benchmark's own."""
    slopes, e = Slopes(Law(0)), planted(evidence(units=4), 3)
    x = slopes.start(0, e)
    sites = slopes.sites(x, e)
    axis = {name: 1 if name == "own_gain" else 0 for name in OWN}
    assert set(OWN) | {"typical_spread", "family_habit", "run_habit"} == set(sites)
    before = slopes.sites(slopes(x, e)[1], e)
    for b in range(BENCHMARKS):
        score = e.score.copy()
        score[e.seen[:, b], b] = 0.9
        after = slopes.sites(slopes(x, e._replace(score=score))[1], e)
        moved = 0.0
        for name in OWN:
            change = np.abs(after[name] - before[name])
            # The mode is found to 1e-4, and a gradient there is exact to the square of that.
            np.testing.assert_allclose(np.delete(change, b, axis[name]), 0, atol=1e-5, err_msg=name)
            moved = max(moved, np.take(change, b, axis[name]).max())
        assert moved > 1


def test_a_benchmark_has_a_salience_of_its_own_beside_that_of_its_capabilities() -> None:
    slopes, e = Slopes(Law(1, effects=(), own=True)), planted(evidence(units=4), 3)
    x = slopes.start(0, e)
    sites, found = slopes.sites(x, e), slopes.constrain(x, e)
    psi = salient(e, found["own_z"])[0]
    shared = found["capability_trend"] @ found["loading"].T
    expected = shared + sites["intercept"] - psi * sites["own_slope"]
    np.testing.assert_allclose(found["prior_trend"], expected, rtol=1e-9)


SMALLER = ("scores", "families")
SUBSETS = {
    "scores": (Law(1, effects=()), evidence(2, 1, 0, 0, n_items=12)),
    "families": (Law(1, effects=("family",)), evidence(2, 1, 1, 0, n_items=12)),
    "everything": (Law(1, own=True), evidence(2, 1, 1, 2, units=5, n_items=12)),
    "t residuals": (Law(1, effects=(), tail=0.25), evidence(2, 1, 0, 1, n_items=12)),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) for name in SMALLER] + ["everything", "t residuals"]
)
@float64
def test_with_any_subset_of_the_evidence_it_is_a_density_of_the_scores(name: str) -> None:
    """Over all tables of two models and one benchmark with n items, p(y | parameters) sums to 1: it is a density.

    Of the n + 1 fractions those inside have a density, n + 1 times their probability; 0 and 1 have their probability.
    """
    n = 12
    law, e = SUBSETS[name]
    density = law_density(law)
    start = jit_by_size(lambda key: density.start(key, e))
    tables = np.array([(0, 0), *product(range(n + 1), repeat=2)])[:, :, None] / n
    seen = np.ones(tables.shape, bool)
    seen[0] = False
    many = jit_by_size(jax.vmap(lambda x, y, seen: density.potential(x, e._replace(score=y, seen=seen)), (None, 0, 0)))
    for seed in range(2):
        nothing, *each = many(0.5 * start(jax.random.key(seed)), tables, seen)
        log_p = nothing - jnp.stack(each)
        # The inner approximation is Laplace's: of two logits with 12 items each it is good to some per cent.
        probability = np.exp(log_p) / (n + 1.0) ** np.sum((tables[1:] > 0) & (tables[1:] < 1), axis=(1, 2))
        # Where twelve items tell little of it, a t residual is integrated as if it were normal at its peak.
        peak = stats.t.pdf(0, 1 / law.tail) * np.sqrt(2 * np.pi / (1 + law.tail)) if law.tail else 1.0
        assert peak**2 - 0.08 < probability.sum() < 1.08


ALONE = unknown(evidence(families=LMS), 1)
OF_FAMILIES = Law(1, effects=("family",))


@float64
def test_a_covariate_that_is_not_known_widens_what_is_predicted_by_what_it_would_explain() -> None:
    e = ALONE._replace(covariate=np.zeros((LMS, 1)))
    slopes = Slopes(OF_FAMILIES)
    x = flat(slopes.sites(slopes.start(3, e), e) | {"gain": np.full((1, 1), 2.0)})
    sites = slopes.constrain(x, e)
    logit = np.asarray(draw_law(slopes.density, 0.0, e, jnp.tile(x, (DRAWS, 1)), KEY).logit)
    loading, spread = np.asarray(sites["loading"])[:, 0], np.asarray(sites["spread"])
    gain, wide, habit = (float(np.ravel(sites[name])[0]) for name in ("gain", "family_spread", "family_habit"))
    plain = loading**2 * (1 + wide**2) + (habit * spread) ** 2
    # A variance of so many normal draws has a relative standard error of sqrt(2 / draws) = 4.5 %.
    np.testing.assert_allclose(logit[:, 0].var(axis=0), plain, rtol=0.2)
    np.testing.assert_allclose(logit[:, 1].var(axis=0), plain + (loading * gain) ** 2, rtol=0.2)
    assert np.all((loading * gain) ** 2 > 0.5 * plain)  # or else nothing was to be seen
    error = np.sqrt((2 * plain + (loading * gain) ** 2) / DRAWS)
    assert np.all(np.abs(logit[:, 1].mean(axis=0) - logit[:, 0].mean(axis=0)) < 5 * error)


@float64
def test_the_prior_predictive_is_sane() -> None:
    density, e = law_density(OF_FAMILIES), ALONE._replace(missing=np.zeros((LMS, 1, 1)))
    e = e._replace(covariate=np.linspace(-1.5, 1.5, LMS)[:, None])
    x = jit_by_size(jax.vmap(lambda key: density.start(key, e)))(jax.random.split(KEY, DRAWS))
    found = draw_law(density, 0.0, e, x, jax.random.key(1))
    mean, score = np.asarray(found.mean), np.asarray(found.score)
    # Benchmarks are made so that models differ on them: a score may lie anywhere, and more often below one half.
    assert 0.1 < np.median(score) < 0.5
    assert np.mean((score > 0.02) & (score < 0.98)) > 0.5
    assert np.mean(score > 0.9) > 0.03
    assert np.mean(score < 0.1) > 0.1
    # Models of one table differ visibly, but not as if all were at 0 or 1.
    scatter = mean.std(axis=1)
    assert 0.05 < np.median(scatter) < 0.4
    # Three standard deviations more of log compute help more often than they harm, without certainty.
    helps = np.mean(mean[:, -1] > mean[:, 0])
    assert 0.6 < helps < 0.9
    # What a model has of its own on one benchmark moves its score by less than models differ.
    assert np.median(np.abs(score - mean)) < np.median(scatter)
