"""The mode is that of the unconstrained density, Jacobian included, and is found in other ways too."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoDelta, AutoGuide, AutoLaplaceApproximation

from csvjax.infer import Map, fit
from csvjax.law.density import Density
from csvjax.precision import float64


def minimise(model: object, guide: AutoGuide, *args: object) -> dict[str, jax.Array]:
    """Parameters of the guide at the optimum that BFGS finds."""
    svi = SVI(model, guide, numpyro.optim.Minimize(), Trace_ELBO())
    state, _ = svi.update(svi.init(jax.random.key(0), *args), *args)
    return svi.get_params(state)


def positive(observed: np.ndarray) -> None:
    """log y ~ Normal(log s, 1), log s ~ Normal(m, sd): log s is normal given y, so that both modes are known."""
    s = numpyro.sample("s", dist.LogNormal(0.5, 0.8))
    numpyro.sample("y", dist.LogNormal(jnp.log(s), 1.0), obs=observed)


@float64
def test_the_mode_is_that_of_the_unconstrained_density_which_autodelta_does_not_use() -> None:
    y = np.array([1.2, 3.0, 0.7])
    precision = 1 / 0.8**2 + 3
    centre = (0.5 / 0.8**2 + np.log(y).sum()) / precision
    found_mode = fit(Density(positive), y, Map(starts=1, finalists=1), jax.random.key(1))
    # x = log s is Normal(centre, 1 / precision). The density of s = exp(x) has one more factor 1 / s.
    assert float(found_mode.mode[0]) == pytest.approx(centre, abs=1e-4)
    laplace = AutoLaplaceApproximation(positive)
    assert float(laplace.median(minimise(positive, laplace, y))["s"]) == pytest.approx(np.exp(centre), rel=1e-3)
    delta = AutoDelta(positive)
    found = float(delta.median(minimise(positive, delta, y))["s"])
    assert found == pytest.approx(np.exp(centre - 1 / precision), rel=1e-3)


def scale_only(_: None) -> None:
    numpyro.sample("s", dist.HalfNormal(0.3))


@float64
def test_a_spread_that_no_data_inform_has_its_scale_as_mode_and_not_zero() -> None:
    # Density of s falls from s = 0 on; that of x = log s is s exp(-s^2 / (2 sd^2)), with its mode at s = sd.
    found_mode = fit(Density(scale_only), None, Map(starts=1, finalists=1), jax.random.key(2))
    assert float(np.exp(found_mode.mode[0])) == pytest.approx(0.3, rel=1e-4)
    delta = AutoDelta(scale_only)
    assert float(delta.median(minimise(scale_only, delta, None))["s"]) < 0.03
