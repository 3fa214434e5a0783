import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvjax.law.links import item_variance, link, link_slope

LOGITS = np.linspace(-30, 30, 121)
FLOORS, CEILINGS = np.full(121, 0.25), np.full(121, 0.9)


def test_slope_is_the_derivative_of_the_link() -> None:
    derivative = jax.vmap(jax.grad(link))(LOGITS, FLOORS, CEILINGS)
    slope = link_slope(LOGITS, FLOORS, CEILINGS)
    np.testing.assert_allclose(slope, derivative, rtol=1e-12, atol=1e-16)  # s (1 - s) cancels above; the slope does not
    np.testing.assert_allclose(slope, 0.65 / (2 + 2 * np.cosh(LOGITS)), rtol=1e-12)


def test_link_rises_from_floor_to_ceiling_through_their_middle() -> None:
    mean = np.asarray(link(LOGITS, FLOORS, CEILINGS))
    assert np.all(np.diff(mean) >= 0)
    assert np.all((mean >= 0.25) & (mean <= 0.9))
    assert mean[60] == pytest.approx((0.25 + 0.9) / 2)
    # sigmoid(30) = 1 - e^-30, and e^-30 is 1e-13
    assert mean[0] == pytest.approx(0.25, abs=1e-12)
    assert mean[-1] == pytest.approx(0.9, abs=1e-12)


@pytest.mark.parametrize(("logit", "limit"), [(-1e4, 0.25), (1e4, 0.9)])
def test_beyond_every_exponent_the_link_is_flat_and_its_gradients_finite(logit: float, limit: float) -> None:
    at = np.array(logit), np.array(0.25), np.array(0.9)
    assert float(link(*at)) == pytest.approx(limit, abs=1e-15)
    assert float(link_slope(*at)) == 0.0
    assert np.isfinite(jax.grad(link, (0, 1, 2))(*at)).all()
    assert np.isfinite(jax.grad(link_slope, (0, 1, 2))(*at)).all()


@given(st.floats(0, 1), st.floats(1, 1e6))
def test_variance_of_items_is_that_of_a_share_of_them_and_never_below_half_an_item(mean: float, n: float) -> None:
    found = float(item_variance(np.array(mean), np.array(n)))
    plain, least = mean * (1 - mean) / n, 0.5 / (n + 1) * (1 - 0.5 / (n + 1)) / n
    assert max(plain, least) * (1 - 1e-12) <= found <= (plain + least) * (1 + 1e-12)
    if n * min(mean, 1 - mean) > 10:  # half an item in ten: sqrt(1 + 0.05^2) < 1.0013
        assert found < 1.0014 * plain
    mirrored = float(item_variance(np.array(1 - mean), np.array(n)))
    assert mirrored == pytest.approx(found, rel=1e-6)  # 1 - mean rounds


@pytest.mark.parametrize("n", [1.0, 20.0, 400.0])
def test_variance_of_items_has_no_edge(n: float) -> None:
    """Its slope moves by at most the largest curvature times the step, half an item included; a clip would jump."""
    step = 1e-3 / n
    means = np.arange(0, 0.5, step)
    with jax.enable_x64(True):
        slopes = jax.vmap(jax.grad(item_variance), (0, None))(means, np.array(n))
    half = 0.5 / (n + 1) * (1 - 0.5 / (n + 1))
    # With v = mu (1 - mu): d^2 sqrt(v^2 + h^2) / d mu^2 is at most v'^2 / h + |v''| = 1 / h + 2.
    assert np.abs(np.diff(slopes)).max() <= step * (1 / half + 2) / n


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_at_its_ends_the_variance_is_that_of_half_an_item(mean: float) -> None:
    half = 0.5 / 301
    assert float(item_variance(np.array(mean), np.array(300.0))) == pytest.approx(half * (1 - half) / 300, rel=1e-6)
