"""Simulation-based calibration where the posterior is known: conjugate normal means."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, kstest

from csvjax.errors import InputError
from csvjax.evaluate.sbc import judge, positions, simultaneous_band
from csvjax.evaluate.sbc_figure import write_positions


def conjugate(
    rng: np.random.Generator, sims: int, width: float = 1.0, shift: float = 0.0, draws: int = 99
) -> np.ndarray:
    """m ~ Normal(0, 1), y[1..4] ~ Normal(m, 1): m given y is Normal(4 mean(y) / 5, 1 / sqrt 5)."""
    truth = rng.normal(size=sims)
    mean = truth + rng.normal(size=sims) / 2
    sd = 1 / np.sqrt(5)
    drawn = 0.8 * mean[:, None] + sd * (shift + width * rng.normal(size=(sims, draws)))
    return positions(truth, drawn, rng)


def test_positions_of_exact_draws_are_uniform() -> None:
    position = conjugate(np.random.default_rng(1), 4000)
    assert kstest(position, "uniform").pvalue > 0.01
    assert judge("m", position).inside


def test_ties_are_broken_so_that_scores_of_few_items_are_uniform_too() -> None:
    rng = np.random.default_rng(2)
    chance = rng.beta(0.3, 0.3, 4000)  # often 0 and 5 of 5
    score = rng.binomial(5, chance[:, None], (4000, 31)) / 5
    position = positions(score[:, 0], score[:, 1:], rng)
    assert kstest(position, "uniform").pvalue > 0.01
    assert len(np.unique(position)) == 4000


@pytest.mark.parametrize(("sims", "probability"), [(60, 0.95), (300, 0.95), (300, 0.8)])
def test_the_band_holds_the_whole_distribution_as_often_as_it_says(sims: int, probability: float) -> None:
    band = simultaneous_band(sims, probability)
    rng = np.random.default_rng(3)
    trials = 3000
    share = np.mean(np.sort(rng.random((trials, sims)), axis=1)[:, :, None] <= band.at, axis=1)
    held = int(np.sum(np.all((share >= band.lower - 1e-12) & (share <= band.upper + 1e-12), axis=1)))
    # Counts are discrete: no band holds exactly so much.
    assert binom.cdf(held, trials, probability - 0.01) > 0.001
    assert binom.sf(held - 1, trials, probability + 0.01) > 0.001
    # One that holds each point alone with this probability would hold the whole far less often.
    assert np.all(
        band.upper - band.lower > (binom.isf(0.025, sims, band.at) - binom.ppf(0.025, sims, band.at)) / sims
    ) or (probability < 0.95)


def test_verdicts_of_a_right_method_are_inside_as_often_as_promised() -> None:
    rng = np.random.default_rng(4)
    inside = sum(judge("m", conjugate(rng, 200)).inside for _ in range(300))
    assert binom.cdf(inside, 300, 0.95) > 0.005
    assert binom.sf(inside - 1, 300, 0.95) > 0.005


@pytest.mark.parametrize(
    ("width", "shift", "deviation"),
    [(0.7, 0.0, "too narrow"), (1.6, 0.0, "too wide"), (1.0, -0.5, "too low"), (1.0, 0.5, "too high")],
)
def test_a_wrong_posterior_is_flagged_and_its_fault_named(width: float, shift: float, deviation: str) -> None:
    verdict = judge("m", conjugate(np.random.default_rng(5), 300, width, shift))
    assert not verdict.inside
    assert verdict.p < 0.01
    assert verdict.deviation == deviation
    assert deviation in str(verdict)
    assert "outside the 95% band of 300 simulations" in str(verdict)


def test_intervals_of_a_narrow_posterior_hold_what_theory_says() -> None:
    # z / 0.7 lies within the 90 % interval with probability 2 Phi(0.7 * 1.645) - 1 = 0.750; 0.363 for 50 %.
    verdict = judge("m", conjugate(np.random.default_rng(6), 4000, width=0.7, draws=999))
    assert verdict.inside90 == pytest.approx(0.750, abs=4 * np.sqrt(0.25 * 0.75 / 4000))
    assert verdict.inside50 == pytest.approx(0.363, abs=4 * np.sqrt(0.36 * 0.64 / 4000))


def test_a_draw_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        positions(np.array([0.0]), np.array([[0.0, np.nan]]), np.random.default_rng(0))


def test_the_picture_shows_every_method_and_quantity(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    right, wrong = conjugate(rng, 100), conjugate(rng, 100, width=0.4)
    path = tmp_path / "ranks.html"
    write_positions({"exact": np.stack([right, right], 1), "narrow": np.stack([right, wrong], 1)}, ["a", "b"], path)
    page = path.read_text(encoding="utf-8")
    assert all(f"{method}, {quantity}" in page for method in ("exact", "narrow") for quantity in "ab")
    # The one panel of a wrong posterior is drawn in another colour: its bars, and its line.
    assert page.count('"#b3452c"') == 2
    assert '<script src="http' not in page
