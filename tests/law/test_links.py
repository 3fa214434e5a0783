import jax
import numpy as np
import pytest

from csvjax.law.links import link, link_slope

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
